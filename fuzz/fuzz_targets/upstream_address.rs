#![no_main]
//! Runs the check named upstream_address on what libFuzzer thinks of: `cargo +nightly fuzz run upstream_address fuzz/seeds/upstream_address`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::upstream_address(data));
