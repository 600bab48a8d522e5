//! The public handle of a scope.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::boundary::{Boundary, heir};
use super::deadline::When;
use super::flags::Flag;
use super::map::map;
use super::node::Node;
use super::reason::{CancelReason, Cause};

/// A region of code that can be cancelled as a whole. Cloning gives another handle on the same scope.
///
/// A scope is made, entered once with [`run`](Self::run), and may be cancelled from anywhere, also before it is
/// entered. Compared to `CancellationToken`: code inside needs no `select!`, clean-up may be async, and what does
/// not react is dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{CancelScope, Outcome};
///
/// let scope = CancelScope::new();
/// let handle = scope.clone();
/// let outcome = scope
///     .run(async move {
///         handle.cancel("enough");
///         std::future::pending::<()>().await
///     })
///     .await;
/// assert!(matches!(outcome, Outcome::Cancelled(reason) if reason.message() == "enough"));
/// # }
/// ```
#[derive(Clone)]
pub struct CancelScope {
    node: Arc<Node>,
}

/// How a scope ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{CancelScope, Outcome};
///
/// let finished = CancelScope::new().run(async { 7 }).await;
/// assert_eq!(finished, Outcome::Done(7));
/// assert_eq!(finished.done(), Some(7));
///
/// let scope = CancelScope::new();
/// scope.cancel("before it began");
/// match scope.run(std::future::pending::<()>()).await {
///     Outcome::Done(()) => unreachable!("it never ends by itself"),
///     Outcome::Cancelled(reason) => assert_eq!(reason.message(), "before it began"),
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a scope ends with a value or without one; there is no third way"
)]
#[must_use = "a cancelled scope has no value; match on it or use `done`"]
pub enum Outcome<T> {
    /// The code ran to its end.
    Done(T),
    /// A cancel cut the code off.
    Cancelled(CancelReason),
}

impl<T> Outcome<T> {
    /// The value, if the code ran to its end.
    #[must_use = "the value is lost"]
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            Self::Cancelled(_) => None,
        }
    }

    /// Whether a cancel cut the code off.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }
}

impl CancelScope {
    /// A scope that is not entered yet.
    pub fn new() -> Self {
        Self::of(heir())
    }

    pub(crate) fn of(node: Arc<Node>) -> Self {
        Self { node }
    }

    pub(super) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// A scope that is cancelled at `deadline`, on tokio's clock (which tests can pause), with
    /// [`Cause::Deadline`](crate::Cause::Deadline).
    #[track_caller]
    pub fn with_deadline(deadline: Instant) -> Self {
        let scope = Self::new();
        scope.set_deadline(deadline);
        scope
    }

    /// A scope that is cancelled when it has run for `limit`, counted from the first poll of [`run`](Self::run).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::time::Duration;
    /// use triune_scope::{CancelScope, Cause, sleep};
    ///
    /// let scope = CancelScope::with_timeout(Duration::from_millis(1));
    /// let inner = scope.clone();
    /// let ended = scope
    ///     .run(async move {
    ///         inner.set_timeout(Duration::from_millis(2)); // a little more, from now on
    ///         sleep(Duration::from_secs(60)).await.is_err()
    ///     })
    ///     .await;
    /// assert_eq!(ended.done(), Some(true));
    /// # }
    /// ```
    #[track_caller]
    pub fn with_timeout(limit: Duration) -> Self {
        let scope = Self::new();
        scope.set_timeout(limit);
        scope
    }

    /// Sets, moves or, with `None`, removes the deadline: earlier or later, from anywhere, at any time.
    ///
    /// A deadline that has passed when it is set cancels at once. One that has fired stays fired. The scope looks at
    /// the clock when it is polled and when it is asked, not in between.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::time::Duration;
    /// use tokio::time::Instant;
    /// use triune_scope::{CancelScope, Cause};
    ///
    /// let minute = Duration::from_secs(60);
    /// let scope = CancelScope::with_deadline(Instant::now() + minute);
    /// assert!(scope.time_left().unwrap() <= minute && !scope.cancel_called());
    /// scope.set_deadline(None);
    /// assert_eq!((scope.deadline(), scope.effective_deadline()), (None, None));
    /// scope.set_deadline(Instant::now());
    /// assert!(scope.cancel_called() && scope.is_cancelled());
    /// assert_eq!(*scope.reason().unwrap().cause(), Cause::Deadline);
    /// # }
    /// ```
    #[track_caller]
    pub fn set_deadline(&self, deadline: impl Into<Option<Instant>>) {
        self.node.set_deadline(deadline.into().map(When::At), Some(Location::caller()));
    }

    /// Sets the deadline to `limit` from now, or, if the scope is not entered yet, from its first poll.
    #[track_caller]
    pub fn set_timeout(&self, limit: Duration) {
        self.node.set_deadline(Some(When::After(limit)), Some(Location::caller()));
    }

    /// The deadline of this scope, if it has one. See [`effective_deadline`](Self::effective_deadline) for the scopes
    /// around it. `None` for a [timeout](Self::with_timeout) that has not begun.
    pub fn deadline(&self) -> Option<Instant> {
        match self.node.deadline()? {
            When::At(at) => Some(at),
            When::After(_) => None,
        }
    }

    /// How long it is to the [deadline](Self::deadline); zero if that has passed.
    pub fn time_left(&self) -> Option<Duration> {
        match self.node.deadline()? {
            When::At(at) => Some(at.saturating_duration_since(Instant::now())),
            When::After(span) => Some(span),
        }
    }

    /// The earliest deadline that applies to the code in this scope: its own, and those around it up to the innermost
    /// shield. The present if the scope is cancelled already.
    pub fn effective_deadline(&self) -> Option<Instant> {
        self.node.notice_time_above();
        self.node.effective_deadline()
    }

    /// Cancels everything inside, now and whatever enters later. Only the first reason counts.
    #[track_caller]
    pub fn cancel(&self, reason: impl Into<CancelReason>) {
        self.node.cancel(reason.into().at(Location::caller()));
    }

    /// Cancels as [`cancel`](Self::cancel) does, and bounds the clean-up: when `grace` is over, everything that is left
    /// inside is dropped, also within shields and shields of shields.
    ///
    /// Another call can only shorten the grace. Parallel children are stopped in the same way, in their own tasks, and
    /// waited for. A grace of zero drops without unwinding first. What has no task that polls it cannot be dropped,
    /// and neither can code that never returns from a poll.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::time::Duration;
    /// use triune_scope::{CancelScope, shield_unbounded};
    ///
    /// let scope = CancelScope::new();
    /// scope.cancel_with_grace(Duration::from_millis(1), "shutting down");
    /// let ended = scope.run(shield_unbounded(std::future::pending::<()>())).await;
    /// assert!(ended.is_cancelled());
    /// # }
    /// ```
    #[track_caller]
    pub fn cancel_with_grace(&self, grace: Duration, reason: impl Into<CancelReason>) {
        self.node.cancel(reason.into().at(Location::caller()));
        if let Some(end) = Instant::now().checked_add(grace) {
            self.node.limit_hard(When::At(end));
        }
    }

    /// Whether this scope, or one around it, was cancelled. A deadline that has passed counts.
    pub fn is_cancelled(&self) -> bool {
        self.node.notice_time_above();
        self.node.is_cancelled()
    }

    /// Whether [`cancel`](Self::cancel) was called on this scope, or its deadline has passed.
    pub fn cancel_called(&self) -> bool {
        self.node.notice_time();
        self.node.is_called()
    }

    /// Why the scope was cancelled, if it was.
    pub fn reason(&self) -> Option<CancelReason> {
        self.node.notice_time_above();
        self.node.cancel_reason()
    }

    /// Runs `future` inside the scope, as a child of the scope around the caller.
    ///
    /// Code that sees [`Cancelled`](crate::Cancelled) and returns decides the outcome by its value; code that is
    /// cut off leaves [`Outcome::Cancelled`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the returned future drops `future`; the scope ends.
    ///
    /// # Panics
    ///
    /// When the scope was entered before: one scope is one region.
    pub fn run<F: Future>(&self, future: F) -> impl Future<Output = Outcome<F::Output>> + use<F> {
        assert!(
            self.node.raise(Flag::Run),
            "a cancel scope is entered once; make a new `CancelScope` for each region"
        );
        map(Boundary::nested(Arc::clone(&self.node), future), |end| match end {
            Ok(value) => Outcome::Done(value),
            Err(reason) => Outcome::Cancelled(reason),
        })
    }
}

impl CancelScope {
    /// As [`run`](Self::run), but a value that carries this scope's own cancel counts as cut off: for code that
    /// unwound by `?`, there is nothing that a caller outside of the scope could do with its `Cancelled`.
    pub(crate) fn run_absorbing<F: Future>(
        &self,
        future: F,
    ) -> impl Future<Output = Outcome<F::Output>> + use<F> {
        let node = Arc::clone(&self.node);
        map(self.run(future), move |outcome| match node.cancel_reason() {
            Some(reason) if node.is_own() && reason.is_carried() => Outcome::Cancelled(reason),
            _ => outcome,
        })
    }

    /// Whether this scope was cancelled by its own deadline, not from above and not by a call.
    pub(crate) fn has_timed_out(&self) -> bool {
        self.node.is_own() && self.node.cancel_reason().is_some_and(|why| *why.cause() == Cause::Deadline)
    }
}

impl Default for CancelScope {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancelScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelScope").field("reason", &self.node.cancel_reason()).finish_non_exhaustive()
    }
}
