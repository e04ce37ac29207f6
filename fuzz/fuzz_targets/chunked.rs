#![no_main]
//! Runs the check named chunked on what libFuzzer thinks of: `cargo +nightly fuzz run chunked fuzz/seeds/chunked`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::chunked(data));
