//! The first poll of a child in the task of its nursery.
//!
//! Children come by the hundred thousand, and most of them end in their first poll. So a child whose handle is gone gets no
//! node of its own for that poll: it is polled on a node *on trial*, which it keeps if it parks, and which goes on to the next
//! child if it ends and nobody else has it. It goes on as it is: what a new child needs is not even written.
//!
//! # Invariants
//!
//! 1. Until its first poll such a child is only *announced*: nobody can reach it, and the tree shows it by its name.
//! 2. A node on trial is linked like any other, but the nursery's node owns it; every walk finds it. There is at most one.
//! 3. Whose it is, the nursery's node knows. What is taken off trial is told, so that nobody takes one child for another.
//! 4. It goes on only if nobody else has it or can get it, and if no flag was raised. In a cancelled nursery there are no
//!    trials, because what is linked there takes over the cancel.
//! 5. Trials end with the poll of the nursery: in between, and afterwards, nothing is left of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::fence;

use super::beneath::{More, TRIAL};
use super::flags::Flag;
use super::node::Node;
use super::turn::{Turn, Turns};
use crate::lock::atomic::Ordering;
use crate::task::{TaskId, TaskInfo};
use crate::tree::record::Record;

/// The trials of a nursery, as the set has them that polls the children.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    now: Option<Trial>,
    /// So the next child most likely parks, too, and has a node of its own at once: those that are started together are alike.
    last_parked: bool,
}

/// The node on trial.
#[derive(Debug)]
struct Trial {
    /// Wakes the child.
    root: Arc<Node>,
    /// What the last child gave back.
    spare: Option<Arc<Node>>,
}

impl Trials {
    /// The node on trial.
    pub(crate) fn root(&self) -> Option<&Arc<Node>> {
        self.now.as_ref().map(|trial| &trial.root)
    }

    /// A child has ended in its first poll; with its root if that is on trial.
    pub(crate) fn ended(&mut self, tried: Option<Arc<Node>>) {
        self.last_parked = false;
        if let (Some(trial), Some(_)) = (&mut self.now, &tried) {
            trial.spare = tried;
        }
    }

    /// A child has parked in its first poll. If it was on trial, it has its root.
    pub(crate) fn parked(&mut self, own: Option<Arc<Node>>, nursery: &Node) -> Arc<Node> {
        self.last_parked = true;
        own.unwrap_or_else(|| {
            let Trial { root, .. } = self.now.take().expect("a child without a root of its own is on trial");
            nursery.keep_trial(&root);
            root
        })
    }

    /// The poll of the nursery is over.
    pub(crate) fn end(&mut self, nursery: &Node) {
        if self.now.take().is_some() {
            nursery.end_trials();
        }
    }
}

impl Trial {
    /// Who has the node if nobody else does: the nursery's node, and both of the above.
    const OWNERS: usize = 3;

    /// The node for the next child, unless somebody has it.
    fn reuse(&mut self) -> Option<Arc<Node>> {
        let spare = self.spare.take()?;
        let is_ours = Arc::strong_count(&spare) == Self::OWNERS && Arc::weak_count(&spare) == 0;
        // What somebody did who had it is visible.
        fence(Ordering::Acquire);
        if !is_ours || !spare.flags.are_new() {
            return None;
        }
        spare.record().into_iter().for_each(Record::reset);
        Some(spare)
    }
}

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

    /// Takes the node off trial, and tells it whose it is.
    fn end_trial(&mut self) -> Option<Arc<Node>> {
        let trial = self.trial.take()?;
        trial.state.lock().task = self.tried.take();
        Some(trial)
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

    /// The root of its own for a child that was announced.
    pub(crate) fn own_root(self: &Arc<Self>, task: &TaskInfo, turns: &Arc<Turns>) -> Arc<Node> {
        let node = Node::child_beneath(self, Some(task.clone()), Arc::clone(turns));
        let mut state = self.state.lock();
        state.more().withdraw(task.id());
        let key = state.insert_child(Arc::downgrade(&node));
        drop(state);
        node.key.store(key, Ordering::Relaxed);
        node.take_over(self);
        node
    }

    /// The root for the first poll of a child that was announced, on trial; `None` if it should have one of its own.
    pub(crate) fn try_out(
        self: &Arc<Self>,
        task: &TaskInfo,
        trials: &mut Trials,
        turns: &Arc<Turns>,
    ) -> Option<Arc<Node>> {
        if trials.last_parked {
            return None;
        }
        let mut state = self.state.lock();
        // Whoever cancels marks this node under the same lock.
        if self.is_cancelled() || self.is_hard() {
            return None;
        }
        let more = state.more();
        more.withdraw(task.id());
        if let Some(root) = trials.now.as_mut().and_then(Trial::reuse) {
            more.tried = Some(task.clone());
            return Some(root);
        }
        let old = more.end_trial();
        let root = Node::child_beneath(self, None, Arc::clone(turns));
        root.key.store(TRIAL, Ordering::Relaxed);
        if self.is_timed() {
            root.raise(Flag::Timed);
        }
        more.trial = Some(Arc::clone(&root));
        more.tried = Some(task.clone());
        drop(state);
        trials.now = Some(Trial { root: Arc::clone(&root), spare: None });
        old.as_deref().into_iter().for_each(Node::retire);
        Some(root)
    }

    /// The same for a child whose first poll is where it is started, and so outside of the polls of the set, which has the node
    /// on trial else; `None` if the child should be queued.
    pub(crate) fn try_here(self: &Arc<Self>, task: &TaskInfo, turns: &Arc<Turns>) -> Option<Arc<Node>> {
        let mut state = self.state.lock();
        if self.is_cancelled() || self.is_hard() || self.is_timed() {
            return None;
        }
        let more = state.more();
        if more.trial.is_some() {
            return None;
        }
        let root = Node::child_beneath(self, None, Arc::clone(turns));
        root.key.store(TRIAL, Ordering::Relaxed);
        more.trial = Some(Arc::clone(&root));
        more.tried = Some(task.clone());
        Some(root)
    }

    /// The child has parked: the node is its own.
    pub(crate) fn keep_trial(&self, node: &Arc<Node>) {
        let mut state = self.state.lock();
        let trial = state.more.as_mut().and_then(|more| more.end_trial());
        debug_assert!(trial.as_ref().is_some_and(|trial| Arc::ptr_eq(trial, node)), "there is at most one");
        let key = state.insert_child(Arc::downgrade(node));
        node.key.store(key, Ordering::Relaxed);
        drop(state);
        drop(trial);
    }

    /// The poll of the nursery is over.
    pub(crate) fn end_trials(&self) {
        let trial = self.state.lock().more.as_mut().and_then(|more| more.end_trial());
        trial.as_deref().into_iter().for_each(Node::retire);
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

    /// Whose the node is if it is on trial.
    pub(super) fn task_on_trial(&self) -> Option<TaskInfo> {
        if let Some(nursery) = self.parent() {
            let state = nursery.state.lock();
            if let Some(more) = &state.more
                && more.trial.as_deref().is_some_and(|trial| std::ptr::eq(trial, self))
            {
                return more.tried.clone();
            }
        }
        // It was taken off trial meanwhile, and told.
        self.state.lock().task.clone()
    }

    /// The node is on trial no more, and its child has ended.
    fn retire(&self) {
        self.turn().into_iter().for_each(Turn::end);
        self.unlink();
    }
}
