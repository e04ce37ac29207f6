//! The conf language: text to blocks of directives, typed readers for their arguments, and
//! messages about what is wrong with them. Knows no directive by name.

pub mod args;
pub mod ast;
pub mod codes;
pub mod cookie;
pub mod diagnostic;
pub mod directive;
pub mod glob;
pub mod hostnames;
pub mod include;
pub mod listening;
pub mod machine;
pub mod odd;
pub mod outside;
pub mod packed;
pub mod parse;
pub mod pattern;
mod pipe;
pub mod reference;
pub mod render;
pub mod source;
pub mod stock;
pub mod suggest;
pub mod value;
pub mod way;
pub mod zone;
