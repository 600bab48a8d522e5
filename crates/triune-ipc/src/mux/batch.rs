//! Items that a receiving half has taken over together, so that it locks the link once for many of them.
//!
//! Invariants:
//! 1. An item of a batch counts as not consumed until it is taken out: taking over many gives back no credit.
//! 2. What was consumed is told to the stream when a CREDIT is due, as if each item had been told on its own.
//! 3. A handler that was cancelled gets no further item of its batch: [`News`] says when to ask the link again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use triune_wire::Credit;

/// The items of one receiving half.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(super) items: VecDeque<Bytes>,
    /// What was taken out since the stream was told.
    freed: Credit,
    /// The stream must be told when so much was taken out.
    due: Credit,
    /// What the half has heard of.
    pub(super) news: u32,
}

impl Batch {
    pub(crate) const fn new() -> Batch {
        let none = Credit { items: 0, bytes: 0 };
        Batch { items: VecDeque::new(), freed: none, due: none, news: 0 }
    }

    /// Whether nothing has happened on the link that the half must hear of before its next item.
    pub(crate) fn is_current(&self, news: &News) -> bool {
        self.news == news.get()
    }

    /// The next item.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        let item = self.items.pop_front()?;
        self.freed.items += 1;
        self.freed.bytes = self.freed.bytes.saturating_add(item.len() as u64);
        Some(item)
    }

    /// Whether the stream must be told now.
    pub(crate) const fn is_due(&self) -> bool {
        self.freed.items >= self.due.items || self.freed.bytes >= self.due.bytes
    }

    pub(crate) const fn take_freed(&mut self) -> Credit {
        std::mem::replace(&mut self.freed, Credit { items: 0, bytes: 0 })
    }

    /// A CREDIT will be due when so much more was taken out.
    pub(super) const fn due_after(&mut self, credit: Credit) {
        self.due = credit;
    }
}

/// Counts what a receiving half must hear of before its next item: cancels, and the end of the link.
#[derive(Debug, Clone, Default)]
pub(crate) struct News(Arc<AtomicU32>);

impl News {
    /// A half that misses the newest number by a moment gets one more item, as if it had asked a moment before.
    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}
