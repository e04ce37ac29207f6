#![no_main]
//! Runs the check named pattern on what libFuzzer thinks of: `cargo +nightly fuzz run pattern fuzz/seeds/pattern`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::pattern(data));
