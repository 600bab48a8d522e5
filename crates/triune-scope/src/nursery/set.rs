//! The children that a nursery polls in its own task.
//!
//! 1. A child is polled when its turn has come: after its start, and after each wake; see `cancel::turn`.
//! 2. Turns come in their order: what was left over, what was woken before the poll of the nursery began, what is started
//!    meanwhile. What is woken while the nursery is polled waits for its next poll.
//! 3. A poll of the nursery polls at most [`MAX_POLLS`] children; the rest waits, in its order, for the next one. So a
//!    nursery of many does not keep other tasks of its thread waiting.
//! 4. A child leaves the set before its end is told. One that ends in its first poll was never in a slot, see `cancel::trial`.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_task::waker_ref;
use slab::Slab;

use super::child::{Ended, Finished};
use super::core::Core;
use crate::cancel::CancelReason;
use crate::cancel::node::Node;
use crate::cancel::spread::Pass;
use crate::cancel::trial::Trials;
use crate::cancel::turn::{Ticket, Turn, Turns};
use crate::cancel::wake::each;

/// How many children one poll of a nursery polls: a fraction of a millisecond's work.
const MAX_POLLS: usize = 256;

/// A child in the task of its nursery.
pub(super) trait Member: Future<Output = Finished> {
    /// Sees to it that it has a root, before its first poll: one of its own, or `None` for that on trial.
    fn begin(self: Pin<&mut Self>, core: &Core, trials: &mut Trials) -> Option<Arc<Node>>;
}

impl<M: Member + ?Sized> Member for Pin<Box<M>> {
    fn begin(self: Pin<&mut Self>, core: &Core, trials: &mut Trials) -> Option<Arc<Node>> {
        self.get_mut().as_mut().begin(core, trials)
    }
}

/// The running children of one nursery.
pub(super) struct ChildSet<B> {
    slots: Slab<Slot<B>>,
    due: VecDeque<Due<B>>,
    /// Memory for the next list of wakes.
    spare: Vec<Ticket>,
    /// How many have begun.
    stamp: u32,
    trials: Trials,
}

/// Whose turn it is.
enum Due<B> {
    /// A child that was woken.
    Woken(Ticket),
    /// One that has not begun.
    New(B),
}

/// A child that has begun. Its root knows its ticket, and wakes it: nothing of both is kept here once more.
struct Slot<B> {
    child: B,
    root: Arc<Node>,
}

impl<B> Default for ChildSet<B> {
    fn default() -> Self {
        Self {
            slots: Slab::new(),
            due: VecDeque::new(),
            spare: Vec::new(),
            stamp: 0,
            trials: Trials::default(),
        }
    }
}

impl<B: Member + Unpin> ChildSet<B> {
    /// Takes over new children.
    pub(super) fn extend(&mut self, children: Vec<B>) {
        self.due.extend(children.into_iter().map(Due::New));
    }

    /// Takes over whom the list names. Whether somebody has rung since this was asked last.
    pub(super) fn gather(&mut self, turns: &Turns) -> bool {
        let (mut woken, has_rung) = turns.take(std::mem::take(&mut self.spare));
        self.due.extend(woken.drain(..).map(Due::Woken));
        if woken.capacity() <= MAX_POLLS {
            self.spare = woken;
        }
        has_rung
    }

    /// The nursery makes the pass of its cancel: each child that has begun takes part, and is polled.
    ///
    /// # Panics
    ///
    /// With the first panic of a waker, when all have been told.
    pub(super) fn rouse(&mut self, reason: &CancelReason) {
        Pass::with(|pass| {
            // The youngest first, as in every pass.
            each(self.slots.iter().rev(), |(_, Slot { root, .. })| {
                self.due.extend(root.turn().and_then(Turn::rouse).map(Due::Woken));
                pass.take_in(root, reason);
            });
        });
    }

    /// Polls those whose turn it is, as far as `budget` allows; the first that ends is returned.
    pub(super) fn poll_due(&mut self, core: &Core, budget: &mut Budget) -> Option<Ended> {
        while budget.0 > 0 {
            let ended = match self.due.pop_front()? {
                Due::Woken(ticket) => self.poll_woken(ticket, budget),
                Due::New(child) => {
                    budget.0 -= 1;
                    self.poll_new(child, core)
                }
            };
            if ended.is_some() {
                return ended;
            }
        }
        None
    }

    fn poll_woken(&mut self, ticket: Ticket, budget: &mut Budget) -> Option<Ended> {
        let key = ticket.slot as usize;
        // Else it was woken before its end.
        let due =
            self.slots.get_mut(key).filter(|due| due.root.turn().is_some_and(|turn| turn.has(ticket)))?;
        budget.0 -= 1;
        due.root.turn().into_iter().for_each(Turn::begin);
        let waker = waker_ref(&due.root);
        match Pin::new(&mut due.child).poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => None,
            Poll::Ready(finished) => {
                drop(self.slots.remove(key));
                Some(finished.end().0)
            }
        }
    }

    fn poll_new(&mut self, mut child: B, core: &Core) -> Option<Ended> {
        let own = Pin::new(&mut child).begin(core, &mut self.trials);
        let root =
            own.as_ref().or(self.trials.root()).expect("a child without a root of its own is on trial");
        self.stamp = self.stamp.wrapping_add(1);
        // It gets its slot when it parks, but its wakes must know it now.
        let key = self.slots.vacant_key();
        let slot = u32::try_from(key).expect("fewer than four billion children fit into memory");
        let ticket = Ticket { slot, stamp: self.stamp };
        root.turn().expect("a child in the task of its nursery has turns").admit(ticket);
        let polled = Pin::new(&mut child).poll(&mut Context::from_waker(&waker_ref(root)));
        match polled {
            Poll::Ready(finished) => {
                let (ended, root) = finished.end();
                self.trials.ended(own.is_none().then_some(root));
                Some(ended)
            }
            Poll::Pending => {
                let root = self.trials.parked(own, &core.node);
                let slot = Slot { child, root };
                let inserted = self.slots.insert(slot);
                debug_assert_eq!(inserted, key, "nothing else is inserted during a poll");
                None
            }
        }
    }

    /// The poll of the nursery is over.
    pub(super) fn end_poll(&mut self, core: &Core) {
        if self.due.is_empty() && self.due.capacity() > MAX_POLLS {
            // Many were woken or started at once; that memory is not for good.
            self.due = VecDeque::new();
        }
        self.trials.end(&core.node);
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
