#![no_main]
//! Runs the check named head on what libFuzzer thinks of: `cargo +nightly fuzz run head fuzz/seeds/head`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::head(data));
