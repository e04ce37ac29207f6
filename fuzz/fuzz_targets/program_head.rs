#![no_main]
//! Runs the check named program_head on what libFuzzer thinks of: `cargo +nightly fuzz run program_head fuzz/seeds/program_head`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::program_head(data));
