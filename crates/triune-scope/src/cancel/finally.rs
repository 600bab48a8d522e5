//! Async clean-up that a cancel cannot skip: `finally` and [`bracket`].
//!
//! 1. The clean-up begins as soon as the work has ended, in whatever way, in the same poll; so a cancel finds either
//!    the work or the shield of the clean-up, and nothing in between.
//! 2. The limit of the clean-up begins with the cancel: an undisturbed clean-up may take its time. It is a limit of the
//!    shield, which needs no poll to end: a clean-up that is stranded (polled by nobody any more) is dropped in time.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::boundary::{Boundary, heir};
use super::node::{Inherit, Node};
use super::patience::{LIMIT, Patience, Then};
use super::reason::CancelReason;
use crate::error::{Cancelled, Error, Result, discard};
use crate::time::Elapsed;

pin_project! {
    /// A future with a clean-up, made by [`FutureExt::finally`](crate::FutureExt::finally).
    ///
    /// # Cancel safety
    ///
    /// A cancel cannot skip the clean-up. Foreign code that drops this future (`select!`, `timeout`) does skip it, as
    /// does the end of a grace ([`CancelScope::cancel_with_grace`](crate::CancelScope::cancel_with_grace)): nothing can
    /// await in a destructor. So does a cancel while nobody polls the future any more (a `select!` that took it by reference
    /// has ended): before the clean-up has begun it is dropped as any other future, afterwards when its limit is over. All
    /// of that is logged.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Finally<F: Future, C> {
        #[pin]
        work: Option<Boundary<F>>,
        #[pin]
        cleanup: Option<Boundary<C>>,
        state: State<F::Output>,
    }

    impl<F: Future, C> PinnedDrop for Finally<F, C> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.state.started && !this.state.done {
                tracing::warn!(at = %this.state.location, "dropped before its async clean-up was done");
            }
        }
    }
}

struct State<T> {
    shield: Arc<Node>,
    end: Option<End<T>>,
    limit: Duration,
    location: &'static Location<'static>,
    started: bool,
    done: bool,
}

/// How the work ended.
enum End<T> {
    Value(T),
    CutOff(CancelReason),
    Panic(Box<dyn Any + Send>),
}

impl<F: Future, C: Future> Finally<F, C> {
    pub(super) fn new(work: F, cleanup: C, location: &'static Location<'static>) -> Self {
        let shield = Node::new(Inherit::No);
        Self {
            work: Some(Boundary::around_foreign(heir(), work)),
            cleanup: Some(Boundary::nested(Arc::clone(&shield), cleanup)),
            state: State { shield, end: None, limit: LIMIT, location, started: false, done: false },
        }
    }

    /// How long the clean-up may go on once the scope around it is cancelled, instead of 10 seconds. What is not done
    /// by then is dropped, and logged.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::future::{pending, ready};
    /// use std::time::Duration;
    /// use triune_scope::{CancelScope, FutureExt};
    ///
    /// let scope = CancelScope::new();
    /// scope.cancel("now");
    /// let work = ready("done").finally(pending::<()>()).within(Duration::from_millis(1));
    /// assert!(scope.run(work).await.done().unwrap().is_ok(), "the work was; its clean-up took too long");
    /// # }
    /// ```
    pub fn within(mut self, limit: Duration) -> Self {
        self.state.limit = limit;
        self
    }
}

impl<F: Future, C: Future> Future for Finally<F, C> {
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let state = this.state;
        state.started = true;
        if let Some(work) = this.work.as_mut().as_pin_mut() {
            // Whoever shares data with the work sees it half-written after a panic, as with `std::thread::scope`.
            let end = match catch_unwind(AssertUnwindSafe(|| work.poll(cx))) {
                Ok(end) => match ready!(end) {
                    Ok(value) => End::Value(value),
                    Err(reason) => End::CutOff(reason),
                },
                Err(payload) => End::Panic(payload),
            };
            let dropped = catch_unwind(AssertUnwindSafe(|| this.work.set(None)));
            state.end = Some(match (end, dropped) {
                (End::Panic(payload), dropped) => {
                    dropped.err().into_iter().for_each(discard);
                    End::Panic(payload)
                }
                (_, Err(payload)) => End::Panic(payload),
                (end, Ok(())) => end,
            });
            state.shield.bear(Patience { limit: state.limit, then: Then::Drop });
        }
        let cleanup = this.cleanup.as_mut().as_pin_mut();
        let cleaned = ready!(cleanup.expect("a future is not polled after it has ended").poll(cx));
        this.cleanup.set(None);
        state.done = true;
        if cleaned.is_err() {
            tracing::warn!(at = %state.location, limit = ?state.limit, "an async clean-up did not end in time and was dropped");
        }
        Poll::Ready(match state.end.take() {
            Some(End::Value(value)) => Ok(value),
            Some(End::CutOff(reason)) => Err(Cancelled::new(reason)),
            Some(End::Panic(payload)) => resume_unwind(payload),
            None => unreachable!("the clean-up begins when the work has ended"),
        })
    }
}

impl<F: Future, C> fmt::Debug for Finally<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finally")
            .field("at", &format_args!("{}", self.state.location))
            .field("cleaning", &self.work.is_none())
            .finish_non_exhaustive()
    }
}

/// Acquires something, uses it, and releases it, whatever happens in between: an error, a panic, a cancel.
///
/// `use_` and `release` get clones of the resource: a handle, an id, an `Arc`. `release` runs shielded; in a cancelled
/// scope it has 10 seconds. It runs if and only if `acquire` gave a value.
///
/// # Cancel safety
///
/// A cancel cannot skip `release`; foreign code that drops this future (`select!`, `timeout`) can, which is logged.
/// `acquire` is cancelled like any other code, and must not leave anything behind then.
///
/// # Errors
///
/// The error of `acquire`; else that of `use_`; else that of `release`, also if a cancel ended `use_`; else
/// [`Cancelled`]. An error of `release` that comes second is logged.
///
/// # Panics
///
/// Resumes a panic of `use_`, after `release`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{CancelScope, Error, FutureExt, bracket};
///
/// let scope = CancelScope::new();
/// let canceller = scope.clone();
/// let released = std::cell::Cell::new(None);
/// let ended = scope.run(bracket(
///     async { Ok::<_, Error>(7) },
///     async |_connection| {
///         canceller.cancel("enough");
///         std::future::pending::<()>().await; // Foreign: dropped.
///         Ok(())
///     },
///     async |connection| {
///         tokio::task::yield_now().cancellable().await?; // Shielded: not cancelled.
///         released.set(Some(connection));
///         Ok(())
///     },
/// ));
/// assert!(ended.await.done().unwrap().unwrap_err().is_cancelled());
/// assert_eq!(released.get(), Some(7));
/// # }
/// ```
#[track_caller]
pub fn bracket<R, E, T, Acquire, Use, Using, Release, Releasing>(
    acquire: Acquire,
    use_: Use,
    release: Release,
) -> impl Future<Output = Result<T>> + use<R, E, T, Acquire, Use, Using, Release, Releasing>
where
    Acquire: Future<Output = Result<R, E>>,
    E: Into<Error>,
    R: Clone,
    Use: FnOnce(R) -> Using,
    Using: Future<Output = Result<T>>,
    Release: FnOnce(R) -> Releasing,
    Releasing: Future<Output = Result>,
{
    let location = Location::caller();
    async move {
        let resource = acquire.await.map_err(Into::into)?;
        let mut released = None;
        let handle = resource.clone();
        // Called within, so that a panic of the closure itself is cleaned up after as well.
        let work = async move { use_(resource).await };
        let cleanup = async { released = Some(release(handle).await) };
        let used = Finally::new(work, cleanup, location).await;
        let released = released.unwrap_or_else(|| Err(Elapsed::new(LIMIT).into()));
        match (used, released) {
            (Ok(Ok(value)), Ok(())) => Ok(value),
            (Ok(Err(error)), Ok(())) => Err(error),
            (Err(cancelled), Ok(())) => Err(cancelled.into()),
            (Ok(Ok(_)) | Err(_), Err(error)) => Err(error),
            (Ok(Err(cancelled)), Err(error)) if cancelled.is_cancelled() => Err(error),
            (Ok(Err(error)), Err(second)) => {
                tracing::error!(at = %location, "the release failed after another error: {second:#}");
                Err(error)
            }
        }
    }
}
