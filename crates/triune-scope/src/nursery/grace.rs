//! Looking at a scope from beside it: [`Watch`], and the bounded shield of a nursery that is made of it.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::cancel::CancelReason;
use crate::cancel::boundary::heir;
use crate::cancel::hold::Grip;
use crate::cancel::node::{Inherit, Node, Place};
use crate::cancel::patience::{Patience, Then};

/// Sees the cancel of a scope that the code need not be in: a node of its own beneath it. Does not count as a delivery.
pub(super) struct Watch {
    node: Arc<Node>,
    waker: Option<Waker>,
}

impl Watch {
    pub(super) fn new(above: &Arc<Node>, place: Place) -> Self {
        let node = heir();
        node.link(above, place);
        Self { node, waker: None }
    }

    /// Ready when the scope is cancelled; else registered.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<CancelReason> {
        if !self.waker.as_ref().is_some_and(|last| last.will_wake(cx.waker())) {
            self.node.set_waker(cx.waker());
            self.waker = Some(cx.waker().clone());
        }
        // Looked at after the registration, so that a cancel in between is not missed.
        self.node.cancel_reason().map_or(Poll::Pending, Poll::Ready)
    }
}

/// Keeps a cancel from above out of a nursery for a bounded time, counted from that cancel.
pub(super) struct Grace {
    max: Duration,
    above: Option<Above>,
}

struct Above {
    shield: Arc<Node>,
    /// For where no boundary is above whose pass would meet the shield.
    watch: Watch,
}

impl Grace {
    pub(super) fn new(max: Duration) -> Self {
        Self { max, above: None }
    }

    /// Puts the nursery beneath `above`, with a shield in between.
    pub(super) fn enter(&mut self, node: &Arc<Node>, above: &Arc<Node>, place: Place) {
        let shield = Node::new(Inherit::No);
        shield.bear(Patience { limit: self.max, then: Then::Admit });
        if place == Place::SameTask {
            // What is above must not be dropped while the nursery works on.
            shield.keep_shielding(above.hold(Grip::Soft));
        }
        shield.enter();
        node.link(&shield, Place::SameTask);
        shield.link(above, place);
        self.above = Some(Above { shield, watch: Watch::new(above, place) });
    }

    /// The nursery is polled by somebody else.
    pub(super) fn register(&self, waker: &Waker) {
        if let Some(above) = &self.above {
            above.shield.set_waker(waker);
        }
    }

    /// Looks at what is above.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(above) = &mut self.above
            && let Poll::Ready(reason) = above.watch.poll(cx)
        {
            above.shield.lose_patience(&reason);
        }
    }
}

impl Drop for Above {
    fn drop(&mut self) {
        self.shield.stop_shielding();
        self.shield.unlink();
    }
}
