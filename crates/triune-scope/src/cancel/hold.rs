//! Holds: what keeps a chain of nodes from being dropped by a cancel.

use std::sync::Arc;

use super::node::Node;

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
        let is_hard = self.is_hard();
        self.with_more(|more| if is_hard { more.firm_holds } else { more.holds } > 0).unwrap_or(false)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        for node in &self.nodes {
            node.change_more(|more| {
                more.holds -= 1;
                more.firm_holds -= u32::from(self.grip == Grip::Firm);
            });
        }
    }
}
