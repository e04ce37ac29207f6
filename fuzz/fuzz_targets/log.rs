#![no_main]
//! Runs the check named log on what libFuzzer thinks of: `cargo +nightly fuzz run log fuzz/seeds/log`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::log(data));
