//! The protocol of triune as data: frames, messages, codecs, error reports; no I/O
