#![no_main]
//! Runs the check named expect on what libFuzzer thinks of: `cargo +nightly fuzz run expect fuzz/seeds/expect`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::expect(data));
