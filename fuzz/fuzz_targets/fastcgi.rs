#![no_main]
//! Runs the check named fastcgi on what libFuzzer thinks of: `cargo +nightly fuzz run fastcgi fuzz/seeds/fastcgi`.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::fastcgi(data));
