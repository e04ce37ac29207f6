//! What both sides of TLS need at load, as server and as client of another: cipher lists, files of certificates and keys, whom to
//! believe, and the words that directives have for them. Knows no directive by name but where it is told one.

pub mod chain;
pub mod ciphers;
pub mod files;
pub mod hello;
pub mod late;
pub mod trust;
pub mod words;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that no other configuration of this process has or gets: what was found out under one counts for that one alone. Their
/// places in memory are given out again after a reload.
pub fn number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Relaxed) + 1
}
