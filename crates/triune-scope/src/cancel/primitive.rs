//! What primitives outside of this crate wait with: soft checkpoints at the cost of a look.
//!
//! [`FutureExt::cancellable`](super::FutureExt::cancellable) puts a node of its own around a foreign future, because the
//! future may contain triune awaits. A wait on a link contains none: like those of [`sync`](crate::sync), it registers in the
//! scope only while it must wait.
//!
//! # Invariants
//!
//! 1. At the first poll the scope is looked at first: a cancelled one wins, and the wait is not polled at all.
//! 2. Afterwards the wait is looked at first: what it has got wins, and the cancel is left to the next checkpoint.
//! 3. A task whose waits are always served at once lets others run when it has used up its budget.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::leaf::Leaf;
use crate::error::Cancelled;
use crate::tree::TaskWait;

pin_project! {
    /// A future made by [`primitive`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Primitive<F> {
        name: &'static str,
        leaf: Leaf,
        entered: bool,
        #[pin]
        wait: F,
    }
}

/// Makes `wait` a soft checkpoint, which the tree shows by this name. `wait` must contain no triune await, and when it is
/// dropped it must have lost nothing.
pub fn primitive<F: Future>(name: &'static str, wait: F) -> Primitive<F> {
    Primitive { name, leaf: Leaf::default(), entered: false, wait }
}

impl<F: Future> Future for Primitive<F> {
    type Output = Result<F::Output, Cancelled>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let shown = TaskWait::on(this.name, None);
        if !*this.entered {
            if let Err(cancelled) = ready!(this.leaf.poll_entry(shown, cx)) {
                return Poll::Ready(Err(cancelled));
            }
            *this.entered = true;
        }
        let budget = ready!(tokio::task::coop::poll_proceed(cx));
        if let Poll::Ready(output) = this.wait.poll(cx) {
            budget.made_progress();
            return Poll::Ready(Ok(output));
        }
        this.leaf.poll_for(shown, cx).map(Err)
    }
}

/// Notices a cancel of the surrounding scope as [`checkpoint`](super::checkpoint) does; where there is none, goes on at once
/// without giving others their turn. For the begin of an operation that waits later.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Errors
///
/// [`Cancelled`] if the scope around it is cancelled.
pub async fn checkpoint_if_cancelled() -> Result<(), Cancelled> {
    let mut leaf = Leaf::default();
    poll_fn(|cx| leaf.poll_entry(TaskWait::checkpoint(), cx)).await
}

#[cfg(test)]
mod tests;
