//! The CPU-bound part, run by worker processes: tokenise a piece of text, count its words, compress it.

use std::collections::HashMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Longer words are not words; they are counted by their beginning.
const MAX_WORD: usize = 40;

/// What is known of one piece of text.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Which process counted.
    pub(crate) worker: u32,
    pub(crate) bytes: u64,
    /// The size after compression: a measure of the entropy.
    pub(crate) compressed: u64,
    pub(crate) words: u64,
    pub(crate) counts: Vec<(String, u64)>,
}

/// Counts the words of a piece of text.
#[triune::job]
pub(crate) fn count_words(text: ByteBuf) -> Tally {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut words = 0;
    let readable = String::from_utf8_lossy(&text);
    for word in readable.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        words += 1;
        let word: String = word.chars().take(MAX_WORD).flat_map(char::to_lowercase).collect();
        *counts.entry(word).or_default() += 1;
    }
    let mut encoder = DeflateEncoder::new(Counter(0), Compression::default());
    let compressed = match encoder.write_all(&text).and_then(|()| encoder.finish()) {
        Ok(Counter(compressed)) => compressed,
        Err(never) => unreachable!("a counter takes every byte: {never}"),
    };
    Tally {
        worker: std::process::id(),
        bytes: text.len() as u64,
        compressed,
        words,
        counts: counts.into_iter().collect(),
    }
}

/// Where to cut a full piece so that no word is divided: after the last byte that is no part of one.
pub(crate) fn split_at_word(piece: &[u8]) -> usize {
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    match piece.iter().rposition(|byte| !inside(byte)) {
        // A line without any blank is cut anywhere.
        None => piece.len(),
        Some(at) => at + 1,
    }
}

/// A writer that only counts.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
