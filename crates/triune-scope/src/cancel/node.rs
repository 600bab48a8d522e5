//! One boundary in the tree of scopes: its place, its flags, its reason.
//!
//! A node knows nothing of futures; `boundary` polls. What is registered beneath a node is in `beneath`, how a cancel gets
//! there in `spread`. The node at the root of a task carries the task's record: the tree of scopes is the tree of tasks.
//! Invariants: see the module head of `cancel`.

use std::sync::Arc;
use std::task::Waker;

use futures_task::waker;

use super::beneath::{FIRST, State};
use super::flags::{Flag, Flags};
use super::reason::CancelReason;
use super::turn::{Turn, Turns};
use crate::lock::Mutex;
use crate::lock::atomic::{AtomicU32, Ordering};
use crate::probe::census::{Entry, Kind};
use crate::task::TaskInfo;
use crate::task_var::Vars;
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
    pub(crate) fn task_root(
        parent: &Arc<Node>,
        inherit: Inherit,
        task: TaskInfo,
        record: Record,
        vars: Vars,
    ) -> Arc<Self> {
        Self::root(parent, Place::OwnTask, inherit, task, record, None, vars)
    }

    /// The root of a child that its nursery polls itself, linked beneath `parent`; its code sees `vars`.
    pub(crate) fn child_root(parent: &Arc<Node>, task: TaskInfo, turns: Arc<Turns>, vars: Vars) -> Arc<Self> {
        let turn = Some(Turn::new(turns));
        Self::root(parent, Place::SameTask, Inherit::Yes, task, Record::child(), turn, vars)
    }

    /// The root of a child that its nursery polls itself, which is not registered with `parent` yet; of one on trial `parent`
    /// knows whose it is.
    pub(super) fn child_beneath(parent: &Arc<Node>, task: Option<TaskInfo>, turns: Arc<Turns>) -> Arc<Self> {
        let state = State { parent: Some(Arc::clone(parent)), task, ..State::default() };
        let (record, turn) = (Some(Record::child()), Some(Turn::new(turns)));
        Arc::new(Self::with(Inherit::Yes, Place::SameTask, record, turn, state))
    }

    fn root(
        parent: &Arc<Node>,
        place: Place,
        inherit: Inherit,
        task: TaskInfo,
        record: Record,
        turn: Option<Turn>,
        vars: Vars,
    ) -> Arc<Self> {
        let mut state = State { parent: Some(Arc::clone(parent)), task: Some(task), ..State::default() };
        let has_vars = !vars.is_empty();
        if has_vars {
            state.more().vars = vars;
        }
        let node = Self::with(inherit, place, Some(record), turn, state);
        if has_vars {
            node.raise(Flag::HasVars);
        }
        let node = Arc::new(node);
        let weak = Arc::downgrade(&node);
        let mut above = parent.state.lock();
        let key = if node.turn.is_some() { above.insert_child(weak) } else { above.insert(weak) };
        drop(above);
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
        let shield = (inherit == Inherit::No).then_some(Flag::Shield);
        let own_task = (place == Place::OwnTask).then_some(Flag::OwnTask);
        Self {
            flags: Flags::of(shield.into_iter().chain(own_task)),
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
    pub(super) fn take_over(self: &Arc<Self>, parent: &Arc<Node>) {
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
        if self.is_on_trial() {
            // The nursery gives its place up.
            return;
        }
        let key = self.key.load(Ordering::Relaxed);
        let mut above = parent.state.lock();
        let entry = if self.turn.is_some() { above.remove_child(key) } else { above.remove(key) };
        drop(above);
        drop(entry);
    }

    pub(crate) fn has(&self, flag: Flag) -> bool {
        self.flags.has(flag)
    }

    /// Sets a flag; whether it was not set before.
    pub(crate) fn raise(&self, flag: Flag) -> bool {
        self.flags.raise(flag)
    }

    /// Whether this node is the root of a task.
    pub(crate) fn is_root(&self) -> bool {
        matches!(self.own, Own::Task(_))
    }

    /// The task whose root this node is.
    pub(crate) fn task(&self) -> Option<TaskInfo> {
        if !self.is_root() {
            return None;
        }
        let own = self.state.lock().task.clone();
        own.or_else(|| self.task_on_trial())
    }

    /// What is counted of the task whose root this node is.
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

    /// Whether this is the root of another task than its parent's.
    pub(crate) fn is_own_task(&self) -> bool {
        self.has(Flag::OwnTask)
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

    pub(super) fn reason(&self) -> CancelReason {
        self.state.lock().reason.clone().expect("the reason is set before the flag")
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

    /// Wakes the boundary of this node.
    pub(super) fn wake_boundary(self: &Arc<Self>) {
        self.waker().into_iter().for_each(Waker::wake);
    }

    /// What wakes the boundary of this node.
    pub(super) fn waker(self: &Arc<Self>) -> Option<Waker> {
        let registered = self.state.lock().waker.clone();
        registered.or_else(|| self.turn.is_some().then(|| waker(Arc::clone(self))))
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

    /// The first delivery of a cancel in this node is immediate (`true`); later ones must yield once before.
    pub(crate) fn deliver(&self) -> bool {
        self.raise(Flag::Delivered)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(parent) = self.state.get_mut().parent.take() {
            self.unlink_from(&parent);
        }
    }
}
