#![no_main]
//! Runs the check named set_cookie on what libFuzzer thinks of: `cargo +nightly fuzz run set_cookie fuzz/seeds/set_cookie`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::set_cookie(data));
