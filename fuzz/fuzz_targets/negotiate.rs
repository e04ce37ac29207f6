#![no_main]
//! Runs the check named negotiate on what libFuzzer thinks of: `cargo +nightly fuzz run negotiate fuzz/seeds/negotiate`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::negotiate(data));
