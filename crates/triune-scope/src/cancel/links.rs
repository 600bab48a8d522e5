//! Nodes that are known weakly, by number: what a node has beneath.
//!
//! A nursery may have a hundred thousand children, so one takes no more than a pointer here.

use std::sync::{Arc, Weak};

use super::node::Node;

/// A list with numbered places.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// A vacant place points nowhere.
    places: Vec<Weak<Node>>,
    vacant: Vec<u32>,
}

impl Links {
    pub(super) fn insert(&mut self, node: Weak<Node>) -> u32 {
        if let Some(place) = self.vacant.pop() {
            self.places[place as usize] = node;
            return place;
        }
        let place = u32::try_from(self.places.len()).expect("fewer than four billion nodes fit into memory");
        self.places.push(node);
        place
    }

    /// What was in a place, to be dropped where no lock is held.
    pub(super) fn remove(&mut self, place: u32) -> Option<Weak<Node>> {
        let node = std::mem::take(self.places.get_mut(place as usize)?);
        self.vacant.push(place);
        if self.is_empty() {
            // There may have been many, and an open nursery keeps only what its living children need.
            *self = Self::default();
        }
        Some(node)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.len() == self.vacant.len()
    }

    /// Adds those that are still alive. Whoever drops them must not hold the lock under which this list is.
    pub(super) fn add_living(&self, nodes: &mut Vec<Arc<Node>>) {
        nodes.extend(self.places.iter().filter_map(Weak::upgrade));
    }
}
