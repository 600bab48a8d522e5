//! The walk over the tree of nodes.

use std::sync::Arc;

use crate::cancel::node::Node;

/// Visits `roots` and everything beneath, parents before their children; no lock is held meanwhile. What the visit of a node
/// returns is given to the visits of those directly beneath it.
pub(crate) fn each<P: Clone + Default>(roots: Vec<Arc<Node>>, mut visit: impl FnMut(&Arc<Node>, P) -> P) {
    let mut todo: Vec<(Arc<Node>, P)> = roots.into_iter().rev().map(|root| (root, P::default())).collect();
    // Dropped after the walk: the last reference to a node takes its parent's lock.
    let mut visited = Vec::new();
    while let Some((node, above)) = todo.pop() {
        let own = visit(&node, above);
        todo.extend(node.nodes_beneath().into_iter().rev().map(|beneath| (beneath, own.clone())));
        visited.push(node);
    }
}
