#![no_main]
//! Runs the check named chain on what libFuzzer thinks of: `cargo +nightly fuzz run chain fuzz/seeds/chain`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::chain(data));
