#![no_main]
//! Runs the check named cookie on what libFuzzer thinks of: `cargo +nightly fuzz run cookie fuzz/seeds/cookie`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::cookie(data));
