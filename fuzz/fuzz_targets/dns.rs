#![no_main]
//! Runs the check named dns on what libFuzzer thinks of: `cargo +nightly fuzz run dns fuzz/seeds/dns`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::dns(data));
