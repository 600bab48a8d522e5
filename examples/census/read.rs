//! One file: read in pieces of bounded size, each counted by a worker.

use std::io;
use std::path::Path;

use serde_bytes::ByteBuf;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;
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

/// Sends one piece of news to the ledger.
pub(crate) async fn tell(news: &News, entry: Entry) -> Result {
    let mut news = news.lock().cancellable().await?;
    Ok(news.send(entry).await?)
}

/// Counts a file. What cannot be read is reported and skipped; only a failing worker or ledger is an error.
pub(crate) async fn read(path: &Path, news: &News, shot: &Shot) -> Result {
    let mut file = match File::open(path).cancellable().await? {
        Ok(file) => file,
        Err(error) => return tell(news, Entry::skipped(path, unreadable(&error))).await,
    };
    let mut rest = Vec::new();
    let mut first = true;
    loop {
        let mut piece = std::mem::take(&mut rest);
        let room = (PIECE - piece.len()) as u64;
        let count = match (&mut file).take(room).read_to_end(&mut piece).cancellable().await? {
            Ok(count) => count,
            Err(error) => return tell(news, Entry::skipped(path, unreadable(&error))).await,
        };
        if first && is_binary(&piece[..piece.len().min(SNIFF)]) {
            return tell(news, Entry::skipped(path, "binary".to_owned())).await;
        }
        let last = (count as u64) < room;
        if !last {
            rest = piece.split_off(split_at_word(&piece));
        }
        if !piece.is_empty() {
            let counting = triune::worker::run(count_words::with(ByteBuf::from(piece)));
            shot.at_busy_workers();
            let tally = counting.await.with_context(|| format!("while counting {}", path.display()))?;
            shot.seen(tally.worker);
            tell(news, Entry::Counted(tally)).await?;
        }
        if last {
            return tell(news, Entry::Finished).await;
        }
        first = false;
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
