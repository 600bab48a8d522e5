//! A link whose peer sends well-formed frames of every kind in any order, between steps of this side.
#![no_main]
libfuzzer_sys::fuzz_target!(|steps: Vec<triune_fuzz::mux::Step>| triune_fuzz::mux::play(&steps));
