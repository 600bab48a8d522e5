//! What is true of a node for good: one bit each, set at most once and never cleared.

use crate::lock::atomic::{AtomicU32, Ordering};

/// The bits of a node, in one word: a program may have a million nodes.
#[derive(Debug)]
pub(super) struct Flags(AtomicU32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Flag {
    /// A shield: a cancel from above stops here.
    Shield = 1,
    /// The root of another task than its parent's.
    OwnTask = 1 << 1,
    /// The root of a service child.
    Daemon = 1 << 2,
    /// It, or something above it whose cancel reaches it, was cancelled; its reason is set before.
    Cancelled = 1 << 3,
    /// This node itself was cancelled, not only something above it.
    Called = 1 << 4,
    /// The reason comes from a cancel of this node itself.
    Own = 1 << 5,
    /// The grace is over: shields beneath count no more.
    Hard = 1 << 6,
    /// The boundary has been polled.
    Entered = 1 << 7,
    /// It, or something above it whose cancel would reach it, has times.
    Timed = 1 << 8,
    /// It has, or had, times of its own.
    HasTimes = 1 << 9,
    /// It was made where task variables were set.
    HasVars = 1 << 10,
    /// A cancel was delivered here before: the next delivery yields first.
    Delivered = 1 << 11,
    /// A pass has woken what is beneath; one is enough, because what registers later sees the cancel at once.
    Passed = 1 << 12,
    /// The scope whose node it is was run.
    Run = 1 << 13,
    /// The outermost scope of code that is in no task: the run knows it because there are tasks beneath.
    Adopted = 1 << 14,
    /// It is, or was, held: only then anybody has to count.
    Held = 1 << 15,
}

impl Flags {
    pub(super) fn of(flags: impl Iterator<Item = Flag>) -> Self {
        Self(AtomicU32::new(flags.fold(0, |bits, flag| bits | flag as u32)))
    }

    /// Whether none is set but perhaps [`Flag::Timed`].
    pub(super) fn are_new(&self) -> bool {
        self.0.load(Ordering::Acquire) & !(Flag::Timed as u32) == 0
    }

    /// Acquire: what was written before the flag was raised is visible where this is true.
    pub(super) fn has(&self, flag: Flag) -> bool {
        self.0.load(Ordering::Acquire) & flag as u32 != 0
    }

    /// Whether a look at the scope would find neither a cancel nor a clock to look at.
    pub(super) fn are_quiet(&self) -> bool {
        self.0.load(Ordering::Acquire) & (Flag::Cancelled as u32 | Flag::Timed as u32) == 0
    }

    /// Sets the flag; whether it was not set before.
    pub(super) fn raise(&self, flag: Flag) -> bool {
        self.0.fetch_or(flag as u32, Ordering::AcqRel) & flag as u32 == 0
    }
}
