//! What users send, in both codecs; the first byte says which.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| triune_fuzz::codec::decode(data));
