//! The public handle of a scope.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::boundary::{Boundary, heir};
use super::node::Node;
use super::reason::CancelReason;

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
    entered: Arc<AtomicBool>,
}

/// How a scope ended.
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
        Self { node, entered: Arc::new(AtomicBool::new(false)) }
    }

    /// Cancels everything inside, now and whatever enters later. Only the first reason counts.
    pub fn cancel(&self, reason: impl Into<CancelReason>) {
        self.node.cancel(reason.into());
    }

    /// Whether this scope, or one around it, was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.node.is_cancelled()
    }

    /// Whether [`cancel`](Self::cancel) was called on this scope.
    pub fn cancel_called(&self) -> bool {
        self.node.is_called()
    }

    /// Why the scope was cancelled, if it was.
    pub fn reason(&self) -> Option<CancelReason> {
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
            !self.entered.swap(true, Ordering::AcqRel),
            "a cancel scope is entered once; make a new `CancelScope` for each region"
        );
        let boundary = Boundary::nested(Arc::clone(&self.node), future);
        async move {
            match boundary.await {
                Ok(value) => Outcome::Done(value),
                Err(reason) => Outcome::Cancelled(reason),
            }
        }
    }
}

impl Default for CancelScope {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancelScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelScope").field("reason", &self.reason()).finish_non_exhaustive()
    }
}
