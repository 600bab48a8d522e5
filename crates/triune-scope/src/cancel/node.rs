//! One boundary in the tree of scopes: its flags, its reason and what is registered beneath it.
//!
//! A node knows nothing of futures; `boundary` polls, this file marks, wakes and counts. The node at the root of a task
//! carries the task's record: the tree of scopes is the tree of tasks. Invariants: see the module head of `cancel`.
//!
//! Children come by the hundred thousand, so what most nodes never need is in one boxed [`More`].

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::task::Waker;

use futures_task::waker;
use slab::Slab;

use super::deadline::Times;
use super::flags::{Flag, Flags};
use super::patience::Shielding;
use super::reason::CancelReason;
use super::turn::{Turn, Turns};
use super::wake::wake_all;
use crate::lock::Mutex;
use crate::lock::atomic::{AtomicU32, Ordering};
use crate::probe::census::{Entry, Kind};
use crate::task::TaskInfo;
use crate::task_var::Vars;
use crate::tree::TaskWait;
use crate::tree::record::{Opening, Record};

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

#[derive(Debug)]
pub(crate) struct Node {
    pub(super) flags: Flags,
    /// Where the parent keeps it; written after the insertion.
    pub(super) key: AtomicU32,
    pub(super) own: Own,
    /// At the root of a child that its nursery polls itself.
    pub(super) turn: Option<Turn>,
    pub(super) state: Mutex<State>,
    pub(crate) census: Entry,
}

/// What the tree of tasks shows of a node.
#[derive(Debug)]
pub(super) enum Own {
    Nothing,
    /// The root of a task.
    Task(Record),
    /// The scope of a nursery.
    Nursery(Opening),
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// While it is linked.
    pub(super) parent: Option<Arc<Node>>,
    pub(super) waker: Option<Waker>,
    /// Set before the flag.
    pub(super) reason: Option<CancelReason>,
    /// The first node beneath: most have no other.
    pub(super) first: Option<Weak<Node>>,
    /// The first primitive that waits right here: most have no other.
    pub(super) leaf: Option<Box<(Waker, TaskWait)>>,
    pub(super) more: Option<Box<More>>,
}

/// What few nodes need.
#[derive(Debug, Default)]
pub(super) struct More {
    /// The nodes beneath, but for the first.
    nodes: Slab<Weak<Node>>,
    /// The primitives that wait right here, but for the first, and what the tree shows of them.
    leaves: Slab<(Waker, TaskWait)>,
    pub(super) times: Times,
    /// The shields and the nurseries with parallel children beneath in the same task.
    pub(super) holds: u32,
    /// Those of the holds that even a hard stop waits for.
    pub(super) firm_holds: u32,
    /// Of a shield: what it holds above, and for how long.
    pub(super) shielding: Option<Box<Shielding>>,
    /// How much was beneath when it was counted last, see [`Node::has_less_beneath`].
    counted: Option<usize>,
    vars: Vars,
    /// Of a nursery: the children that have no node yet.
    pub(super) announced: VecDeque<TaskInfo>,
    /// Of a nursery: the node on trial.
    pub(super) trial: Option<Arc<Node>>,
}

/// The key of [`State::first`]; those of `More::nodes` follow.
const FIRST: u32 = 0;

/// The key of a node on trial.
pub(super) const TRIAL: u32 = u32::MAX;

/// The key of [`State::leaf`]; those of `More::leaves` follow.
const FIRST_LEAF: usize = 0;

impl Node {
    pub(crate) fn new(inherit: Inherit) -> Arc<Self> {
        Arc::new(Self::with(inherit, Place::SameTask, None, None, State::default()))
    }

    /// The scope of a nursery.
    pub(crate) fn nursery(opening: Opening) -> Arc<Self> {
        let mut node = Self::with(Inherit::Yes, Place::SameTask, None, None, State::default());
        node.own = Own::Nursery(opening);
        Arc::new(node)
    }

    /// The root of a new task, linked beneath `parent`; its code sees `vars`.
    pub(crate) fn task(parent: &Arc<Node>, inherit: Inherit, record: Record, vars: Vars) -> Arc<Self> {
        Self::root(parent, Place::OwnTask, inherit, record, None, vars)
    }

    /// The root of a child that its nursery polls itself, linked beneath `parent`; its code sees `vars`.
    pub(crate) fn child(parent: &Arc<Node>, record: Record, turns: Arc<Turns>, vars: Vars) -> Arc<Self> {
        Self::root(parent, Place::SameTask, Inherit::Yes, record, Some(Turn::new(turns)), vars)
    }

    /// As [`child`](Self::child), but on trial: `parent` keeps it.
    pub(super) fn on_trial(parent: &Arc<Node>, record: Record, turns: Arc<Turns>) -> Arc<Self> {
        let state = State { parent: Some(Arc::clone(parent)), ..State::default() };
        let node = Self::with(Inherit::Yes, Place::SameTask, Some(record), Some(Turn::new(turns)), state);
        node.key.store(TRIAL, Ordering::Relaxed);
        Arc::new(node)
    }

    fn root(
        parent: &Arc<Node>,
        place: Place,
        inherit: Inherit,
        record: Record,
        turn: Option<Turn>,
        vars: Vars,
    ) -> Arc<Self> {
        let mut state = State { parent: Some(Arc::clone(parent)), ..State::default() };
        let has_vars = !vars.is_empty();
        if has_vars {
            state.more().vars = vars;
        }
        let node = Self::with(inherit, place, Some(record), turn, state);
        if has_vars {
            node.raise(Flag::HasVars);
        }
        let node = Arc::new(node);
        let key = parent.state.lock().insert(Arc::downgrade(&node));
        node.key.store(key, Ordering::Relaxed);
        node.take_over(parent);
        node
    }

    fn with(
        inherit: Inherit,
        place: Place,
        record: Option<Record>,
        turn: Option<Turn>,
        state: State,
    ) -> Self {
        let flags = Flags::new();
        if inherit == Inherit::No {
            flags.raise(Flag::Shield);
        }
        if place == Place::OwnTask {
            flags.raise(Flag::OwnTask);
        }
        Self {
            flags,
            key: AtomicU32::new(FIRST),
            own: record.map_or(Own::Nothing, Own::Task),
            turn,
            state: Mutex::new(state),
            census: Entry::new(Kind::Scope),
        }
    }

    /// Puts this node beneath `parent`; it takes over the parent's cancel unless it is a shield.
    pub(crate) fn link(self: &Arc<Self>, parent: &Arc<Node>, place: Place) {
        if place == Place::OwnTask {
            self.flags.raise(Flag::OwnTask);
        }
        {
            let mut above = parent.state.lock();
            let key = above.insert(Arc::downgrade(self));
            self.key.store(key, Ordering::Relaxed);
            let mut own = self.state.lock();
            debug_assert!(own.parent.is_none(), "a node is linked once");
            own.parent = Some(Arc::clone(parent));
        }
        self.take_over(parent);
    }

    /// Whoever marked the parent before the insertion is visible by its lock; whoever does it later sees us.
    fn take_over(self: &Arc<Self>, parent: &Arc<Node>) {
        if !self.is_shield() {
            if parent.is_cancelled() {
                self.spread(&parent.reason());
            }
            if parent.is_timed() {
                self.mark_timed();
            }
        }
        if parent.is_hard() {
            self.harden_beneath(&parent.reason());
        } else if self.is_shield() && parent.is_cancelled() {
            self.lose_patience(&parent.reason());
        }
    }

    /// Takes this node out of the tree; what it counted for is released by the guards that counted.
    pub(crate) fn unlink(&self) {
        let parent = self.state.lock().parent.take();
        if let Some(parent) = parent {
            self.unlink_from(&parent);
        }
    }

    fn unlink_from(&self, parent: &Node) {
        let entry = parent.state.lock().remove(self.key.load(Ordering::Relaxed));
        drop(entry);
    }

    pub(crate) fn has(&self, flag: Flag) -> bool {
        self.flags.has(flag)
    }

    /// Sets a flag; whether it was not set before.
    pub(crate) fn raise(&self, flag: Flag) -> bool {
        self.flags.raise(flag)
    }

    /// The task whose root this node is.
    pub(crate) fn record(&self) -> Option<&Record> {
        match &self.own {
            Own::Task(record) => Some(record),
            Own::Nothing | Own::Nursery(_) => None,
        }
    }

    /// The nursery whose scope this node is.
    pub(crate) fn opening(&self) -> Option<&Opening> {
        match &self.own {
            Own::Nursery(opening) => Some(opening),
            Own::Nothing | Own::Task(_) => None,
        }
    }

    /// What a child in the task of its nursery knows of the set that polls it.
    pub(crate) fn turn(&self) -> Option<&Turn> {
        self.turn.as_ref()
    }

    /// The task variables that were set where this node was made.
    pub(crate) fn vars(&self) -> Vars {
        if !self.has(Flag::HasVars) {
            return Vars::default();
        }
        self.state.lock().more.as_ref().map(|more| more.vars.clone()).unwrap_or_default()
    }

    /// Looks at what few nodes have, if this one has it.
    pub(super) fn with_more<R>(&self, look: impl FnOnce(&More) -> R) -> Option<R> {
        self.state.lock().more.as_deref().map(look)
    }

    /// Changes what few nodes have.
    pub(super) fn change_more<R>(&self, change: impl FnOnce(&mut More) -> R) -> R {
        change(self.state.lock().more())
    }

    /// Whether this is the root of another task than its parent's.
    pub(crate) fn is_own_task(&self) -> bool {
        self.has(Flag::OwnTask)
    }

    /// The living nodes directly beneath, shields too.
    pub(crate) fn nodes_beneath(&self) -> Vec<Arc<Node>> {
        let mut nodes = Vec::new();
        self.state.lock().add_beneath(&mut nodes);
        nodes
    }

    /// The node above, while this one is linked.
    pub(crate) fn parent(&self) -> Option<Arc<Node>> {
        self.state.lock().parent.clone()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.has(Flag::Cancelled)
    }

    /// Whether it is not cancelled, and no deadline could change that.
    pub(super) fn is_quiet(&self) -> bool {
        self.flags.are_quiet()
    }

    pub(crate) fn is_called(&self) -> bool {
        self.has(Flag::Called)
    }

    pub(crate) fn is_shield(&self) -> bool {
        self.has(Flag::Shield)
    }

    pub(crate) fn cancel_reason(&self) -> Option<CancelReason> {
        self.is_cancelled().then(|| self.reason())
    }

    /// Whether it is cancelled and nothing beneath could notice so far.
    pub(crate) fn has_unseen_cancel(&self) -> bool {
        self.is_cancelled() && !self.has(Flag::Passed)
    }

    /// Whether the reason is that of a cancel of this node itself, not of one above.
    pub(crate) fn is_own(&self) -> bool {
        self.has(Flag::Own)
    }

    pub(crate) fn is_hard(&self) -> bool {
        self.has(Flag::Hard)
    }

    pub(super) fn is_timed(&self) -> bool {
        self.has(Flag::Timed)
    }

    /// Cancels this node and everything beneath it that is not shielded. Only the first reason counts.
    pub(crate) fn cancel(self: &Arc<Self>, reason: CancelReason) {
        self.raise(Flag::Called);
        if self.spread(&reason) {
            self.raise(Flag::Own);
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
    fn harden_beneath(self: &Arc<Self>, reason: &CancelReason) {
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

    /// Wakes the boundary of this node.
    pub(super) fn wake_boundary(self: &Arc<Self>) {
        self.waker().into_iter().for_each(Waker::wake);
    }

    /// What wakes the boundary of this node.
    pub(super) fn waker(self: &Arc<Self>) -> Option<Waker> {
        let registered = self.state.lock().waker.clone();
        registered.or_else(|| self.turn.is_some().then(|| waker(Arc::clone(self))))
    }

    /// Whether anything is registered beneath in this task.
    pub(crate) fn has_beneath(&self) -> bool {
        let state = self.state.lock();
        state.first.is_some()
            || state.leaf.is_some()
            || state.more.as_ref().is_some_and(|more| !more.nodes.is_empty() || !more.leaves.is_empty())
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

    /// Remembers how to wake the boundary of this node.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let old = self.state.lock().waker.replace(waker.clone());
        drop(old);
    }

    /// Whether `waker` is the one that is remembered.
    pub(super) fn is_woken_by(&self, waker: &Waker) -> bool {
        self.state.lock().waker.as_ref().is_some_and(|last| last.will_wake(waker))
    }

    /// What is waited for right here.
    pub(crate) fn waits(&self) -> Vec<TaskWait> {
        let state = self.state.lock();
        state.leaves().map(|(_, wait)| *wait).collect()
    }

    /// Registers a leaf; its key stays valid until [`Node::remove_leaf`].
    pub(crate) fn insert_leaf(&self, waker: &Waker, wait: TaskWait) -> usize {
        let mut state = self.state.lock();
        if state.leaf.is_none() {
            state.leaf = Some(Box::new((waker.clone(), wait)));
            return FIRST_LEAF;
        }
        state.more().leaves.insert((waker.clone(), wait)) + 1
    }

    pub(crate) fn update_leaf(&self, key: usize, waker: &Waker) {
        let old = self.state.lock().leaf_at(key).map(|leaf| std::mem::replace(&mut leaf.0, waker.clone()));
        drop(old);
    }

    pub(crate) fn remove_leaf(&self, key: usize) {
        let mut state = self.state.lock();
        if key == FIRST_LEAF {
            let old = state.leaf.take();
            drop(state);
            drop(old);
        } else {
            let old = state.more.as_mut().and_then(|more| more.leaves.try_remove(key - 1));
            drop(state);
            drop(old);
        }
    }

    /// The first delivery of a cancel in this node is immediate (`true`); later ones must yield once before.
    pub(crate) fn deliver(&self) -> bool {
        self.raise(Flag::Delivered)
    }

    fn reason(&self) -> CancelReason {
        self.state.lock().reason.clone().expect("the reason is set before the flag")
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

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(parent) = self.state.get_mut().parent.take() {
            self.unlink_from(&parent);
        }
    }
}

impl State {
    pub(super) fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    pub(super) fn insert(&mut self, node: Weak<Node>) -> u32 {
        if self.first.is_none() {
            self.first = Some(node);
            return FIRST;
        }
        let key = self.more().nodes.insert(node);
        u32::try_from(key + 1).expect("fewer than four billion nodes fit into memory")
    }

    fn remove(&mut self, key: u32) -> Option<Weak<Node>> {
        match key {
            FIRST => self.first.take(),
            TRIAL => None,
            key => self.more.as_mut()?.nodes.try_remove(key as usize - 1),
        }
    }

    /// Whether this is a shield whose time begins with a cancel.
    fn is_patient(&self) -> bool {
        self.more.as_ref().and_then(|more| more.shielding.as_deref()).is_some_and(Shielding::is_patient)
    }

    /// Adds the nodes beneath that are still alive. Whoever drops them must not hold this node's lock.
    fn add_beneath(&self, nodes: &mut Vec<Arc<Node>>) {
        nodes.extend(self.first.as_ref().and_then(Weak::upgrade));
        if let Some(more) = &self.more {
            // A loop: chained iterators take twice as long, and there may be a hundred thousand.
            for (_, node) in &more.nodes {
                if let Some(node) = node.upgrade() {
                    nodes.push(node);
                }
            }
            nodes.extend(more.trial.clone());
        }
    }

    fn leaf_at(&mut self, key: usize) -> Option<&mut (Waker, TaskWait)> {
        match key {
            FIRST_LEAF => self.leaf.as_deref_mut(),
            key => self.more.as_mut()?.leaves.get_mut(key - 1),
        }
    }

    fn leaves(&self) -> impl Iterator<Item = &(Waker, TaskWait)> {
        let others = self.more.iter().flat_map(|more| more.leaves.iter().map(|(_, leaf)| leaf));
        self.leaf.as_deref().into_iter().chain(others)
    }

    /// Adds what wakes the primitives that wait right here.
    fn add_leaves(&self, wakers: &mut Vec<Waker>) {
        if self.leaf.is_some() || self.more.is_some() {
            wakers.extend(self.leaves().map(|(waker, _)| waker.clone()));
        }
    }
}
