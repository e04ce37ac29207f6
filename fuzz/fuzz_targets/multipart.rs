#![no_main]
//! Runs the check named multipart on what libFuzzer thinks of: `cargo +nightly fuzz run multipart fuzz/seeds/multipart`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::multipart(data));
