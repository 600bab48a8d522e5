//! The times of a node: its deadline, after which it is cancelled, and its hard limit, after which it is dropped.
//!
//! This file knows the clock but no timer: whoever polls a node keeps a `time::timer::Timer` for it and asks here what
//! to wait for. Owns the walk up for questions about time.
//!
//! 1. A node without times pays one load per poll; so does one that never hears of any.
//! 2. `timed` is set on every unshielded node beneath a node that has times, and never cleared, like the flag of a
//!    cancel: code that asks must look at the clock only there.
//! 3. A time that has passed is turned into a cancel by whoever notices first: the timer, or a question.
//! 4. The times are behind the lock of their node.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::flags::Flag;
use super::node::Node;
use super::reason::{CancelReason, Cause};
use super::spread::Walk;

/// A point in time, or a span that begins with the first poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    At(Instant),
    After(Duration),
}

/// The times of one node.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    deadline: Option<When>,
    hard: Option<When>,
    /// Who is to blame for the deadline.
    location: Option<&'static Location<'static>>,
}

impl When {
    fn at(self) -> Option<Instant> {
        match self {
            Self::At(at) => Some(at),
            Self::After(_) => None,
        }
    }

    /// Counts from `now`; a span that is longer than the clock can tell has no end.
    fn from(self, now: Instant) -> Option<Self> {
        match self {
            Self::At(_) => Some(self),
            Self::After(span) => now.checked_add(span).map(Self::At),
        }
    }
}

impl Node {
    /// Whether this node has, or had, times of its own.
    pub(crate) fn has_times(&self) -> bool {
        self.has(Flag::HasTimes)
    }

    fn times(&self) -> Times {
        if self.has_times() {
            self.with_more(|more| more.times).unwrap_or_default()
        } else {
            Times::default()
        }
    }

    fn change_times<R>(&self, change: impl FnOnce(&mut Times) -> R) -> R {
        let changed = self.change_more(|more| change(&mut more.times));
        self.raise(Flag::HasTimes);
        changed
    }

    /// The first poll: spans begin, here or at the first look at them.
    pub(crate) fn enter(&self) {
        self.raise(Flag::Entered);
    }

    pub(crate) fn has_entered(&self) -> bool {
        self.has(Flag::Entered)
    }

    /// The times of a node that is polled: its spans have begun.
    ///
    /// Asked for at each poll and not only at the first: whoever sets a span just then may not see yet that the node is
    /// entered, but it wakes the boundary, or the boundary finds it after its registration.
    fn begun(&self) -> Times {
        let times = self.times();
        let is_span = |when| matches!(when, Some(When::After(_)));
        if !self.has(Flag::Entered) || !(is_span(times.deadline) || is_span(times.hard)) {
            return times;
        }
        let now = Instant::now();
        self.change_times(|times| {
            times.deadline = times.deadline.and_then(|when| when.from(now));
            times.hard = times.hard.and_then(|when| when.from(now));
            *times
        })
    }

    /// Sets, moves or removes the deadline. One that has fired stays fired.
    pub(crate) fn set_deadline(
        self: &Arc<Self>,
        when: Option<When>,
        location: Option<&'static Location<'static>>,
    ) {
        if when.is_none() && !self.has_times() {
            return;
        }
        let when = self.begin(when);
        self.change_times(|times| {
            times.deadline = when;
            times.location = location;
        });
        self.times_changed();
    }

    /// Sets the hard limit; a later one than the present is not accepted.
    pub(crate) fn limit_hard(self: &Arc<Self>, when: When) {
        let Some(when) = self.begin(Some(when)) else { return };
        self.change_times(|times| {
            times.hard = match (times.hard, when) {
                (Some(When::At(old)), When::At(new)) => Some(When::At(old.min(new))),
                (Some(When::After(old)), When::After(new)) => Some(When::After(old.min(new))),
                (Some(When::After(_)) | None, new) | (Some(new), When::After(_)) => Some(new),
            };
        });
        self.times_changed();
    }

    pub(crate) fn deadline(&self) -> Option<When> {
        self.begun().deadline
    }

    /// A span begins at once where the first poll is over.
    fn begin(&self, when: Option<When>) -> Option<When> {
        match when {
            Some(When::After(_)) if self.has(Flag::Entered) => when?.from(Instant::now()),
            _ => when,
        }
    }

    fn times_changed(self: &Arc<Self>) {
        self.mark_timed();
        self.notice_time();
        // Its timer may wait for another moment.
        self.wake_boundary();
    }

    /// When the boundary of this node must look again, if nothing else happens.
    pub(crate) fn next_alarm(&self) -> Option<Instant> {
        let times = self.begun();
        let deadline = times.deadline.and_then(When::at).filter(|_| !self.is_cancelled());
        let hard = times.hard.and_then(When::at).filter(|_| !self.is_hard());
        deadline.into_iter().chain(hard).min()
    }

    /// Looks at the clock and cancels, or drops, if it is time.
    pub(crate) fn notice_time(self: &Arc<Self>) {
        if !self.has_times() {
            return;
        }
        let times = self.begun();
        let now = Instant::now();
        let passed = |when: Option<When>| when.and_then(When::at).is_some_and(|at| at <= now);
        if !self.is_called() && passed(times.deadline) {
            let mut reason = CancelReason::from(Cause::Deadline);
            if let Some(location) = times.location {
                reason = reason.at(location);
            }
            self.cancel(reason);
        }
        if !self.is_hard() && passed(times.hard) {
            self.harden(&self.cancel_reason().unwrap_or_else(|| Cause::Deadline.into()));
        }
    }

    /// The timer of the hard limit `at` went off. One that was moved in the meantime has a timer of its own.
    pub(crate) fn expire(self: &Arc<Self>, at: Instant) {
        if self.times().hard.and_then(When::at).is_some_and(|hard| hard <= at) {
            self.harden(&self.cancel_reason().unwrap_or_else(|| Cause::Deadline.into()));
        }
    }

    /// As [`notice_time`](Self::notice_time), for everything whose cancel would reach this node; outermost first.
    pub(crate) fn notice_time_above(self: &Arc<Self>) {
        if self.is_timed() {
            let mut chain = Vec::new();
            self.unshielded_above(|node| {
                if node.has_times() {
                    chain.push(Arc::clone(node));
                }
            });
            chain.iter().rev().for_each(Self::notice_time);
        }
    }

    /// The earliest deadline that applies here; the present if a cancel does already.
    pub(crate) fn effective_deadline(self: &Arc<Self>) -> Option<Instant> {
        if self.is_cancelled() {
            return Some(Instant::now());
        }
        if !self.is_timed() {
            return None;
        }
        let mut earliest: Option<Instant> = None;
        self.unshielded_above(|node| {
            let times = node.begun();
            let own = times.deadline.into_iter().chain(times.hard).filter_map(When::at);
            earliest = earliest.into_iter().chain(own).min();
        });
        earliest
    }

    /// Tells everything beneath that is not shielded to look at the clock.
    pub(super) fn mark_timed(self: &Arc<Self>) {
        self.walk(
            |node, visit| {
                if visit.enters_shield || !node.raise(Flag::Timed) { Walk::Stop } else { Walk::Descend }
            },
        );
    }
}
