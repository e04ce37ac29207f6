//! What both sides of TLS need at load, as server and as client of another: cipher lists, files of certificates and keys, chains,
//! and the words that directives have for them. Knows no directive by name but where it is told one.

pub mod chain;
pub mod ciphers;
pub mod files;
pub mod words;
