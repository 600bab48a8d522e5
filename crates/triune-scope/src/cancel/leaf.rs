//! How a primitive sees the cancel: a leaf registered in the ambient node.
//!
//! A primitive polls its [`Leaf`] before it looks at its own state, so that an `Err(Cancelled)` means that nothing
//! happened. The first delivery in a node is immediate; each later one yields once, so that code which swallows
//! cancels cannot spin.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::ambient;
use super::cancellable::is_cancelled;
use super::node::Node;
use super::reason::CancelReason;
use crate::error::Cancelled;
use crate::tree::TaskWait;

#[derive(Debug, Default)]
pub(crate) struct Leaf {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Fresh,
    /// Polled outside of every scope.
    Unscoped,
    Registered {
        node: Arc<Node>,
        key: usize,
        waker: Waker,
    },
    /// A delivery waits for its one yield. It is not registered any more: it has woken itself, and a cancelled boundary
    /// that counts what is beneath sees that it gets on.
    Yielding(CancelReason),
}

impl Leaf {
    /// The look at the scope with which an operation begins. Where nothing is cancelled it registers nothing, and the
    /// operation polls the leaf only if it must wait.
    #[inline]
    pub(crate) fn poll_entry(&mut self, wait: TaskWait, cx: &mut Context<'_>) -> Poll<Result<(), Cancelled>> {
        if matches!(self.state, State::Fresh)
            && ambient::peek(|ambient| ambient.node.is_quiet()).unwrap_or(true)
        {
            return Poll::Ready(Ok(()));
        }
        self.poll_loud_entry(wait, cx)
    }

    /// As [`poll_entry`](Self::poll_entry), where there is a cancel or a clock to look at.
    #[cold]
    fn poll_loud_entry(&mut self, wait: TaskWait, cx: &mut Context<'_>) -> Poll<Result<(), Cancelled>> {
        if matches!(self.state, State::Fresh) && !is_cancelled() {
            return Poll::Ready(Ok(()));
        }
        match self.poll_for(wait, cx) {
            Poll::Ready(cancelled) => Poll::Ready(Err(cancelled)),
            Poll::Pending if self.is_yielding() => Poll::Pending,
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    /// A wait that has seen the cancel and goes on: the tree shows it, and no cancel ends it.
    pub(crate) fn shown(wait: TaskWait, cx: &Context<'_>) -> Self {
        let mut leaf = Self::default();
        leaf.register(wait, cx);
        leaf
    }

    fn register(&mut self, wait: TaskWait, cx: &Context<'_>) {
        self.state = match ambient::peek(|ambient| Arc::clone(&ambient.node)) {
            None => State::Unscoped,
            Some(node) => {
                let key = node.insert_leaf(cx.waker(), wait);
                State::Registered { node, key, waker: cx.waker().clone() }
            }
        };
    }

    /// Ready when the ambient scope is cancelled; else pending and registered, forever if there is no scope. Meanwhile the
    /// tree shows what is waited for.
    pub(crate) fn poll_for(&mut self, wait: TaskWait, cx: &mut Context<'_>) -> Poll<Cancelled> {
        if let State::Fresh = self.state {
            self.register(wait, cx);
        }
        let (node, key, waker) = match &mut self.state {
            State::Registered { node, key, waker } => (node, key, waker),
            State::Yielding(reason) => return Poll::Ready(Cancelled::new(reason.clone())),
            State::Fresh | State::Unscoped => return Poll::Pending,
        };
        // In a cancelled scope nobody has to be able to wake it.
        if !node.is_cancelled() && !waker.will_wake(cx.waker()) {
            node.update_leaf(*key, cx.waker());
            waker.clone_from(cx.waker());
        }
        // Looked at after the registration, so that a cancel in between is not missed.
        let Some(reason) = node.cancel_reason() else { return Poll::Pending };
        if node.deliver() {
            return Poll::Ready(Cancelled::new(reason));
        }
        node.remove_leaf(*key);
        self.state = State::Yielding(reason);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether the scope is cancelled and the next poll delivers.
    pub(crate) fn is_yielding(&self) -> bool {
        matches!(self.state, State::Yielding(_))
    }
}

impl Drop for Leaf {
    #[inline]
    fn drop(&mut self) {
        if let State::Registered { node, key, .. } = &self.state {
            node.remove_leaf(*key);
        }
    }
}
