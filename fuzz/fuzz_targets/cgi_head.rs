#![no_main]
//! Runs the check named cgi_head on what libFuzzer thinks of: `cargo +nightly fuzz run cgi_head fuzz/seeds/cgi_head`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::cgi_head(data));
