//! `start`: a child that says when it is ready, and a caller that waits for that.
//!
//! The child is in the nursery from the beginning. Until it says `started`, its failure is the caller's, and so is
//! its life: [`Starting`] decides at the child's end whose business it is, [`Start`] is the caller's wait.
//!
//! # Invariants
//!
//! 1. A failure goes to exactly one side: to the caller before `started`, to the nursery after it or without a caller.
//! 2. The value is delivered once or dropped once; it is never dropped under the lock.
//! 3. A caller that was cancelled waits until the child has ended; one that was dropped only cancels it.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use super::child::{Kind, Runner};
use super::grace::Watch;
use super::queue::{Refusal, Shared};
use crate::cancel::hold::{Grip, Hold};
use crate::cancel::leaf::Leaf;
use crate::cancel::node::{Node, Place};
use crate::cancel::{CancelReason, Cause, ambient};
use crate::error::{Cancelled, ChildError, ChildErrorKind, Error, NotStarted, NurseryError, discard};
use crate::lock::Mutex;
use crate::task::TaskInfo;
use crate::tree::TaskWait;

/// With this a child that was started by [`Nursery::start`](crate::Nursery::start) says that it is ready.
#[must_use = "dropping it unused fails the `start`, and the child is cancelled"]
pub struct Started<T> {
    slot: Arc<Slot<T>>,
}

impl<T> Started<T> {
    /// Ends the `start` of the caller with this value. From now on the child is the nursery's like any other.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] when nobody waits for it any more; the child is cancelled then, and the value dropped.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use triune_scope::{Started, nursery};
    ///
    /// let ready = nursery(async |n| {
    ///     n.start(async |started: Started<&str>| {
    ///         started.started("ready")?;
    ///         Ok(()) // The child might go on for long; it is the nursery's now.
    ///     })
    ///     .await
    /// });
    /// assert_eq!(ready.await?, "ready");
    /// # Ok(()) }
    /// ```
    pub fn started(self, value: T) -> Result<(), Cancelled> {
        let mut inner = self.slot.0.lock();
        let refused = match &mut inner.phase {
            phase @ Phase::Waiting => {
                *phase = Phase::Started(Some(value));
                None
            }
            Phase::Draining(kept) => {
                *kept = Some(value);
                None
            }
            Phase::Gone(reason) => Some((reason.clone(), value)),
            Phase::Started(_) | Phase::Ended | Phase::Unanswered => {
                Some((CancelReason::new(Cause::Finished, "the child has ended"), value))
            }
        };
        let waker = inner.waker.take();
        drop(inner);
        waker.into_iter().for_each(Waker::wake);
        refused.map_or(Ok(()), |(reason, _value)| Err(Cancelled::new(reason)))
    }
}

impl<T> Drop for Started<T> {
    fn drop(&mut self) {
        let mut inner = self.slot.0.lock();
        inner.dropped = true;
        // While the child is being polled its end may follow, which tells more.
        let waker = if inner.polling { None } else { inner.notice_dropped() };
        drop(inner);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<T> fmt::Debug for Started<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").finish_non_exhaustive()
    }
}

/// Where the value passes from the child to the caller.
pub(super) struct Slot<T>(Mutex<Inner<T>>);

struct Inner<T> {
    phase: Phase<T>,
    waker: Option<Waker>,
    /// The child is being polled or dropped.
    polling: bool,
    /// The `Started` was used or dropped.
    dropped: bool,
    /// Of a caller that was cancelled: it may not be dropped before the child has ended.
    hold: Option<Hold>,
}

enum Phase<T> {
    /// The caller waits.
    Waiting,
    /// The caller was cancelled and waits for the end; the value counts if that is no failure.
    Draining(Option<T>),
    /// `None` when the caller has taken it.
    Started(Option<T>),
    /// The child ended first.
    Ended,
    /// The `Started` was dropped while the child runs on.
    Unanswered,
    /// The caller went away.
    Gone(CancelReason),
}

impl<T> Inner<T> {
    fn notice_dropped(&mut self) -> Option<Waker> {
        if !matches!(self.phase, Phase::Waiting) {
            return None;
        }
        self.phase = Phase::Unanswered;
        self.waker.take()
    }
}

impl<T> Slot<T> {
    fn new() -> Arc<Self> {
        let inner = Inner { phase: Phase::Waiting, waker: None, polling: false, dropped: false, hold: None };
        Arc::new(Self(Mutex::new(inner)))
    }

    fn poll_began(&self) {
        self.0.lock().polling = true;
    }

    fn poll_ended(&self) {
        let mut inner = self.0.lock();
        inner.polling = false;
        let waker = if inner.dropped { inner.notice_dropped() } else { None };
        drop(inner);
        waker.into_iter().for_each(Waker::wake);
    }

    /// The child has ended; whether that is the caller's business.
    fn end(&self, failed: bool) -> bool {
        let mut inner = self.0.lock();
        let old = mem::replace(&mut inner.phase, Phase::Ended);
        let (phase, left, is_callers) = match old {
            Phase::Draining(Some(value)) if !failed => (Phase::Started(Some(value)), None, true),
            Phase::Draining(left) => (Phase::Ended, left, true),
            Phase::Waiting => (Phase::Ended, None, true),
            other => (other, None, false),
        };
        inner.phase = phase;
        let (waker, hold) = (inner.waker.take(), inner.hold.take());
        drop(inner);
        drop(left);
        waker.into_iter().for_each(Waker::wake);
        drop(hold);
        is_callers
    }

    /// The caller is cancelled, and waits for the end.
    fn drain(&self, hold: Option<Hold>) {
        let mut inner = self.0.lock();
        if let Phase::Waiting = inner.phase {
            inner.phase = Phase::Draining(None);
            inner.hold = hold;
            return;
        }
        drop(inner);
        drop(hold);
    }

    /// The caller goes away; the value if it was handed over before.
    fn leave(&self, reason: CancelReason) -> Option<T> {
        let mut inner = self.0.lock();
        let old = mem::replace(&mut inner.phase, Phase::Gone(reason));
        let (waker, hold) = (inner.waker.take(), inner.hold.take());
        drop(inner);
        drop((waker, hold));
        match old {
            Phase::Started(value) => value,
            // Dropped here, outside of the lock.
            Phase::Waiting | Phase::Draining(_) | Phase::Ended | Phase::Unanswered | Phase::Gone(_) => None,
        }
    }
}

/// How the child ended, for the caller.
enum End<E> {
    Returned(Result<(), E>),
    Panicked(Box<dyn Any + Send>),
}

type Outcome<E> = Arc<Mutex<Option<End<E>>>>;

pin_project! {
    /// The child: keeps a failure before `started` from the nursery.
    pub(super) struct Starting<T, E, F> {
        slot: Arc<Slot<T>>,
        outcome: Outcome<E>,
        #[pin]
        future: Option<F>,
    }

    impl<T, E, F> PinnedDrop for Starting<T, E, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                this.slot.poll_began();
                this.future.set(None);
                this.slot.end(true);
            }
        }
    }
}

impl<T, E, F> Future for Starting<T, E, F>
where
    F: Future<Output = Result<(), E>>,
{
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        this.slot.poll_began();
        let future = this.future.as_mut().as_pin_mut().expect("a child is not polled after its end");
        let end = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => {
                this.slot.poll_ended();
                return Poll::Pending;
            }
            Ok(Poll::Ready(end)) => End::Returned(end),
            Err(payload) => End::Panicked(payload),
        };
        let end = match (end, catch_unwind(AssertUnwindSafe(|| this.future.set(None)))) {
            (End::Returned(_), Err(payload)) => End::Panicked(payload),
            (end, dropped) => {
                dropped.err().into_iter().for_each(discard);
                end
            }
        };
        // Stored first: the caller looks as soon as it is woken. Nobody else takes it.
        let failed = !matches!(end, End::Returned(Ok(())));
        *this.outcome.lock() = Some(end);
        if this.slot.end(failed) {
            return Poll::Ready(Ok(()));
        }
        let end = this.outcome.lock().take();
        match end {
            None | Some(End::Returned(Ok(()))) => Poll::Ready(Ok(())),
            Some(End::Returned(Err(error))) => Poll::Ready(Err(error)),
            Some(End::Panicked(payload)) => resume_unwind(payload),
        }
    }
}

/// The caller's wait for `started`.
pub(super) struct Start<B, T, E> {
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
    pub(super) fn new<F, Fut, Boxed>(shared: &Arc<Shared<B>>, task: TaskInfo, child: F, boxed: Boxed) -> Self
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
