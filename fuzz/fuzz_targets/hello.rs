//! The body of a HELLO: refused or accepted, and what is accepted can be said again.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| triune_fuzz::decoders::hello(data));
