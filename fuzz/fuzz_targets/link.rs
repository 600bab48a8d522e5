//! A link whose peer says whatever the bytes are, while this side calls, talks and answers.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| triune_fuzz::link::bytes(data));
