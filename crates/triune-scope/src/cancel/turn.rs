//! Whose turn it is among the children that a nursery polls in its own task.
//!
//! The root node of such a child is its waker: a wake puts the child's ticket on the list of its nursery, and wakes the
//! nursery if nothing was on the list. So a child registers nowhere, and the cancel of many wakes their nursery once. The
//! set that polls them is `nursery::set`.
//!
//! # Invariants
//!
//! 1. A child is *due* from the moment it is put into the set until its first poll begins, and from a wake until the poll
//!    for which it was woken begins. A wake of a child that is due does nothing. One that has ended stays due for ever.
//! 2. A wake marks and lists under one lock, so that whoever finds a child due finds its ticket on the list, or in the hands
//!    of the nursery that is about to poll it: no pass of a cancel can look between the two.
//! 3. While the nursery is polled a wake only lists. At the end of its poll the nursery has itself polled again if anything
//!    is on the list. So a child that wakes itself for ever is polled once per poll of its nursery, however deep
//!    nurseries are nested.
//! 4. A ticket names a slot of the set and the child that was in it: a late wake does not reach who came after.
//! 5. The lock is a leaf: it is taken under those of nodes, and nothing is called with it held.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;

use futures_task::ArcWake;

use super::node::Node;
use crate::lock::Mutex;
use crate::lock::atomic::{AtomicU64, Ordering};

/// The children of one nursery that want to be polled.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    due: Vec<Ticket>,
    /// Wakes the nursery.
    waker: Option<Waker>,
    /// The nursery looks here before its poll is over.
    polling: bool,
    /// There is something else that it must look at.
    rung: bool,
}

/// One child in the set of its nursery: its slot, and a number that no other child in that slot has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Less than 2^31.
    pub(crate) slot: u32,
    pub(crate) stamp: u32,
}

/// What a child's root node knows of the set that polls it.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    /// The ticket, as soon as there is one, and whether the child is due.
    ticket: AtomicU64,
}

const DUE: u64 = 1 << 63;

impl Turns {
    /// Begins a poll of the nursery; it ends when the result is dropped.
    pub(crate) fn polling<'a>(&'a self, waker: &'a Waker) -> Polling<'a> {
        let mut list = self.0.lock();
        list.polling = true;
        if !list.waker.as_ref().is_some_and(|last| last.will_wake(waker)) {
            let old = list.waker.replace(waker.clone());
            drop(list);
            drop(old);
        }
        Polling { turns: self, waker }
    }

    /// Tells the nursery that there is something else to look at; whether it must be woken.
    pub(crate) fn ring(&self) -> bool {
        let mut list = self.0.lock();
        list.rung = true;
        !list.polling
    }

    /// Whether somebody has rung since this was asked last.
    pub(crate) fn has_rung(&self) -> bool {
        std::mem::take(&mut self.0.lock().rung)
    }

    /// Takes the list, and leaves `empty` in its place; and whether somebody has rung since this was asked last.
    pub(crate) fn take(&self, empty: Vec<Ticket>) -> (Vec<Ticket>, bool) {
        debug_assert!(empty.is_empty(), "a ticket would be used twice");
        let mut list = self.0.lock();
        (std::mem::replace(&mut list.due, empty), std::mem::take(&mut list.rung))
    }

    /// The nursery is gone: nobody is woken any more.
    pub(crate) fn close(&self) {
        let old = std::mem::take(&mut *self.0.lock());
        drop(old);
    }
}

/// A poll of a nursery: its children need not wake it.
#[must_use = "the poll ends at once"]
pub(crate) struct Polling<'a> {
    turns: &'a Turns,
    waker: &'a Waker,
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        let is_behind = {
            let mut list = self.turns.0.lock();
            list.polling = false;
            list.rung || !list.due.is_empty()
        };
        if is_behind {
            if std::thread::panicking() {
                // A second panic would abort the process.
                drop(catch_unwind(AssertUnwindSafe(|| self.waker.wake_by_ref())));
            } else {
                self.waker.wake_by_ref();
            }
        }
    }
}

impl Ticket {
    fn of(bits: u64) -> Self {
        let [slot, stamp] = [(bits & !DUE) >> 32, bits & u64::from(u32::MAX)]
            .map(|half| u32::try_from(half).expect("it was cut to 32 bits"));
        Self { slot, stamp }
    }

    fn bits(self) -> u64 {
        u64::from(self.slot) << 32 | u64::from(self.stamp)
    }
}

impl Turn {
    /// Of a child that is not in the set yet.
    pub(super) fn new(turns: Arc<Turns>) -> Self {
        Self { turns, ticket: AtomicU64::new(DUE) }
    }

    /// The child has a place in the set, and its first poll begins.
    pub(crate) fn admit(&self, ticket: Ticket) {
        self.ticket.store(ticket.bits(), Ordering::Release);
    }

    /// Whether the child was given this ticket.
    pub(crate) fn has(&self, ticket: Ticket) -> bool {
        Ticket::of(self.ticket.load(Ordering::Relaxed)) == ticket
    }

    /// A poll begins: from now on a wake asks for another one.
    pub(crate) fn begin(&self) {
        // Acquire: what was written before a wake is visible to the poll.
        self.ticket.fetch_and(!DUE, Ordering::AcqRel);
    }

    /// Whether it is to be polled once more.
    pub(super) fn is_due(&self) -> bool {
        self.ticket.load(Ordering::Acquire) & DUE != 0
    }

    /// For the nursery itself, which polls who is not due yet: the ticket, unless it is on the list already.
    pub(crate) fn rouse(&self) -> Option<Ticket> {
        let before = self.ticket.fetch_or(DUE, Ordering::AcqRel);
        (before & DUE == 0).then(|| Ticket::of(before))
    }

    /// The child has ended.
    pub(super) fn end(&self) {
        self.ticket.fetch_or(DUE, Ordering::AcqRel);
    }

    /// Asks for a poll; what is returned must be woken, where no lock is held.
    #[must_use = "the nursery would not poll the child"]
    pub(super) fn call(&self) -> Option<Waker> {
        let mut list = self.turns.0.lock();
        if self.ticket.fetch_or(DUE, Ordering::AcqRel) & DUE != 0 {
            return None;
        }
        list.due.push(Ticket::of(self.ticket.load(Ordering::Relaxed)));
        if list.polling || list.due.len() > 1 { None } else { list.waker.clone() }
    }
}

/// Of a child in the set of a nursery; others are woken by what they have registered.
impl ArcWake for Node {
    fn wake_by_ref(node: &Arc<Self>) {
        let waker = node.turn().and_then(Turn::call);
        waker.into_iter().for_each(Waker::wake);
    }
}
