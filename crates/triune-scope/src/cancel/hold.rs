//! Holds: what keeps a chain of nodes from being dropped by a cancel.
//!
//! 1. A hold is given up when its cause is over, not when somebody polls the future that waits for it: that may be stranded
//!    in a combinator that nobody polls. So the hold of a shield is kept where its limit can take it, that of parallel
//!    children and threads where they end.
//! 2. Whoever was held, and is cancelled, is woken then.

use std::sync::Arc;
use std::task::Waker;

use super::flags::Flag;
use super::node::Node;
use super::wake::wake_all;

/// What a hold keeps from: every drop, or not that of a hard stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grip {
    /// A shield's: void after the grace.
    Soft,
    /// A nursery's with parallel children: they are stopped in their own tasks, and somebody must wait for them.
    Firm,
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

impl Node {
    /// Keeps this node and every node above it in the same task from being dropped by a cancel.
    pub(crate) fn hold(self: &Arc<Self>, grip: Grip) -> Hold {
        let mut nodes = Vec::new();
        let mut next = Some(Arc::clone(self));
        while let Some(node) = next {
            node.raise(Flag::Held);
            node.change_more(|more| {
                more.holds += 1;
                more.firm_holds += u32::from(grip == Grip::Firm);
            });
            next = if node.is_own_task() { None } else { node.parent() };
            nodes.push(node);
        }
        Hold { nodes, grip }
    }

    pub(crate) fn is_held(&self) -> bool {
        if !self.has(Flag::Held) {
            return false;
        }
        let is_hard = self.is_hard();
        self.with_more(|more| if is_hard { more.firm_holds } else { more.holds } > 0).unwrap_or(false)
    }
}

impl Hold {
    /// Gives the nodes up; what is returned must be woken, outside of every lock.
    #[must_use = "what was held may be parked where nothing else wakes it"]
    pub(crate) fn release(mut self) -> Vec<Waker> {
        self.give_up()
    }

    fn give_up(&mut self) -> Vec<Waker> {
        for node in &self.nodes {
            node.change_more(|more| {
                more.holds -= 1;
                more.firm_holds -= u32::from(self.grip == Grip::Firm);
            });
        }
        // What was held may be parked where nothing else wakes it (tests: `stranded`).
        let free = self.nodes.iter().filter(|node| node.is_cancelled() && !node.is_held());
        let wakers = free.filter_map(|node| node.waker()).collect();
        self.nodes.clear();
        wakers
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        wake_all(self.give_up());
    }
}
