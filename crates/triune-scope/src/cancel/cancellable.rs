//! Soft checkpoints: `fut.cancellable()`, [`checkpoint`] and the questions about the ambient scope.

use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::ambient;
use super::boundary::{Boundary, heir};
use super::elsewhere::{Bound, Detached};
use super::finally::Finally;
use super::leaf::Leaf;
use super::node::Node;
use super::reason::CancelReason;
use super::scope::CancelScope;
use crate::error::Cancelled;
use crate::tree::TaskWait;

/// What triune adds to every future.
pub trait FutureExt: Future + Sized {
    /// Makes a foreign await a soft checkpoint: when the scope around it is cancelled, the future is dropped and
    /// the await resolves to [`Cancelled`], so that the code above can clean up and unwind by `?`.
    ///
    /// In a cancelled scope the future is not polled at all.
    ///
    /// # Cancel safety
    ///
    /// As that of the future: a cancel drops it wherever it stands.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use triune_scope::{CancelScope, FutureExt};
    ///
    /// let scope = CancelScope::new();
    /// scope.cancel("not needed any more");
    /// let seen = scope.run(async { std::future::pending::<()>().cancellable().await.is_err() }).await;
    /// assert!(seen.done().unwrap());
    /// # }
    /// ```
    fn cancellable(self) -> Cancellable<Self> {
        Cancellable {
            leaf: Leaf::default(),
            started: false,
            boundary: Boundary::around_foreign(heir(), self),
        }
    }

    /// Runs `cleanup` after the future, whatever happens to it: a value, an error, a panic, a cancel, also one that drops
    /// it in a foreign await. `cleanup` is shielded. In a cancelled scope it has 10 seconds, or what
    /// [`within`](Finally::within) says.
    ///
    /// The output is that of the future, or [`Cancelled`] if the future was dropped. A `cleanup` whose future was never
    /// polled does not run.
    ///
    /// # Cancel safety
    ///
    /// See [`Finally`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::time::Duration;
    /// use triune_scope::{FutureExt, move_on_after, sleep};
    ///
    /// let said = std::cell::Cell::new("");
    /// let work = std::future::pending::<()>().finally(async {
    ///     sleep(Duration::from_millis(1)).await.ok();
    ///     said.set("goodbye");
    /// });
    /// assert!(move_on_after(Duration::from_millis(1), work).await.is_none());
    /// assert_eq!(said.get(), "goodbye");
    /// # }
    /// ```
    #[track_caller]
    fn finally<C: Future>(self, cleanup: C) -> Finally<Self, C> {
        Finally::new(self, cleanup, Location::caller())
    }

    /// Takes the future out of every scope: for what is polled here but belongs to others as well, such as
    /// `futures::future::Shared`, or the initialisation of a `OnceCell`. Its code sees no cancel, no deadline, no task and
    /// no task variables.
    ///
    /// # Cancel safety
    ///
    /// A cancel of the scope around the await drops the future, as any foreign one; of a `Shared`, only this handle.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use triune_scope::{CancelScope, FutureExt, is_cancelled};
    ///
    /// let scope = CancelScope::new();
    /// scope.cancel("now");
    /// let seen = scope.run(async { (is_cancelled(), async { is_cancelled() }.detached().await) }).await;
    /// assert_eq!(seen.done(), Some((true, false)));
    /// # }
    /// ```
    fn detached(self) -> Detached<Self> {
        Detached::new(self)
    }

    /// Puts the future beneath `scope`, wherever it is polled: that scope's cancel, deadline and reason count, not those of
    /// the scopes around the await. [`Cancelled`] if a cancel of `scope` dropped it in a foreign await.
    ///
    /// The scope does not wait for it, and a shield inside does not hold up the scopes around the await.
    ///
    /// # Cancel safety
    ///
    /// A cancel of the scopes around the await drops the future, as any foreign one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use triune_scope::{CancelScope, FutureExt};
    ///
    /// let scope = CancelScope::new();
    /// let work = std::future::pending::<()>().bind(&scope);
    /// scope.cancel("enough");
    /// assert_eq!(work.await.unwrap_err().reason().message(), "enough");
    /// # }
    /// ```
    fn bind(self, scope: &CancelScope) -> Bound<Self> {
        Bound::new(scope, self)
    }
}

impl<F: Future> FutureExt for F {}

pin_project! {
    /// A future made by [`FutureExt::cancellable`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Cancellable<F> {
        leaf: Leaf,
        started: bool,
        #[pin]
        boundary: Boundary<F>,
    }
}

impl<F: Future> Future for Cancellable<F> {
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if !*this.started {
            // Only the entry is a leaf's business; afterwards the boundary passes the cancel on to what is inside.
            if let Err(cancelled) = ready!(this.leaf.poll_entry(TaskWait::checkpoint(), cx)) {
                return Poll::Ready(Err(cancelled));
            }
            *this.leaf = Leaf::default();
            *this.started = true;
        }
        this.boundary.poll(cx).map_err(Cancelled::new)
    }
}

/// A point where a cancel of the surrounding scope is noticed and where other tasks get their turn.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Errors
///
/// [`Cancelled`] if the scope around it is cancelled.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{CancelScope, checkpoint};
///
/// let scope = CancelScope::new();
/// let canceller = scope.clone();
/// let rounds = scope.run(async {
///     let mut rounds = 0;
///     while checkpoint().await.is_ok() {
///         rounds += 1;
///         if rounds == 3 {
///             canceller.cancel("enough");
///         }
///     }
///     rounds
/// });
/// assert_eq!(rounds.await.done(), Some(3));
/// # }
/// ```
pub async fn checkpoint() -> Result<(), Cancelled> {
    let mut leaf = Leaf::default();
    let mut yielded = false;
    poll_fn(|cx| {
        if let Err(cancelled) = ready!(leaf.poll_entry(TaskWait::checkpoint(), cx)) {
            return Poll::Ready(Err(cancelled));
        }
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Notices a cancel of the surrounding scope without an await: for loops that do not wait, and to tell an own cancel
/// from somebody else's.
///
/// # Errors
///
/// [`Cancelled`] if the scope around it is cancelled.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{CancelScope, check_cancelled};
///
/// let scope = CancelScope::new();
/// let canceller = scope.clone();
/// let sum = scope.run(async {
///     let mut sum = 0;
///     for number in 1.. {
///         if check_cancelled().is_err() {
///             break;
///         }
///         sum += number;
///         if number == 10 {
///             canceller.cancel("enough");
///         }
///     }
///     sum
/// });
/// assert_eq!(sum.await.done(), Some(55));
/// assert!(check_cancelled().is_ok(), "outside of it nothing is cancelled");
/// # }
/// ```
pub fn check_cancelled() -> Result<(), Cancelled> {
    match cancel_reason() {
        Some(reason) => Err(Cancelled::new(reason)),
        None => Ok(()),
    }
}

/// Whether the scope around the running code is cancelled. `false` outside of every scope.
///
/// A deadline that has passed counts, also while the code computes without an await.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{CancelScope, is_cancelled};
///
/// let scope = CancelScope::new();
/// let canceller = scope.clone();
/// let seen = scope.run(async {
///     let before = is_cancelled();
///     canceller.cancel("now");
///     (before, is_cancelled())
/// });
/// assert_eq!(seen.await.done(), Some((false, true)));
/// # }
/// ```
pub fn is_cancelled() -> bool {
    node_in_time().is_some_and(|node| node.is_cancelled())
}

/// Why the scope around the running code was cancelled, if it was.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{CancelScope, Cause, cancel_reason};
///
/// let scope = CancelScope::new();
/// scope.cancel("low on fuel");
/// let reason = scope.run(async { cancel_reason() }).await.done().flatten().unwrap();
/// assert_eq!((reason.cause(), reason.message()), (&Cause::Explicit, "low on fuel"));
/// # }
/// ```
pub fn cancel_reason() -> Option<CancelReason> {
    node_in_time()?.cancel_reason()
}

/// When the running code will be cancelled by a deadline: the earliest of the scopes around it, up to the innermost
/// shield. `None` if there is no deadline, the present if the scope is cancelled already.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use triune_scope::{effective_deadline, move_on_after, shield_unbounded};
///
/// let inner = move_on_after(Duration::from_secs(5), async {
///     assert!(shield_unbounded(async { effective_deadline() }).await.is_none());
///     move_on_after(Duration::from_secs(10), async { effective_deadline() }).await
/// });
/// let left = inner.await.flatten().flatten().unwrap().duration_since(tokio::time::Instant::now());
/// assert!(left <= Duration::from_secs(5));
/// # }
/// ```
pub fn effective_deadline() -> Option<Instant> {
    node_in_time()?.effective_deadline()
}

/// The node around the running code, after a look at the clock where a deadline could have passed.
fn node_in_time() -> Option<Arc<Node>> {
    let node = ambient::peek(|ambient| Arc::clone(&ambient.node))?;
    node.notice_time_above();
    Some(node)
}
