#![no_main]
//! Runs the check named etag on what libFuzzer thinks of: `cargo +nightly fuzz run etag fuzz/seeds/etag`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::etag(data));
