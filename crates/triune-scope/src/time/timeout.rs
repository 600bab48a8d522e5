//! Limits of time for a piece of code: `move_on_*` and `fail_*`.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::cancel::map::map;
use crate::cancel::{CancelScope, Outcome};
use crate::error::{Error, Result, Timeout};

/// Runs `future` for at most `limit`, counted from the first poll. `None` if it was cut off.
///
/// At the deadline the code is cancelled as by [`CancelScope::cancel`]: it unwinds softly, shields hold, what stays
/// parked in a foreign await is dropped. If it returns a value nevertheless, that value counts, unless it carries the
/// [`Cancelled`](crate::Cancelled) of this deadline, that is, unless the code left by `?`. `None` also when a scope
/// around it was cancelled and cut the code off; then the caller's next checkpoint is cancelled.
///
/// # Cancel safety
///
/// Dropping it drops `future`.
///
/// # Panics
///
/// Outside of a tokio runtime with time enabled.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use triune_scope::{move_on_after, sleep};
///
/// let limit = Duration::from_millis(1);
/// assert!(move_on_after(limit, sleep(Duration::from_secs(60))).await.is_none());
/// assert_eq!(move_on_after(limit, async { 5 }).await, Some(5));
/// # }
/// ```
#[track_caller]
pub fn move_on_after<F: Future>(
    limit: Duration,
    future: F,
) -> impl Future<Output = Option<F::Output>> + use<F> {
    move_on(&CancelScope::with_timeout(limit), future)
}

/// Runs `future` until `deadline`; see [`move_on_after`].
///
/// # Cancel safety
///
/// Dropping it drops `future`.
///
/// # Panics
///
/// Outside of a tokio runtime with time enabled.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use triune_scope::{move_on_at, sleep};
///
/// let soon = Instant::now() + Duration::from_millis(1);
/// assert!(move_on_at(soon, sleep(Duration::from_secs(60))).await.is_none());
/// # }
/// ```
#[track_caller]
pub fn move_on_at<F: Future>(
    deadline: Instant,
    future: F,
) -> impl Future<Output = Option<F::Output>> + use<F> {
    move_on(&CancelScope::with_deadline(deadline), future)
}

/// Runs `future` for at most `limit`, counted from the first poll; as [`move_on_after`], but being cut off is an error.
///
/// # Cancel safety
///
/// Dropping it drops `future`.
///
/// # Errors
///
/// [`Timeout`] if the deadline cut the code off ([`Error::is_timeout`]), [`Cancelled`](crate::Cancelled) if something
/// else did.
///
/// # Panics
///
/// Outside of a tokio runtime with time enabled.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use triune_scope::{fail_after, sleep};
///
/// let late = fail_after(Duration::from_millis(1), sleep(Duration::from_secs(60))).await.unwrap_err();
/// assert!(late.is_timeout() && !late.is_cancelled());
/// # }
/// ```
#[track_caller]
pub fn fail_after<F: Future>(limit: Duration, future: F) -> impl Future<Output = Result<F::Output>> + use<F> {
    fail(CancelScope::with_timeout(limit), Some(limit), future)
}

/// Runs `future` until `deadline`; see [`fail_after`].
///
/// # Cancel safety
///
/// Dropping it drops `future`.
///
/// # Errors
///
/// As [`fail_after`].
///
/// # Panics
///
/// Outside of a tokio runtime with time enabled.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use triune_scope::{fail_at, sleep};
///
/// let soon = Instant::now() + Duration::from_millis(1);
/// assert!(fail_at(soon, sleep(Duration::from_secs(60))).await.unwrap_err().is_timeout());
/// # }
/// ```
#[track_caller]
pub fn fail_at<F: Future>(deadline: Instant, future: F) -> impl Future<Output = Result<F::Output>> + use<F> {
    fail(CancelScope::with_deadline(deadline), None, future)
}

fn move_on<F: Future>(scope: &CancelScope, future: F) -> impl Future<Output = Option<F::Output>> + use<F> {
    map(scope.run_absorbing(future), Outcome::done)
}

fn fail<F: Future>(
    scope: CancelScope,
    limit: Option<Duration>,
    future: F,
) -> impl Future<Output = Result<F::Output>> + use<F> {
    map(scope.run_absorbing(future), move |outcome| match outcome {
        Outcome::Done(value) => Ok(value),
        Outcome::Cancelled(reason) if scope.has_timed_out() => {
            Err(Timeout::new(limit).set_at(reason.location()).into())
        }
        Outcome::Cancelled(reason) => Err(Error::cancelled(reason)),
    })
}
