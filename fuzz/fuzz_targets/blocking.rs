//! A side without a runtime whose peer says whatever the bytes are.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| triune_fuzz::link::blocking(data));
