//! How a cancel gets from a node to what is beneath: marks and wakes, under the rules of the module head of `cancel`.

use std::sync::Arc;
use std::task::Waker;

use futures_task::waker;

use super::beneath::State;
use super::flags::Flag;
use super::node::Node;
use super::reason::CancelReason;
use super::wake::wake_all;

/// Whether a walk goes on beneath a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    Descend,
    Stop,
}

/// What a walk knows of the node that it visits, under that node's lock.
#[derive(Debug)]
pub(super) struct Visit<'a> {
    pub(super) is_self: bool,
    /// A shield beneath the node where the walk began.
    pub(super) enters_shield: bool,
    state: &'a mut State,
}

impl Node {
    /// Cancels this node and everything beneath it that is not shielded. Only the first reason counts.
    pub(crate) fn cancel(self: &Arc<Self>, reason: CancelReason) {
        self.raise(Flag::Called);
        if self.spread(&reason) {
            self.raise(Flag::Own);
        }
    }

    /// Marks this node and what inherits from it, then wakes it and the roots of other tasks; whether this node was new.
    pub(super) fn spread(self: &Arc<Self>, reason: &CancelReason) -> bool {
        let mut wakers = Vec::new();
        let mut is_new = false;
        self.walk(|node, visit| {
            if visit.enters_shield || node.is_cancelled() {
                return Walk::Stop;
            }
            node.mark(visit.state, reason);
            is_new |= visit.is_self;
            if visit.is_self || node.is_own_task() {
                wakers.extend(visit.waker(node));
            }
            Walk::Descend
        });
        wake_all(wakers);
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
    pub(super) fn harden_beneath(self: &Arc<Self>, reason: &CancelReason) {
        let mut wakers = Vec::new();
        let mut void = Vec::new();
        self.walk(|node, visit| {
            if node.is_hard() {
                return Walk::Stop;
            }
            if node.is_shield() {
                visit.state.reason.get_or_insert_with(|| reason.clone());
                void.extend(visit.state.more.as_mut().and_then(|more| more.shielding.take()));
            } else if !node.is_cancelled() {
                node.mark(visit.state, reason);
            }
            node.raise(Flag::Hard);
            wakers.extend(visit.waker(node));
            Walk::Descend
        });
        wakers.reverse();
        wake_all(wakers);
        // After the wakes: what was held finds its shield runnable.
        drop(void);
    }

    /// Wakes every boundary and leaf beneath in the same task, deepest first, and tells the shields there that their time
    /// begins; only the first call does.
    ///
    /// It marks as it goes: the canceller may still be on its way down, and what is woken must see the flag. The canceller
    /// stops at what is marked, so the tasks that hang from there are told from here (tests: `cancel_from_a_thread`).
    pub(crate) fn wake_beneath(self: &Arc<Self>) {
        if self.has(Flag::Passed) {
            return;
        }
        let reason = self.reason();
        let mut wakers = Vec::new();
        let mut tasks = Vec::new();
        let mut shields = Vec::new();
        self.walk(|node, visit| {
            if visit.enters_shield {
                if visit.state.is_patient() {
                    shields.push(Arc::clone(node));
                }
                return Walk::Stop;
            }
            if !visit.is_self && node.is_own_task() {
                // Else the canceller was first, and tells it.
                if !node.is_cancelled() {
                    tasks.push(Arc::clone(node));
                }
                return Walk::Stop;
            }
            if !node.raise(Flag::Passed) {
                return Walk::Stop;
            }
            if !node.is_cancelled() {
                node.mark(visit.state, &reason);
            }
            if !visit.is_self {
                wakers.extend(match (&visit.state.waker, node.turn()) {
                    (None, Some(turn)) => turn.call(),
                    (registered, _) => registered.clone(),
                });
            }
            visit.state.add_leaves(&mut wakers);
            Walk::Descend
        });
        for task in tasks {
            task.spread(&reason);
        }
        wakers.reverse();
        wake_all(wakers);
        for shield in shields {
            shield.lose_patience(&reason);
        }
    }

    /// Visits this node and what is beneath, each under its own lock, parents first.
    pub(super) fn walk(self: &Arc<Self>, mut visitor: impl FnMut(&Arc<Self>, Visit<'_>) -> Walk) {
        let mut todo = Vec::new();
        let mut visit = |node: &Arc<Self>, todo: &mut Vec<Arc<Self>>| {
            let mut state = node.state.lock();
            let is_self = Arc::ptr_eq(node, self);
            let enters_shield = !is_self && node.is_shield();
            if visitor(node, Visit { is_self, enters_shield, state: &mut state }) == Walk::Descend {
                state.add_beneath(todo);
            }
        };
        visit(self, &mut todo);
        while let Some(node) = todo.pop() {
            visit(&node, &mut todo);
            // Dropped here, where no lock is held: the last reference takes its parent's.
        }
    }

    /// Visits this node and those above whose cancel would reach it, innermost first.
    pub(super) fn unshielded_above(self: &Arc<Self>, mut visitor: impl FnMut(&Arc<Self>)) {
        let mut next = Some(Arc::clone(self));
        while let Some(node) = next {
            visitor(&node);
            next = if node.is_shield() { None } else { node.parent() };
        }
    }

    /// Whether less is registered beneath in this task than when this was asked before: the cancelled code gets on.
    pub(super) fn has_less_beneath(self: &Arc<Self>) -> bool {
        let mut count = 0;
        self.walk(|node, visit| {
            if !visit.is_self && node.is_own_task() {
                return Walk::Stop;
            }
            count += 1 + visit.state.leaves().count();
            Walk::Descend
        });
        let last = self.change_more(|more| more.counted.replace(count));
        last.is_none_or(|last| count < last)
    }

    /// Sets reason and flag; `state` is this node's.
    fn mark(&self, state: &mut State, reason: &CancelReason) {
        // A shield that a hard stop reached knows a reason already.
        state.reason.get_or_insert_with(|| reason.clone());
        self.raise(Flag::Cancelled);
    }
}

impl Visit<'_> {
    /// What wakes the boundary of the visited node.
    fn waker(&self, node: &Arc<Node>) -> Option<Waker> {
        let registered = self.state.waker.clone();
        registered.or_else(|| node.turn.is_some().then(|| waker(Arc::clone(node))))
    }
}
