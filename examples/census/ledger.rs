//! The ledger, in an actor of its own: takes news, keeps the sums, streams running totals back.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use triune::actor::TrySendError;
use triune::prelude::*;

use crate::count::Tally;

/// When more different words are known, those seen only once are forgotten: memory is bounded.
const MAX_WORDS: usize = 500_000;

/// How many words the table shows.
const TOP: usize = 15;

/// How many skipped paths are kept by name.
const MAX_SKIPPED: usize = 1000;

/// One piece of news.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// A piece of a file was counted.
    Counted(Tally),
    /// A file was read to its end.
    Finished,
    /// A path could not be counted.
    Skipped { path: String, why: String },
}

impl Entry {
    /// A path that could not be counted.
    pub(crate) fn skipped(path: &Path, why: String) -> Self {
        Self::Skipped { path: path.display().to_string(), why }
    }
}

/// The sums so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Totals {
    pub(crate) files: u64,
    pub(crate) skipped: u64,
    pub(crate) bytes: u64,
    pub(crate) compressed: u64,
    pub(crate) words: u64,
}

/// The end of the census.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) totals: Totals,
    pub(crate) distinct: u64,
    /// Words were forgotten, so `distinct` and rare counts are lower bounds.
    pub(crate) forgot: bool,
    pub(crate) top: Vec<(String, u64)>,
    pub(crate) skipped: Vec<(String, String)>,
}

/// Keeps the ledger until the other side closes its direction.
#[triune::endpoint]
pub(crate) async fn keep_ledger(cx: Context<Started<()>, Out<Totals>, In<Entry>>) -> Result<Summary> {
    let mut dialog = cx.started(()).await?;
    let mut book = Book::default();
    while let Some(entry) = dialog.recv().await? {
        book.enter(entry);
        match dialog.try_send(book.totals.clone()) {
            // A slow reader of the totals must not slow the census down; the next totals are as good.
            Ok(()) | Err(TrySendError::Full(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(book.close())
}

#[derive(Default)]
struct Book {
    totals: Totals,
    words: HashMap<String, u64>,
    forgot: bool,
    skipped: Vec<(String, String)>,
}

impl Book {
    fn enter(&mut self, entry: Entry) {
        match entry {
            Entry::Counted(tally) => self.count(tally),
            Entry::Finished => self.totals.files += 1,
            Entry::Skipped { path, why } => {
                self.totals.skipped += 1;
                if self.skipped.len() < MAX_SKIPPED {
                    self.skipped.push((path, why));
                }
            }
        }
    }

    fn count(&mut self, tally: Tally) {
        self.totals.bytes += tally.bytes;
        self.totals.compressed += tally.compressed;
        self.totals.words += tally.words;
        for (word, count) in tally.counts {
            *self.words.entry(word).or_default() += count;
        }
        let mut rare = 1;
        while self.words.len() > MAX_WORDS {
            self.words.retain(|_, count| *count > rare);
            self.forgot = true;
            rare *= 2;
        }
    }

    fn close(self) -> Summary {
        let distinct = self.words.len() as u64;
        let mut top: Vec<(String, u64)> = self.words.into_iter().collect();
        top.sort_by(|(word, count), (other, others)| others.cmp(count).then_with(|| word.cmp(other)));
        top.truncate(TOP);
        Summary { totals: self.totals, distinct, forgot: self.forgot, top, skipped: self.skipped }
    }
}
