#![no_main]
//! Runs the check named escape on what libFuzzer thinks of: `cargo +nightly fuzz run escape fuzz/seeds/escape`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::escape(data));
