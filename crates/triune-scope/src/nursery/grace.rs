//! Looking at a scope from beside it: [`Watch`], and the bounded shield of a nursery that is made of it.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::cancel::CancelReason;
use crate::cancel::boundary::heir;
use crate::cancel::hold::{Grip, Hold};
use crate::cancel::node::{Inherit, Node, Place};

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
    watch: Watch,
    /// What is above must not be dropped while the nursery cleans up.
    _hold: Hold,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Grace {
    pub(super) fn new(max: Duration) -> Self {
        Self { max, above: None }
    }

    /// Puts the nursery beneath `above`, with a shield in between: a cancel comes through here.
    pub(super) fn enter(&mut self, node: &Arc<Node>, above: &Arc<Node>, place: Place) {
        let shield = Node::new(Inherit::No);
        shield.link(above, place);
        shield.enter();
        let hold = shield.hold(Grip::Soft);
        node.link(&shield, Place::SameTask);
        self.above = Some(Above { watch: Watch::new(above, place), _hold: hold, timer: None });
    }

    /// Passes the cancel on when it is time.
    pub(super) fn poll(&mut self, node: &Arc<Node>, cx: &mut Context<'_>) {
        let Some(above) = &mut self.above else { return };
        let Poll::Ready(reason) = above.watch.poll(cx) else { return };
        let timer = above.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.max)));
        if timer.is_elapsed() || timer.as_mut().poll(cx).is_ready() {
            node.cancel(reason);
        }
    }
}
