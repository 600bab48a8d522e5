//! What is counted of one task while it lives.
//!
//! The record is a part of the task's root node, because a child of its own would cost an allocation. Its numbers are
//! as small as they can be without losing what somebody may want to know: children come by the hundred thousand. Who the
//! task is, the node knows: [`Node::task`](crate::cancel::node::Node::task).

use std::borrow::Cow;
use std::panic::Location;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::ticks;
use crate::probe::census::{Entry, Kind};

/// A poll that takes longer stalls everybody in the same task, and is warned of once.
const BLOCKING_POLL: Duration = Duration::from_millis(10);

/// Shorter polls are not even converted: this is less than 10 ms on every processor.
const SUSPICIOUS_TICKS: u64 = 100_000;

/// `longest` counts in units of so many ticks (as a shift): a third of a microsecond, up to more than 20 minutes.
const LONGEST_SHIFT: u32 = 10;

/// `running_since` counts in units of so many ticks (as a shift): 20 microseconds, anew after more than a day.
const SINCE_SHIFT: u32 = 16;

/// The counters of a task.
#[derive(Debug)]
pub(crate) struct Record {
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
    /// Boxed, because few have one.
    name: OnceLock<Box<Cow<'static, str>>>,
}

impl Opening {
    pub(crate) fn new(at: &'static Location<'static>) -> Self {
        Self { at, name: OnceLock::new() }
    }

    pub(crate) fn name(&self) -> Option<&Cow<'static, str>> {
        self.name.get().map(|name| &**name)
    }

    /// A second name is ignored.
    pub(crate) fn set_name(&self, name: Cow<'static, str>) {
        let _second = self.name.set(Box::new(name));
    }
}

/// A poll that has begun: the ticks at its begin.
#[derive(Debug, Clone, Copy)]
#[must_use = "the poll would run for ever in the tree"]
pub(crate) struct Began(u64);

impl Record {
    /// For a task that is no child: the main task, and those of the system.
    pub(crate) fn new() -> Self {
        Self::counted(Entry::uncounted())
    }

    /// For a child of a nursery.
    pub(crate) fn child() -> Self {
        Self::counted(Entry::new(Kind::Task))
    }

    fn counted(census: Entry) -> Self {
        Self {
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

    /// Counts anew, for another task.
    pub(crate) fn reset(&self) {
        self.polls.store(0, Ordering::Relaxed);
        self.busy.store(0, Ordering::Relaxed);
        self.longest.store(0, Ordering::Relaxed);
    }

    /// A poll has ended. Says how long it took if everybody else in the same task was stalled by it for the first time, which
    /// is found in debug builds only.
    #[must_use = "the user should hear of it"]
    pub(crate) fn poll_ended(&self, began: Began) -> Option<Duration> {
        self.running_since.store(0, Ordering::Relaxed);
        // A counter may go back when a thread moves to another core.
        let took = ticks::now().saturating_sub(began.0);
        add(&self.polls, 1);
        add(&self.busy, took);
        let units = u32::try_from(took >> LONGEST_SHIFT).unwrap_or(u32::MAX);
        let before = self.longest.load(Ordering::Relaxed);
        if units <= before {
            return None;
        }
        self.longest.store(units, Ordering::Relaxed);
        if !cfg!(debug_assertions) || took <= SUSPICIOUS_TICKS {
            return None;
        }
        let took = ticks::duration(took);
        (took > BLOCKING_POLL && longest(before) <= BLOCKING_POLL).then_some(took)
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
