#![no_main]
//! Runs the check named range on what libFuzzer thinks of: `cargo +nightly fuzz run range fuzz/seeds/range`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::range(data));
