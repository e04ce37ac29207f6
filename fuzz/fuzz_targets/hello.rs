#![no_main]
//! Runs the check named hello on what libFuzzer thinks of: `cargo +nightly fuzz run hello fuzz/seeds/hello`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::hello(data));
