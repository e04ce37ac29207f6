#![no_main]
//! Runs the check named proxy_protocol on what libFuzzer thinks of: `cargo +nightly fuzz run proxy_protocol fuzz/seeds/proxy_protocol`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::proxy_protocol(data));
