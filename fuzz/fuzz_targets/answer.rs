#![no_main]
//! Runs the check named answer on what libFuzzer thinks of: `cargo +nightly fuzz run answer fuzz/seeds/answer`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::answer(data));
