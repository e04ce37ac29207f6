#![no_main]
//! Runs the check named target on what libFuzzer thinks of: `cargo +nightly fuzz run target fuzz/seeds/target`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::target(data));
