#![no_main]
//! Runs the check named session on what libFuzzer thinks of: `cargo +nightly fuzz run session fuzz/seeds/session`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::session(data));
