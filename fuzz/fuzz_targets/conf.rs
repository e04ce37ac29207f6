#![no_main]
//! Runs the check named conf on what libFuzzer thinks of: `cargo +nightly fuzz run conf fuzz/seeds/conf`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::conf(data));
