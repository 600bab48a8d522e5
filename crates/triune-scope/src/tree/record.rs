//! What is known of one task while it lives.
//!
//! The record is a part of the task's root node, because a child of its own would cost an allocation. Its numbers are
//! as small as they can be without losing what somebody may want to know: children come by the hundred thousand.

use std::borrow::Cow;
use std::ops::Deref;
use std::panic::Location;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::ticks;
use crate::cancel::node::Node;
use crate::probe::census::{Entry, Kind};
use crate::task::TaskInfo;

/// A poll that takes longer stalls everybody in the same task, and is warned of once.
const BLOCKING_POLL: Duration = Duration::from_millis(10);

/// Shorter polls are not even converted: this is less than 10 ms on every processor.
const SUSPICIOUS_TICKS: u64 = 100_000;

/// `longest` counts in units of so many ticks (as a shift): a third of a microsecond, up to more than 20 minutes.
const LONGEST_SHIFT: u32 = 10;

/// `running_since` counts in units of so many ticks (as a shift): 20 microseconds, anew after more than a day.
const SINCE_SHIFT: u32 = 16;

/// The identity of a task with its counters. The nursery's bookkeeping and the tree share it.
#[derive(Debug)]
pub(crate) struct Record {
    info: TaskInfo,
    polls: AtomicU64,
    busy: AtomicU64,
    longest: AtomicU32,
    /// When the poll that runs now began; 0 while none runs.
    running_since: AtomicU32,
    _census: Entry,
}

/// Where a nursery was opened, and what it is called.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) at: &'static Location<'static>,
    pub(crate) name: OnceLock<Cow<'static, str>>,
}

impl Opening {
    pub(crate) fn new(at: &'static Location<'static>) -> Self {
        Self { at, name: OnceLock::new() }
    }
}

/// A poll that has begun: the ticks at its begin.
#[derive(Debug, Clone, Copy)]
#[must_use = "the poll would run for ever in the tree"]
pub(crate) struct Began(u64);

impl Record {
    /// For a task that is no child: the main task, and those of the system.
    pub(crate) fn new(info: TaskInfo) -> Self {
        Self::counted(info, Entry::uncounted())
    }

    /// For a child of a nursery.
    pub(crate) fn child(info: TaskInfo) -> Self {
        Self::counted(info, Entry::new(Kind::Task))
    }

    fn counted(info: TaskInfo, census: Entry) -> Self {
        Self {
            info,
            polls: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            longest: AtomicU32::new(0),
            running_since: AtomicU32::new(0),
            _census: census,
        }
    }

    /// A poll begins. Its end is told by [`poll_ended`](Self::poll_ended).
    pub(crate) fn poll_began(&self) -> Began {
        let now = ticks::now();
        self.running_since.store(since(now), Ordering::Relaxed);
        Began(now)
    }

    /// A poll has ended.
    pub(crate) fn poll_ended(&self, began: Began) {
        self.running_since.store(0, Ordering::Relaxed);
        // A counter may go back when a thread moves to another core.
        let took = ticks::now().saturating_sub(began.0);
        add(&self.polls, 1);
        add(&self.busy, took);
        let units = u32::try_from(took >> LONGEST_SHIFT).unwrap_or(u32::MAX);
        let before = self.longest.load(Ordering::Relaxed);
        if units > before {
            self.longest.store(units, Ordering::Relaxed);
            if cfg!(debug_assertions) && took > SUSPICIOUS_TICKS {
                self.warn_of_blocking(took, before);
            }
        }
    }

    /// Warns if this is the first long poll; `before` is the longest until now.
    #[cold]
    fn warn_of_blocking(&self, took: u64, before: u32) {
        let took = ticks::duration(took);
        if took > BLOCKING_POLL && longest(before) <= BLOCKING_POLL {
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
        longest(self.longest.load(Ordering::Relaxed))
    }

    /// How long the poll that runs now has taken so far.
    pub(crate) fn running_for(&self) -> Option<Duration> {
        let began = self.running_since.load(Ordering::Relaxed);
        (began != 0)
            .then(|| ticks::duration(u64::from(since(ticks::now()).wrapping_sub(began)) << SINCE_SHIFT))
    }
}

fn longest(units: u32) -> Duration {
    ticks::duration(u64::from(units) << LONGEST_SHIFT)
}

/// A moment as `running_since` keeps it; never 0.
fn since(ticks: u64) -> u32 {
    let units = (ticks >> SINCE_SHIFT) & u64::from(u32::MAX);
    u32::try_from(units).expect("it was cut to 32 bits").max(1)
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

/// A handle on a task: the node at its root.
#[derive(Debug, Clone)]
pub(crate) struct Task(Arc<Node>);

impl Task {
    /// The task with this root; `None` for a node that is no root.
    pub(crate) fn of(node: &Arc<Node>) -> Option<Self> {
        node.record().is_some().then(|| Self(Arc::clone(node)))
    }

    /// The task with this root.
    pub(crate) fn root(node: Arc<Node>) -> Self {
        debug_assert!(node.record().is_some(), "a task's root has its record");
        Self(node)
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.0
    }
}

impl Deref for Task {
    type Target = Record;

    fn deref(&self) -> &Record {
        self.0.record().expect("a task's root has its record")
    }
}
