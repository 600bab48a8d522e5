//! Where the value passes from the child to the caller, and who is there.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::Waker;

use crate::cancel::hold::Hold;
use crate::cancel::{CancelReason, Cause};
use crate::error::Cancelled;
use crate::lock::Mutex;

/// With this a child that was started by [`Nursery::start`](crate::Nursery::start) says that it is ready.
#[must_use = "dropping it unused fails the `start`, and the child is cancelled"]
pub struct Started<T> {
    pub(super) slot: Arc<Slot<T>>,
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
pub(super) struct Slot<T>(pub(super) Mutex<Inner<T>>);

pub(super) struct Inner<T> {
    pub(super) phase: Phase<T>,
    pub(super) waker: Option<Waker>,
    /// The child is being polled or dropped.
    polling: bool,
    /// The `Started` was used or dropped.
    dropped: bool,
    /// Of a caller that was cancelled: it may not be dropped before the child has ended.
    hold: Option<Hold>,
}

pub(super) enum Phase<T> {
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
    pub(super) fn new() -> Arc<Self> {
        let inner = Inner { phase: Phase::Waiting, waker: None, polling: false, dropped: false, hold: None };
        Arc::new(Self(Mutex::new(inner)))
    }

    pub(super) fn poll_began(&self) {
        self.0.lock().polling = true;
    }

    pub(super) fn poll_ended(&self) {
        let mut inner = self.0.lock();
        inner.polling = false;
        let waker = if inner.dropped { inner.notice_dropped() } else { None };
        drop(inner);
        waker.into_iter().for_each(Waker::wake);
    }

    /// The child has ended; whether that is the caller's business.
    pub(super) fn end(&self, failed: bool) -> bool {
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
    pub(super) fn drain(&self, hold: Option<Hold>) {
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
    pub(super) fn leave(&self, reason: CancelReason) -> Option<T> {
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
