//! The first poll of a child in the task of its nursery.
//!
//! Children come by the hundred thousand, and most of them end in their first poll. So a child whose handle is gone gets no
//! node of its own for that poll: it is polled on a node *on trial*, which it keeps if it parks, and which goes on to the next
//! child if it ends and left nothing behind.
//!
//! # Invariants
//!
//! 1. Until its first poll such a child is only *announced*: nobody can reach it, and the tree shows it by its name.
//! 2. A node on trial is linked like any other, but the nursery's node owns it; every walk finds it. There is at most one.
//! 3. It is handed on only if nobody else has it (`Arc::get_mut`), so that nobody can take one child for another.
//! 4. It is handed on in the state in which a new one would be linked. In a cancelled nursery there are no trials, because
//!    what is linked there takes over the cancel.
//! 5. Trials end with the poll of the nursery: in between, and afterwards, nothing is left of them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::beneath::{More, State, TRIAL};
use super::flags::{Flag, Flags};
use super::node::{Node, Own};
use super::turn::Turns;
use crate::lock::atomic::Ordering;
use crate::task::{TaskId, TaskInfo};
use crate::tree::record::Record;

impl More {
    fn withdraw(&mut self, task: TaskId) {
        // First in, first out, unless a test shuffles.
        if self.announced.front().is_some_and(|first| first.id() == task) {
            drop(self.announced.pop_front());
        } else if let Some(at) = self.announced.iter().position(|other| other.id() == task) {
            drop(self.announced.remove(at));
        }
        if self.announced.is_empty() {
            // Many may have been started at once, and an open nursery keeps only what its living children need.
            self.announced = VecDeque::new();
        }
    }
}

impl Node {
    /// Shows a child that has no node yet.
    pub(crate) fn announce(&self, task: TaskInfo) {
        self.change_more(|more| more.announced.push_back(task));
    }

    /// The child is not started, or has a node now.
    pub(crate) fn withdraw(&self, task: TaskId) {
        self.change_more(|more| more.withdraw(task));
    }

    /// The children that have no node yet.
    pub(crate) fn announced(&self) -> Vec<TaskInfo> {
        self.with_more(|more| more.announced.iter().cloned().collect()).unwrap_or_default()
    }

    /// The root for the first poll of a child that was announced; `None` where there are no trials.
    pub(crate) fn try_out(self: &Arc<Self>, task: &TaskInfo, turns: &Arc<Turns>) -> Option<Arc<Node>> {
        let mut state = self.state.lock();
        // Whoever cancels marks this node under the same lock.
        if self.is_cancelled() || self.is_hard() {
            return None;
        }
        let more = state.more();
        more.withdraw(task.id());
        let record = Record::child(task.clone());
        let mut kept = None;
        let record = match more.trial.as_mut().and_then(Arc::get_mut) {
            Some(node) => node.renew(record),
            None => Some(record),
        };
        if let Some(record) = record {
            kept = more.trial.replace(Node::on_trial(self, record, Arc::clone(turns)));
        }
        let node = more.trial.as_ref().map(Arc::clone);
        if self.is_timed()
            && let Some(node) = &node
        {
            node.raise(Flag::Timed);
        }
        drop(state);
        if let Some(kept) = kept {
            kept.unlink();
        }
        node
    }

    /// The child has parked: the node is its own.
    pub(crate) fn keep_trial(&self, node: &Arc<Node>) {
        let mut state = self.state.lock();
        let more = state.more();
        if !more.trial.as_ref().is_some_and(|trial| Arc::ptr_eq(trial, node)) {
            return;
        }
        let trial = more.trial.take();
        let key = state.insert(Arc::downgrade(node));
        node.key.store(key, Ordering::Relaxed);
        drop(state);
        drop(trial);
    }

    /// The poll of the nursery is over.
    pub(crate) fn end_trials(&self) {
        let trial = self.state.lock().more.as_mut().and_then(|more| more.trial.take());
        if let Some(trial) = trial {
            trial.unlink();
        }
    }

    /// The nursery is over, and what was not polled is dropped.
    pub(crate) fn forget_announced(&self) {
        let announced = self.state.lock().more.as_mut().map(|more| std::mem::take(&mut more.announced));
        drop(announced);
    }

    /// Whether the node is on trial: then its place is given up by the nursery.
    pub(super) fn is_on_trial(&self) -> bool {
        self.key.load(Ordering::Relaxed) == TRIAL
    }

    /// Makes a node that is not shared a new one; gives the record back if something was left in it.
    fn renew(&mut self, record: Record) -> Option<Record> {
        let State { parent: _, waker, reason, first, leaf, more } = self.state.get_mut();
        let is_empty =
            waker.is_none() && reason.is_none() && first.is_none() && leaf.is_none() && more.is_none();
        let Some(turn) = self.turn.as_mut().filter(|_| is_empty) else { return Some(record) };
        turn.renew();
        self.flags = Flags::new();
        self.own = Own::Task(record);
        None
    }
}
