//! The children that a nursery polls in its own task.
//!
//! 1. A child is polled when its turn has come: after it was put in, and after each wake; see `cancel::turn`.
//! 2. What was woken before the poll of the nursery began comes first, in the order of the wakes; then what was put in
//!    meanwhile. What is woken while the nursery is polled waits for its next poll.
//! 3. A poll of the nursery polls at most [`MAX_POLLS`] children; the rest waits, in its order, for the next one. So a
//!    nursery of many does not keep other tasks of its thread waiting.
//! 4. A child leaves the set before its end is told.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::child::Finished;
use crate::cancel::node::Node;
use crate::cancel::turn::{Ticket, Turns};

/// How many children one poll of a nursery polls: a fraction of a millisecond's work.
const MAX_POLLS: usize = 256;

/// A child in the task of its nursery.
pub(super) trait Member: Future<Output = Finished> {
    /// The node at its root. Only before its end.
    fn root(&self) -> &Arc<Node>;
}

impl<M: Member + ?Sized> Member for Pin<Box<M>> {
    fn root(&self) -> &Arc<Node> {
        (**self).root()
    }
}

/// The running children of one nursery.
pub(super) struct ChildSet<B> {
    slots: Slab<Slot<B>>,
    /// Those whose turn it is.
    due: VecDeque<Ticket>,
    /// Memory for the next list of wakes.
    spare: Vec<Ticket>,
    /// How many were put in.
    stamp: u32,
}

struct Slot<B> {
    child: B,
    waker: Waker,
    stamp: u32,
}

impl<B> Default for ChildSet<B> {
    fn default() -> Self {
        Self { slots: Slab::new(), due: VecDeque::new(), spare: Vec::new(), stamp: 0 }
    }
}

impl<B: Member + Unpin> ChildSet<B> {
    /// Puts a child in; it is polled next.
    pub(super) fn push(&mut self, child: B) {
        let root = child.root();
        let waker = Waker::from(Arc::clone(root));
        let entry = self.slots.vacant_entry();
        self.stamp = self.stamp.wrapping_add(1);
        let slot = u32::try_from(entry.key()).expect("fewer than four billion children fit into memory");
        let ticket = Ticket { slot, stamp: self.stamp };
        root.turn().expect("a child in the task of its nursery has turns").admit(ticket);
        entry.insert(Slot { child, waker, stamp: ticket.stamp });
        self.due.push_back(ticket);
    }

    /// Takes over whom the list names.
    pub(super) fn gather(&mut self, turns: &Turns) {
        let mut woken = turns.take(std::mem::take(&mut self.spare));
        self.due.extend(woken.drain(..));
        self.spare = woken;
    }

    /// Polls those whose turn it is, as far as `budget` allows; the first that ends is returned.
    pub(super) fn poll_due(&mut self, budget: &mut Budget) -> Option<Finished> {
        while budget.0 > 0 {
            let Ticket { slot, stamp } = self.due.pop_front()?;
            let key = slot as usize;
            let Some(due) = self.slots.get_mut(key).filter(|child| child.stamp == stamp) else {
                // Woken before its end.
                continue;
            };
            budget.0 -= 1;
            if let Poll::Ready(finished) = Pin::new(&mut due.child).poll(&mut Context::from_waker(&due.waker))
            {
                drop(self.slots.remove(key));
                return Some(finished);
            }
        }
        None
    }

    /// Whether the budget did not suffice.
    pub(super) fn is_behind(&self) -> bool {
        !self.due.is_empty()
    }
}

/// How many children may still be polled in this poll of the nursery.
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new() -> Self {
        Self(MAX_POLLS)
    }
}
