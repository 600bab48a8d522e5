//! One boundary in the tree of scopes: its flag, its reason and what is registered beneath it.
//!
//! A node knows nothing of futures; `boundary` polls, this file marks, wakes and counts. Invariants: see the
//! module head of `cancel`.

use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;

use slab::Slab;

use super::deadline::Deadlines;
use super::reason::CancelReason;
use crate::lock::Mutex;
use crate::lock::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::probe::census::{Entry, Kind};
use crate::tree::record::Record;

/// Whether a node takes over the cancel of its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inherit {
    Yes,
    /// A shield: a cancel from above stops here.
    No,
}

/// Whether a node and its parent live in the same task, that is in the same stack of polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    SameTask,
    OwnTask,
}

/// What a hold keeps from: every drop, or not that of a hard stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grip {
    /// A shield's: void after the grace.
    Soft,
    /// A nursery's with parallel children: they are stopped in their own tasks, and somebody must wait for them.
    Firm,
}

/// Whether a walk goes on beneath a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    Descend,
    Stop,
}

/// What a walk knows of the node that it visits.
#[derive(Debug)]
pub(super) struct Visit<'a> {
    is_self: bool,
    /// A shield beneath the node where the walk began.
    pub(super) enters_shield: bool,
    state: &'a State,
}

#[derive(Debug)]
pub(crate) struct Node {
    inherit: Inherit,
    /// Release on set, after `reason`; pairs with the Acquire in `is_cancelled`.
    cancelled: AtomicBool,
    /// This node itself was cancelled, not only something above it.
    called: AtomicBool,
    /// The reason comes from a cancel of this node itself.
    own: AtomicBool,
    /// The grace is over: shields beneath count no more.
    hard: AtomicBool,
    /// The boundary has been polled.
    pub(super) entered: AtomicBool,
    /// This node, or something above it whose cancel would reach it, has times.
    pub(super) timed: AtomicBool,
    /// A cancel was delivered here before: the next delivery yields first.
    delivered: AtomicBool,
    /// A pass has woken what is beneath; one is enough, because what registers later sees the flag at once.
    passed: AtomicBool,
    holds: AtomicUsize,
    /// Those of the holds that even a hard stop waits for.
    firm_holds: AtomicUsize,
    reason: OnceLock<CancelReason>,
    /// Set on the root node of a task.
    record: OnceLock<Arc<Record>>,
    pub(super) deadlines: Deadlines,
    state: Mutex<State>,
    pub(crate) census: Entry,
}

#[derive(Debug, Default)]
struct State {
    link: Option<Link>,
    waker: Option<Waker>,
    beneath: Slab<Beneath>,
}

#[derive(Debug)]
struct Link {
    parent: Arc<Node>,
    key: usize,
    place: Place,
}

#[derive(Debug)]
enum Beneath {
    Node(Weak<Node>),
    Leaf(Waker),
}

impl Node {
    pub(crate) fn new(inherit: Inherit) -> Arc<Self> {
        Arc::new(Self {
            inherit,
            cancelled: AtomicBool::new(false),
            called: AtomicBool::new(false),
            own: AtomicBool::new(false),
            hard: AtomicBool::new(false),
            entered: AtomicBool::new(false),
            timed: AtomicBool::new(false),
            delivered: AtomicBool::new(false),
            passed: AtomicBool::new(false),
            holds: AtomicUsize::new(0),
            firm_holds: AtomicUsize::new(0),
            reason: OnceLock::new(),
            record: OnceLock::new(),
            deadlines: Deadlines::default(),
            state: Mutex::default(),
            census: Entry::new(Kind::Scope),
        })
    }

    /// Puts this node beneath `parent`; it takes over the parent's cancel unless it is a shield.
    pub(crate) fn link(self: &Arc<Self>, parent: &Arc<Node>, place: Place) {
        {
            let mut above = parent.state.lock();
            let key = above.beneath.insert(Beneath::Node(Arc::downgrade(self)));
            let mut own = self.state.lock();
            debug_assert!(own.link.is_none(), "a node is linked once");
            own.link = Some(Link { parent: Arc::clone(parent), key, place });
        }
        // Whoever marked the parent before the insertion is visible by its lock; whoever does it later sees us.
        if self.inherit == Inherit::Yes {
            if parent.is_cancelled() {
                self.spread(&parent.reason());
            }
            if parent.is_timed() {
                self.mark_timed();
            }
        }
        if parent.is_hard() {
            self.harden_beneath(&parent.reason());
        }
    }

    /// Takes this node out of the tree; what it counted for is released by the guards that counted.
    pub(crate) fn unlink(&self) {
        let link = self.state.lock().link.take();
        if let Some(link) = link {
            let entry = link.parent.state.lock().beneath.try_remove(link.key);
            drop(entry);
        }
    }

    /// Makes this node the root of a task.
    pub(crate) fn set_record(&self, record: &Arc<Record>) {
        if self.record.set(Arc::clone(record)).is_err() {
            unreachable!("a node is the root of one task");
        }
    }

    /// The task whose root this node is.
    pub(crate) fn record(&self) -> Option<&Arc<Record>> {
        self.record.get()
    }

    /// Whether this is the root of another task than its parent's.
    pub(crate) fn is_own_task(&self) -> bool {
        self.state.lock().is_own_task()
    }

    /// The living nodes directly beneath, shields too.
    pub(crate) fn nodes_beneath(&self) -> Vec<Arc<Node>> {
        self.state.lock().nodes_beneath().collect()
    }

    /// The node above, while this one is linked.
    pub(crate) fn parent(&self) -> Option<Arc<Node>> {
        self.state.lock().link.as_ref().map(|link| Arc::clone(&link.parent))
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(crate) fn is_called(&self) -> bool {
        self.called.load(Ordering::Acquire)
    }

    pub(crate) fn is_shield(&self) -> bool {
        self.inherit == Inherit::No
    }

    pub(crate) fn cancel_reason(&self) -> Option<CancelReason> {
        self.is_cancelled().then(|| self.reason())
    }

    /// Whether it is cancelled and nothing beneath could notice so far.
    pub(crate) fn has_unseen_cancel(&self) -> bool {
        self.is_cancelled() && !self.passed.load(Ordering::Acquire)
    }

    /// Whether the reason is that of a cancel of this node itself, not of one above.
    pub(crate) fn is_own(&self) -> bool {
        self.own.load(Ordering::Acquire)
    }

    pub(crate) fn is_hard(&self) -> bool {
        self.hard.load(Ordering::Acquire)
    }

    pub(super) fn is_timed(&self) -> bool {
        self.timed.load(Ordering::Acquire)
    }

    /// Cancels this node and everything beneath it that is not shielded. Only the first reason counts.
    pub(crate) fn cancel(self: &Arc<Self>, reason: CancelReason) {
        self.called.store(true, Ordering::Release);
        if self.spread(&reason) {
            self.own.store(true, Ordering::Release);
        }
    }

    /// Marks this node and what inherits from it, then wakes it and the roots of other tasks; whether this node was new.
    fn spread(self: &Arc<Self>, reason: &CancelReason) -> bool {
        let mut wakers = Vec::new();
        let mut is_new = false;
        self.walk(|node, visit| {
            if visit.enters_shield || node.is_cancelled() {
                return Walk::Stop;
            }
            node.mark(reason.clone());
            is_new |= visit.is_self;
            if visit.is_self || visit.state.is_own_task() {
                wakers.extend(visit.state.waker.clone());
            }
            Walk::Descend
        });
        wakers.into_iter().for_each(Waker::wake);
        is_new
    }

    /// Ends the grace: cancels this node, and drops what is beneath, shielded or not, as soon as it is polled.
    pub(crate) fn harden(self: &Arc<Self>, reason: &CancelReason) {
        self.cancel(reason.clone());
        self.harden_beneath(reason);
    }

    /// Unlike a cancel it wakes every boundary: nothing is to unwind, so none can look unreachable too early.
    ///
    /// A shield learns the reason for what links to it later, but it is not cancelled: it has no result to be cut off
    /// with, and what surrounds it is dropped anyway.
    fn harden_beneath(self: &Arc<Self>, reason: &CancelReason) {
        let mut wakers = Vec::new();
        self.walk(|node, visit| {
            if node.hard.swap(true, Ordering::AcqRel) {
                return Walk::Stop;
            }
            if node.is_shield() {
                node.reason.get_or_init(|| reason.clone());
            } else if !node.is_cancelled() {
                node.mark(reason.clone());
            }
            wakers.extend(visit.state.waker.clone());
            Walk::Descend
        });
        wakers.into_iter().rev().for_each(Waker::wake);
    }

    /// Wakes every boundary and leaf beneath in the same task, deepest first; only the first call does.
    ///
    /// It marks as it goes: the canceller may still be on its way down, and what is woken must see the flag. The canceller
    /// stops at what is marked, so the tasks that hang from there are told from here (tests: `cancel_from_a_thread`).
    pub(crate) fn wake_beneath(self: &Arc<Self>) {
        let reason = self.reason();
        let mut wakers = Vec::new();
        let mut tasks = Vec::new();
        self.walk(|node, visit| {
            if visit.enters_shield {
                return Walk::Stop;
            }
            if !visit.is_self && visit.state.is_own_task() {
                tasks.push(Arc::clone(node));
                return Walk::Stop;
            }
            if node.passed.swap(true, Ordering::AcqRel) {
                return Walk::Stop;
            }
            if !node.is_cancelled() {
                node.mark(reason.clone());
            }
            if !visit.is_self {
                wakers.extend(visit.state.waker.clone());
            }
            wakers.extend(visit.state.leaves_beneath());
            Walk::Descend
        });
        // Does nothing where the canceller was first.
        for task in tasks {
            task.spread(&reason);
        }
        wakers.into_iter().rev().for_each(Waker::wake);
    }

    /// Visits this node and what is beneath, each under its own lock, parents first.
    pub(super) fn walk(self: &Arc<Self>, mut visitor: impl FnMut(&Arc<Self>, Visit<'_>) -> Walk) {
        let mut todo = vec![Arc::clone(self)];
        let mut visited = Vec::new();
        while let Some(node) = todo.pop() {
            let state = node.state.lock();
            let is_self = Arc::ptr_eq(&node, self);
            let visit = Visit { is_self, enters_shield: !is_self && node.is_shield(), state: &state };
            if visitor(&node, visit) == Walk::Descend {
                todo.extend(state.nodes_beneath());
            }
            drop(state);
            // Dropped after the walk: dropping the last reference takes its parent's lock.
            visited.push(node);
        }
    }

    /// Visits this node and those above whose cancel would reach it, innermost first.
    pub(super) fn unshielded_above(self: &Arc<Self>, mut visitor: impl FnMut(&Arc<Self>)) {
        let mut next = Some(Arc::clone(self));
        while let Some(node) = next {
            visitor(&node);
            next = if node.is_shield() {
                None
            } else {
                node.state.lock().link.as_ref().map(|link| Arc::clone(&link.parent))
            };
        }
    }

    /// Wakes the boundary of this node.
    pub(super) fn wake(&self) {
        let waker = self.state.lock().waker.clone();
        waker.into_iter().for_each(Waker::wake);
    }

    /// Whether anything is registered beneath in this task.
    pub(crate) fn has_beneath(&self) -> bool {
        !self.state.lock().beneath.is_empty()
    }

    /// Remembers how to wake the boundary of this node.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let old = self.state.lock().waker.replace(waker.clone());
        drop(old);
    }

    /// Registers a leaf; its key stays valid until [`Node::remove_leaf`].
    pub(crate) fn insert_leaf(&self, waker: &Waker) -> usize {
        self.state.lock().beneath.insert(Beneath::Leaf(waker.clone()))
    }

    pub(crate) fn update_leaf(&self, key: usize, waker: &Waker) {
        let mut state = self.state.lock();
        let old = std::mem::replace(&mut state.beneath[key], Beneath::Leaf(waker.clone()));
        drop(state);
        drop(old);
    }

    pub(crate) fn remove_leaf(&self, key: usize) {
        let old = self.state.lock().beneath.try_remove(key);
        drop(old);
    }

    /// The first delivery of a cancel in this node is immediate (`true`); later ones must yield once before.
    pub(crate) fn deliver(&self) -> bool {
        !self.delivered.swap(true, Ordering::AcqRel)
    }

    /// Keeps this node and every node above it in the same task from being dropped by a cancel.
    pub(crate) fn hold(self: &Arc<Self>, grip: Grip) -> Hold {
        let mut held = Vec::new();
        let mut next = Some(Arc::clone(self));
        while let Some(node) = next {
            node.holds.fetch_add(1, Ordering::AcqRel);
            if grip == Grip::Firm {
                node.firm_holds.fetch_add(1, Ordering::AcqRel);
            }
            next = match &node.state.lock().link {
                Some(link) if link.place == Place::SameTask => Some(Arc::clone(&link.parent)),
                _ => None,
            };
            held.push(node);
        }
        Hold { nodes: held, grip }
    }

    pub(crate) fn is_held(&self) -> bool {
        let holds = if self.is_hard() { &self.firm_holds } else { &self.holds };
        holds.load(Ordering::Acquire) > 0
    }

    fn reason(&self) -> CancelReason {
        self.reason.get().cloned().expect("the reason is set before the flag")
    }

    /// Sets reason and flag; the caller holds this node's lock.
    fn mark(&self, reason: CancelReason) {
        // A shield that a hard stop reached knows a reason already.
        self.reason.get_or_init(|| reason);
        self.cancelled.store(true, Ordering::Release);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.unlink();
    }
}

impl State {
    fn is_own_task(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.place == Place::OwnTask)
    }

    /// The nodes beneath that are still alive. Whoever drops them must not hold this node's lock.
    fn nodes_beneath(&self) -> impl Iterator<Item = Arc<Node>> {
        self.beneath.iter().filter_map(|(_, beneath)| match beneath {
            Beneath::Node(node) => node.upgrade(),
            Beneath::Leaf(_) => None,
        })
    }

    fn leaves_beneath(&self) -> impl Iterator<Item = Waker> {
        self.beneath.iter().filter_map(|(_, beneath)| match beneath {
            Beneath::Leaf(waker) => Some(waker.clone()),
            Beneath::Node(_) => None,
        })
    }
}

/// Keeps a chain of nodes from being dropped by a cancel; released on drop.
///
/// It remembers the nodes themselves, because a future may be moved to another parent meanwhile.
#[derive(Debug)]
#[must_use = "the nodes are released at once when the hold is dropped"]
pub(crate) struct Hold {
    nodes: Vec<Arc<Node>>,
    grip: Grip,
}

impl Drop for Hold {
    fn drop(&mut self) {
        for node in &self.nodes {
            node.holds.fetch_sub(1, Ordering::AcqRel);
            if self.grip == Grip::Firm {
                node.firm_holds.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }
}
