//! What is registered beneath a node: other nodes, and the primitives that wait right there.
//!
//! Children come by the hundred thousand, so what most nodes never need is in one boxed [`More`].

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::task::Waker;

use slab::Slab;

use super::deadline::Times;
use super::links::Links;
use super::node::Node;
use super::patience::Shielding;
use super::reason::CancelReason;
use crate::task::TaskInfo;
use crate::task_var::Vars;
use crate::tree::TaskWait;

#[derive(Debug, Default)]
pub(super) struct State {
    /// While it is linked.
    pub(super) parent: Option<Arc<Node>>,
    pub(super) waker: Option<Waker>,
    /// Of the root of a task: who it is. Of one on trial, the node above knows.
    pub(super) task: Option<TaskInfo>,
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
    /// The nodes beneath, but for the first and the children.
    nodes: Links,
    /// Of a nursery: the roots of the children that it polls itself.
    children: Links,
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
    pub(super) counted: Option<usize>,
    pub(super) vars: Vars,
    /// Of a nursery: the children that have no node yet.
    pub(super) announced: VecDeque<TaskInfo>,
    /// Of a nursery: the node on trial.
    pub(super) trial: Option<Arc<Node>>,
    /// Whose it is.
    pub(super) tried: Option<TaskInfo>,
}

/// The key of [`State::first`]; those of `More::nodes` follow.
pub(super) const FIRST: u32 = 0;

/// The key of a node on trial.
pub(super) const TRIAL: u32 = u32::MAX;

/// The key of [`State::leaf`]; those of `More::leaves` follow.
const FIRST_LEAF: usize = 0;

impl Node {
    /// Looks at what few nodes have, if this one has it.
    pub(super) fn with_more<R>(&self, look: impl FnOnce(&More) -> R) -> Option<R> {
        self.state.lock().more.as_deref().map(look)
    }

    /// Changes what few nodes have.
    pub(super) fn change_more<R>(&self, change: impl FnOnce(&mut More) -> R) -> R {
        change(self.state.lock().more())
    }

    /// The living nodes directly beneath, shields too.
    pub(crate) fn nodes_beneath(&self) -> Vec<Arc<Node>> {
        let mut nodes = Vec::new();
        self.state.lock().add_beneath(&mut nodes);
        nodes
    }

    /// Whether anything is registered beneath in this task.
    pub(crate) fn has_beneath(&self) -> bool {
        let state = self.state.lock();
        state.first.is_some()
            || state.leaf.is_some()
            || state.more.as_ref().is_some_and(|more| more.has_beneath())
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
}

impl More {
    fn has_beneath(&self) -> bool {
        !self.nodes.is_empty() || !self.children.is_empty() || !self.leaves.is_empty()
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
        self.more().nodes.insert(node) + 1
    }

    /// The same for the root of a child that its nursery polls itself.
    pub(super) fn insert_child(&mut self, node: Weak<Node>) -> u32 {
        self.more().children.insert(node)
    }

    pub(super) fn remove_child(&mut self, key: u32) -> Option<Weak<Node>> {
        match key {
            TRIAL => None,
            key => self.more.as_mut()?.children.remove(key),
        }
    }

    pub(super) fn remove(&mut self, key: u32) -> Option<Weak<Node>> {
        match key {
            FIRST => self.first.take(),
            key => self.more.as_mut()?.nodes.remove(key - 1),
        }
    }

    /// Whether this is a shield whose time begins with a cancel.
    pub(super) fn is_patient(&self) -> bool {
        self.more.as_ref().and_then(|more| more.shielding.as_deref()).is_some_and(Shielding::is_patient)
    }

    /// Adds the nodes beneath that are still alive. Whoever drops them must not hold this node's lock.
    pub(super) fn add_beneath(&self, nodes: &mut Vec<Arc<Node>>) {
        self.add_beside_children(nodes);
        if let Some(more) = &self.more {
            more.children.add_living(nodes);
            nodes.extend(more.trial.clone());
        }
    }

    /// The same without the children that a nursery polls itself.
    pub(super) fn add_beside_children(&self, nodes: &mut Vec<Arc<Node>>) {
        nodes.extend(self.first.as_ref().and_then(Weak::upgrade));
        if let Some(more) = &self.more {
            more.nodes.add_living(nodes);
        }
    }

    fn leaf_at(&mut self, key: usize) -> Option<&mut (Waker, TaskWait)> {
        match key {
            FIRST_LEAF => self.leaf.as_deref_mut(),
            key => self.more.as_mut()?.leaves.get_mut(key - 1),
        }
    }

    pub(super) fn leaves(&self) -> impl Iterator<Item = &(Waker, TaskWait)> {
        let others = self.more.iter().flat_map(|more| more.leaves.iter().map(|(_, leaf)| leaf));
        self.leaf.as_deref().into_iter().chain(others)
    }

    /// What wakes the primitives that wait right here.
    pub(super) fn wakers_of_leaves(&self) -> impl Iterator<Item = &Waker> {
        self.leaves().map(|(waker, _)| waker)
    }
}
