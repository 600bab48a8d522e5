//! What is known of one task while it lives.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::ticks;
use crate::task::TaskInfo;

/// A poll that takes longer stalls everybody in the same task, and is warned of once.
const BLOCKING_POLL: Duration = Duration::from_millis(10);

/// Shorter polls are not even converted: this is less than 10 ms on every processor.
const SUSPICIOUS_TICKS: u64 = 100_000;

/// The identity of a task with its counters. The nursery's bookkeeping and the tree share it.
#[derive(Debug)]
pub(crate) struct Record {
    info: TaskInfo,
    polls: AtomicU64,
    busy: AtomicU64,
    longest: AtomicU64,
    /// When the poll that runs now began; 0 while none runs.
    running_since: AtomicU64,
    warned: AtomicBool,
}

impl Record {
    pub(crate) fn new(info: TaskInfo) -> Arc<Self> {
        Arc::new(Self {
            info,
            polls: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            running_since: AtomicU64::new(0),
            warned: AtomicBool::new(false),
        })
    }

    /// A poll begins. Its end is told by [`poll_ended`](Self::poll_ended).
    pub(crate) fn poll_began(&self) {
        self.running_since.store(ticks::now(), Ordering::Relaxed);
    }

    /// A poll has ended.
    pub(crate) fn poll_ended(&self) {
        let began = self.running_since.load(Ordering::Relaxed);
        self.running_since.store(0, Ordering::Relaxed);
        // A counter may go back when a thread moves to another core.
        let took = ticks::now().saturating_sub(began);
        add(&self.polls, 1);
        add(&self.busy, took);
        if took > self.longest.load(Ordering::Relaxed) {
            self.longest.store(took, Ordering::Relaxed);
            if took > SUSPICIOUS_TICKS {
                self.warn_of_blocking(took);
            }
        }
    }

    #[cold]
    fn warn_of_blocking(&self, took: u64) {
        let took = ticks::duration(took);
        if cfg!(debug_assertions) && took > BLOCKING_POLL && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                task = ?self.info,
                ?took,
                "a task computed so long without an await: everybody in the same task waited; use `spawn_task`, or a \
                 worker job"
            );
        }
    }

    /// Whether it was never polled.
    pub(crate) fn is_new(&self) -> bool {
        self.polls() == 0 && self.running_since.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    pub(crate) fn busy(&self) -> Duration {
        ticks::duration(self.busy.load(Ordering::Relaxed)) + self.running_for().unwrap_or_default()
    }

    pub(crate) fn longest_poll(&self) -> Duration {
        ticks::duration(self.longest.load(Ordering::Relaxed))
    }

    /// How long the poll that runs now has taken so far.
    pub(crate) fn running_for(&self) -> Option<Duration> {
        let began = self.running_since.load(Ordering::Relaxed);
        (began != 0).then(|| ticks::duration(ticks::now().saturating_sub(began)))
    }
}

/// Only the polling thread writes, so this needs no atomic addition.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

impl Deref for Record {
    type Target = TaskInfo;

    fn deref(&self) -> &TaskInfo {
        &self.info
    }
}
