//! How a cancel gets from a node to what is beneath: marks and wakes, under the rules of the module head of `cancel`.

use std::cell::Cell;
use std::sync::Arc;
use std::task::Waker;

use futures_task::waker;

use super::beneath::State;
use super::flags::Flag;
use super::node::Node;
use super::reason::CancelReason;
use super::wake::{each, wake_all};

/// Whether a walk goes on beneath a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    Descend,
    /// But for the children that a nursery polls itself.
    BesideChildren,
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

    /// Makes the pass of this node and what is beneath, see [`Pass`]; only the first call does.
    pub(crate) fn wake_beneath(self: &Arc<Self>) {
        if !self.has(Flag::Passed) {
            let reason = self.reason();
            Pass::with(|pass| pass.over(self, &reason, Walk::Descend));
        }
    }

    /// The same for a nursery that is being polled, but for its own children: it [takes](Pass::take_in) each in, because it
    /// finds them without a walk. The reason, if this is the first call.
    pub(crate) fn wake_beside_children(self: &Arc<Self>) -> Option<CancelReason> {
        if self.has(Flag::Passed) {
            return None;
        }
        let reason = self.reason();
        Pass::with(|pass| pass.over(self, &reason, Walk::BesideChildren));
        Some(reason)
    }

    /// Visits this node and what is beneath, each under its own lock, parents first.
    pub(super) fn walk(self: &Arc<Self>, visitor: impl FnMut(&Arc<Self>, Visit<'_>) -> Walk) {
        self.walk_with(&mut Vec::new(), visitor);
    }

    /// The same with memory that is kept.
    fn walk_with(
        self: &Arc<Self>,
        todo: &mut Vec<Arc<Self>>,
        mut visitor: impl FnMut(&Arc<Self>, Visit<'_>) -> Walk,
    ) {
        let mut visit = |node: &Arc<Self>, todo: &mut Vec<Arc<Self>>| {
            let mut state = node.state.lock();
            let is_self = Arc::ptr_eq(node, self);
            let enters_shield = !is_self && node.is_shield();
            match visitor(node, Visit { is_self, enters_shield, state: &mut state }) {
                Walk::Descend => state.add_beneath(todo),
                Walk::BesideChildren => state.add_beside_children(todo),
                Walk::Stop => {}
            }
        };
        visit(self, todo);
        while let Some(node) = todo.pop() {
            visit(&node, todo);
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

/// A pass: wakes every boundary and leaf beneath in the same task, deepest first, and tells the shields there that their
/// time begins.
///
/// It marks as it goes: the canceller may still be on its way down, and what is woken must see the flag. The canceller
/// stops at what is marked, so the tasks that hang from there are told from here (tests: `cancel_from_a_thread`).
///
/// Its memory is kept from pass to pass: many may be cancelled at once.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    todo: Vec<Arc<Node>>,
    wakers: Vec<Waker>,
    tasks: Vec<Arc<Node>>,
    shields: Vec<Arc<Node>>,
}

thread_local! {
    /// Empty vectors.
    static KEPT: Cell<Pass> = const { Cell::new(Pass::new()) };
}

impl Pass {
    /// A large pass keeps nothing.
    const MAX_KEPT: usize = 256;

    const fn new() -> Self {
        Self { todo: Vec::new(), wakers: Vec::new(), tasks: Vec::new(), shields: Vec::new() }
    }

    /// Runs passes of this thread; a waker may run others meanwhile.
    pub(crate) fn with(run: impl FnOnce(&mut Self)) {
        // When the thread-local is gone nothing is kept.
        let mut pass = KEPT.try_with(Cell::take).unwrap_or_default();
        run(&mut pass);
        let Self { todo, wakers, tasks, shields } = &pass;
        let sizes = [todo.capacity(), wakers.capacity(), tasks.capacity(), shields.capacity()];
        if sizes.iter().all(|size| *size <= Self::MAX_KEPT) {
            let _gone = KEPT.try_with(|kept| kept.set(pass));
        }
    }

    /// Takes in a child of the nursery that makes the pass, which polls it next.
    pub(crate) fn take_in(&mut self, child: &Arc<Node>, reason: &CancelReason) {
        if !child.is_cancelled() {
            // The canceller is still on its way.
            child.spread(reason);
        }
        self.over(child, reason, Walk::Descend);
    }

    fn over(&mut self, from: &Arc<Node>, reason: &CancelReason, beneath: Walk) {
        let Self { todo, wakers, tasks, shields } = self;
        // A child that is polled next need not be woken by each that waits in it.
        let due = from.turn().filter(|turn| turn.is_due()).map(|_| Arc::as_ptr(from).cast::<()>());
        let is_needed = |waker: &&Waker| due != Some(waker.data());
        from.walk_with(todo, |node, visit| {
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
                node.mark(visit.state, reason);
            }
            if !visit.is_self {
                wakers.extend(match (&visit.state.waker, node.turn()) {
                    (None, Some(turn)) => turn.call(),
                    (registered, _) => registered.as_ref().filter(is_needed).cloned(),
                });
            }
            wakers.extend(visit.state.wakers_of_leaves().filter(is_needed).cloned());
            if visit.is_self { beneath } else { Walk::Descend }
        });
        for task in tasks.drain(..) {
            task.spread(reason);
        }
        each(wakers.drain(..).rev(), Waker::wake);
        shields.drain(..).for_each(|shield| shield.lose_patience(reason));
    }
}

impl Visit<'_> {
    /// What wakes the boundary of the visited node.
    fn waker(&self, node: &Arc<Node>) -> Option<Waker> {
        let registered = self.state.waker.clone();
        registered.or_else(|| node.turn.is_some().then(|| waker(Arc::clone(node))))
    }
}
