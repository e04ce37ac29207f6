#![no_main]
//! Runs the check named date on what libFuzzer thinks of: `cargo +nightly fuzz run date fuzz/seeds/date`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::date(data));
