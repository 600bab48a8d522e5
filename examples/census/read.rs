//! One file: read in pieces of bounded size, each counted by a worker.

use std::io;
use std::path::Path;

use serde_bytes::ByteBuf;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::{Mutex, Semaphore};
use triune::actor::DialogSender;
use triune::prelude::*;

use crate::count::{count_words, split_at_word};
use crate::ledger::Entry;
use crate::shot::Shot;

/// The sender of the dialog with the ledger; every file's task uses it.
pub(crate) type News = Mutex<DialogSender<Entry>>;

/// A file of any size takes no more memory than a few of these.
const PIECE: usize = 1 << 20;

/// How much of a file is looked at to tell text from binary.
const SNIFF: usize = 8 << 10;

/// What the tasks of all files share.
pub(crate) struct Desk {
    pub(crate) news: News,
    pub(crate) shot: Shot,
    /// One place for each piece in memory: readers wait when the workers are behind.
    pub(crate) places: Semaphore,
}

impl Desk {
    /// Sends one piece of news to the ledger.
    pub(crate) async fn tell(&self, entry: Entry) -> Result {
        let mut news = self.news.lock().cancellable().await?;
        Ok(news.send(entry).await?)
    }

    /// Has a worker count a piece.
    async fn count(&self, path: &Path, piece: Vec<u8>) -> Result {
        let counting = triune::worker::run(count_words::with(ByteBuf::from(piece)));
        self.shot.at_busy_workers();
        let tally = counting.await.with_context(|| format!("while counting {}", path.display()))?;
        self.shot.seen(tally.worker);
        self.tell(Entry::Counted(tally)).await
    }
}

/// Counts a file, its pieces in parallel. What cannot be read is reported and skipped; only a failing worker or
/// ledger is an error.
pub(crate) async fn read(path: &Path, desk: &Desk) -> Result {
    let end = nursery(async |n| {
        let mut pieces = match Pieces::open(path).cancellable().await? {
            Ok(pieces) => pieces,
            Err(error) => return Ok(Entry::skipped(path, unreadable(&error))),
        };
        loop {
            let place = desk.places.acquire().cancellable().await??;
            match pieces.next().cancellable().await? {
                Ok(Some(piece)) if pieces.is_first() && is_binary(&piece[..piece.len().min(SNIFF)]) => {
                    return Ok(Entry::skipped(path, "binary".to_owned()));
                }
                Ok(Some(piece)) => n.spawn_named(format!("count {}", path.display()), async move {
                    let _place = place;
                    desk.count(path, piece).await
                }),
                Ok(None) => return Ok(Entry::Finished),
                Err(error) => return Ok(Entry::skipped(path, unreadable(&error))),
            };
        }
    })
    .await?;
    desk.tell(end).await
}

/// A file in pieces that end between words.
struct Pieces {
    file: File,
    /// The beginning of the next piece.
    rest: Vec<u8>,
    given: usize,
    done: bool,
}

impl Pieces {
    async fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path).await?, rest: Vec::new(), given: 0, done: false })
    }

    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.done {
            return Ok(None);
        }
        let mut piece = std::mem::take(&mut self.rest);
        let room = (PIECE - piece.len()) as u64;
        let count = (&mut self.file).take(room).read_to_end(&mut piece).await?;
        self.done = (count as u64) < room;
        if !self.done {
            self.rest = piece.split_off(split_at_word(&piece));
        }
        self.given += 1;
        Ok((!piece.is_empty()).then_some(piece))
    }

    fn is_first(&self) -> bool {
        self.given == 1
    }
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "vanished before it could be read".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission to read it".to_owned(),
        _ => error.to_string(),
    }
}

/// A zero byte, or bytes that are not UTF-8 (a character cut off at the end is no reason).
fn is_binary(start: &[u8]) -> bool {
    start.contains(&0) || std::str::from_utf8(start).is_err_and(|error| error.error_len().is_some())
}
