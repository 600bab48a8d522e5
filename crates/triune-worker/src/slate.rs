//! Answers of a batch on a slate that the worker shares with its pool, so that several of them are one write.
//!
//! Each write of an answer wakes the pool, which costs more than a quick job. So while its next job is here already, a worker notes
//! the answer on the slate, and writes it with the later ones. The pool looks at the slate when the worker is dead, and now and then
//! while a batch is under way ([`LOOK`]), because the next job may turn out to be a slow one.
//!
//! Invariants:
//! 1. An answer is written or noted before the next job begins, so a pool knows as much of a dead worker as if each was written.
//! 2. What is noted and not written yet is never wiped.

use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use triune_ipc::blocking::Server;
use triune_ipc::{Link, LinkEnd};
use triune_process::Slate;

use crate::call::Answer;

/// The number under which it is lent. No other memory has it.
pub(crate) const NUMBER: u64 = 0;

/// How often the pool looks at the slates of workers that have several jobs.
pub(crate) const LOOK: Duration = Duration::from_millis(1);

/// For how long a worker leaves an answer for later.
const LATER: Duration = Duration::from_micros(200);

/// The answers that are left for later, in bytes at most.
const MOST: usize = 2 * 1024;

/// That of one worker, in the pool.
#[derive(Debug, Default)]
pub(crate) struct Lent(OnceLock<Option<Slate>>);

impl Lent {
    /// Before the worker gets several jobs: lends it a slate, once. Without one it writes each answer.
    pub(crate) fn lend(&self, link: &Link) {
        self.0.get_or_init(|| {
            let (slate, file) = Slate::new("triune-answers").ok()?;
            link.lend(NUMBER, Arc::new(file));
            Some(slate)
        });
    }

    /// Takes the answers from it that have not come over the link yet.
    pub(crate) fn look(&self, link: &Link) {
        if let Some(Some(slate)) = self.0.get()
            && let Some(notes) = slate.read()
        {
            link.recover(notes.iter().map(Vec::as_slice));
        }
    }
}

/// The same in the worker.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    slate: Option<Slate>,
    /// When the first of those was noted that are not written.
    since: Option<Instant>,
}

impl Answers {
    /// The pool has lent it.
    pub(crate) fn set(&mut self, file: Option<OwnedFd>) {
        // Without it each answer is written, as ever.
        self.slate = file.and_then(|file| Slate::of(file).ok());
    }

    /// Answers a call with its result, now or later.
    pub(crate) fn reply(&mut self, server: &mut Server, id: u64, result: &Answer) -> Result<(), LinkEnd> {
        let Some(slate) = self.slate.as_ref().filter(|_| result.len() <= MOST && server.has_next()) else {
            return server.reply_parts(id, result.parts());
        };
        let now = Instant::now();
        if server.owed() == 0 {
            slate.clear();
            self.since = Some(now);
        }
        let is_time = self.since.is_none_or(|since| now.duration_since(since) >= LATER);
        if is_time || server.owed() + result.len() > MOST {
            return server.reply_parts(id, result.parts());
        }
        match server.reply_later(id, result.parts())? {
            Some(frame) if !slate.add(frame) => server.flush(),
            _ => Ok(()),
        }
    }
}
