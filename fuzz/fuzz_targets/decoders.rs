//! Every other decoder of the protocol; the first byte says which.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| triune_fuzz::decoders::any(data));
