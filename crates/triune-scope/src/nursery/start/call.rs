//! The caller's side.

use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::slot::{Phase, Slot, Started};
use super::starting::{End, Outcome, Starting};
use crate::cancel::hold::Grip;
use crate::cancel::leaf::Leaf;
use crate::cancel::node::{Node, Place};
use crate::cancel::{CancelReason, Cause, ambient};
use crate::error::{Cancelled, ChildError, ChildErrorKind, Error, NotStarted, NurseryError};
use crate::nursery::child::{Kind, Runner};
use crate::nursery::grace::Watch;
use crate::nursery::queue::{Refusal, Shared};
use crate::task::TaskInfo;
use crate::tree::TaskWait;

/// The caller's wait for `started`.
pub(in crate::nursery) struct Start<B, T, E> {
    shared: Arc<Shared<B>>,
    task: TaskInfo,
    node: Arc<Node>,
    slot: Arc<Slot<T>>,
    outcome: Outcome<E>,
    /// The child before the first poll.
    child: Option<B>,
    leaf: Leaf,
    watch: Option<Watch>,
    /// The caller was cancelled, and waits for the end of the child.
    draining: Option<CancelReason>,
    done: bool,
}

impl<B, T, E: NurseryError> Start<B, T, E> {
    pub(in crate::nursery) fn new<F, Fut, Boxed>(
        shared: &Arc<Shared<B>>,
        task: TaskInfo,
        child: F,
        boxed: Boxed,
    ) -> Self
    where
        F: FnOnce(Started<T>) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        Boxed: FnOnce(Runner<(), Starting<T, E, Fut>>) -> B,
    {
        let (slot, outcome) = (Slot::new(), Outcome::<E>::default());
        let future = child(Started { slot: Arc::clone(&slot) });
        let starting =
            Starting { slot: Arc::clone(&slot), outcome: Arc::clone(&outcome), future: Some(future) };
        let node = shared.core.new_child(Kind::Ordinary, Place::SameTask, task.clone());
        let child = Some(boxed(Runner::without_handle(Arc::clone(&node), starting)));
        Self {
            shared: Arc::clone(shared),
            task,
            node,
            slot,
            outcome,
            child,
            leaf: Leaf::default(),
            watch: None,
            draining: None,
            done: false,
        }
    }

    /// At the first poll: puts the child into the nursery.
    fn launch(&mut self, child: B, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        if let Some(reason) = self.shared.core.node.cancel_reason() {
            drop(child);
            return Poll::Ready(Err(Error::cancelled(reason).into()));
        }
        let cancelled = self.poll_leaf(cx);
        if self.leaf.is_yielding() && cancelled.is_pending() {
            self.child = Some(child);
            return Poll::Pending;
        }
        self.watch = Some(Watch::new(&self.shared.core.node, Place::SameTask));
        if let Err(refusal) = self.shared.push(Kind::Ordinary, child) {
            let error = match refusal {
                Refusal::Ended => Error::new(NotStarted::closed(self.task.clone())),
                Refusal::Abandoned => self.abandoned(),
            };
            return Poll::Ready(Err(error.into()));
        }
        if let Poll::Ready(cancelled) = cancelled {
            return self.drain(cancelled.reason().clone(), cx);
        }
        Poll::Pending
    }

    fn poll_leaf(&mut self, cx: &mut Context<'_>) -> Poll<Cancelled> {
        self.leaf.poll_for(self.wait(), cx)
    }

    /// What the tree shows.
    fn wait(&self) -> TaskWait {
        TaskWait::on("start", Some(self.task.location()))
    }

    /// The caller is cancelled: so is the child, and the caller waits for its end.
    fn drain(&mut self, reason: CancelReason, cx: &Context<'_>) -> Poll<Result<T, E>> {
        let above = ambient::peek(|above| Arc::clone(&above.node));
        self.slot.drain(above.map(|above| above.hold(Grip::Soft)));
        self.leaf = Leaf::shown(self.wait(), cx);
        self.node.cancel(reason.clone());
        self.draining = Some(reason);
        self.poll_slot(cx)
    }

    fn poll_slot(&mut self, cx: &Context<'_>) -> Poll<Result<T, E>> {
        let mut inner = self.slot.0.lock();
        match &mut inner.phase {
            Phase::Started(value) => {
                let value = value.take().expect("the value is taken once");
                drop(inner);
                Poll::Ready(Ok(value))
            }
            Phase::Ended => {
                drop(inner);
                Poll::Ready(Err(self.ended()))
            }
            Phase::Unanswered => {
                drop(inner);
                self.node.cancel(CancelReason::new(Cause::Dropped, "it dropped its `Started` unused"));
                Poll::Ready(Err(Error::new(NotStarted::unanswered(self.task.clone())).into()))
            }
            Phase::Waiting | Phase::Draining(_) => {
                let old = inner.waker.replace(cx.waker().clone());
                drop(inner);
                drop(old);
                Poll::Pending
            }
            Phase::Gone(_) => unreachable!("only this future says that the caller is gone"),
        }
    }

    /// Why a child that has ended did not start.
    fn ended(&self) -> E {
        let end = self.outcome.lock().take();
        match end {
            Some(End::Panicked(payload)) => resume_unwind(payload),
            Some(End::Returned(Err(error))) => error,
            Some(End::Returned(Ok(()))) => match &self.draining {
                Some(reason) => Error::cancelled(reason.clone()).into(),
                None => Error::new(NotStarted::ended(self.task.clone())).into(),
            },
            // Dropped by a cancel, or with its nursery.
            None => match self.node.cancel_reason() {
                Some(reason) => Error::cancelled(reason).into(),
                None => self.abandoned().into(),
            },
        }
    }

    fn abandoned(&self) -> Error {
        ChildError::new(self.task.clone(), ChildErrorKind::Abandoned).into()
    }

    fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        if let Some(child) = self.child.take() {
            let refused = self.launch(child, cx);
            if refused.is_ready() || self.child.is_some() {
                return refused;
            }
        }
        if let Poll::Ready(end) = self.poll_slot(cx) {
            return Poll::Ready(end);
        }
        if let Some(Poll::Ready(reason)) = self.watch.as_mut().map(|target| target.poll(cx)) {
            // What was handed over in between counts.
            let value = self.slot.leave(reason.clone());
            return Poll::Ready(value.ok_or_else(|| Error::cancelled(reason).into()));
        }
        if self.draining.is_none()
            && let Poll::Ready(cancelled) = self.poll_leaf(cx)
        {
            return self.drain(cancelled.reason().clone(), cx);
        }
        Poll::Pending
    }

    /// Leaves the child to its nursery; a value that nobody takes is dropped.
    fn leave(&mut self, reason: CancelReason) {
        self.done = true;
        let left = self.slot.leave(reason);
        drop(left);
        self.watch = None;
        self.draining = None;
        self.leaf = Leaf::default();
    }
}

// The child is only moved into the queue.
impl<B, T, E> Unpin for Start<B, T, E> {}

impl<B, T, E: NurseryError> Future for Start<B, T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let end = self.poll_start(cx);
        if end.is_ready() {
            self.leave(CancelReason::new(Cause::Finished, "its `start` has ended"));
        }
        end
    }
}

impl<B, T, E> Drop for Start<B, T, E> {
    fn drop(&mut self) {
        if !self.done && self.child.is_none() {
            let reason = CancelReason::new(Cause::Dropped, "the call that started it was dropped");
            self.node.cancel(reason.clone());
            drop(self.slot.leave(reason));
        }
    }
}

impl<B, T, E> fmt::Debug for Start<B, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start").field("task", &self.task).field("done", &self.done).finish_non_exhaustive()
    }
}
