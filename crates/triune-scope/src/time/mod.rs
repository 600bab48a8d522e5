//! Time on tokio's clock: [`sleep`] and its kin, the limits of time, and the bounded [`shield`].

mod timeout;
pub(crate) mod timer;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::time::Duration;

pub use timeout::{fail_after, fail_at, move_on_after, move_on_at};

use tokio::time::Instant;

use crate::cancel::leaf::Leaf;
use crate::cancel::{FutureExt, checkpoint, shield_within};
use crate::error::Cancelled;

/// Waits for `duration`, on tokio's clock (which tests can pause).
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Errors
///
/// [`Cancelled`] if the scope around it is cancelled before the time is over.
///
/// # Panics
///
/// Outside of a tokio runtime with time enabled.
pub async fn sleep(duration: Duration) -> Result<(), Cancelled> {
    if duration.is_zero() {
        return checkpoint().await;
    }
    tokio::time::sleep(duration).cancellable().await
}

/// Waits until `deadline`, on tokio's clock (which tests can pause). A deadline in the past is a [`checkpoint`].
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Errors
///
/// [`Cancelled`] if the scope around it is cancelled before the deadline.
///
/// # Panics
///
/// Outside of a tokio runtime with time enabled.
pub async fn sleep_until(deadline: Instant) -> Result<(), Cancelled> {
    if deadline <= Instant::now() {
        return checkpoint().await;
    }
    tokio::time::sleep_until(deadline).cancellable().await
}

/// Waits until the scope around it is cancelled. It never returns `Ok`.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Errors
///
/// [`Cancelled`] when the scope around it is cancelled.
pub async fn sleep_forever() -> Result<Infallible, Cancelled> {
    let mut leaf = Leaf::default();
    Err(std::future::poll_fn(|cx| leaf.poll(cx)).await)
}

/// Runs async clean-up for at most `max` where no cancel from around it is seen.
///
/// The limit is a hard one: what is not done by then is dropped, shields inside as well.
///
/// # Cancel safety
///
/// triune never drops it before `max`, but foreign code (`select!`, `timeout`) that drops the caller does.
///
/// # Errors
///
/// [`Elapsed`] when `future` took longer than `max`; it was dropped then.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use triune_scope::{CancelScope, shield, sleep};
///
/// let scope = CancelScope::new();
/// scope.cancel("stop");
/// let cleaned = scope.run(shield(Duration::from_secs(1), sleep(Duration::from_millis(1)))).await;
/// assert!(matches!(cleaned.done(), Some(Ok(Ok(())))));
/// # }
/// ```
pub async fn shield<F: Future>(max: Duration, future: F) -> Result<F::Output, Elapsed> {
    shield_within(max, future).await.map_err(|_cut_off| Elapsed::new(max))
}

/// Shielded clean-up took longer than its limit and was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elapsed {
    max: Duration,
}

impl Elapsed {
    pub(crate) const fn new(max: Duration) -> Self {
        Self { max }
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shielded clean-up did not end within {:?}", self.max)
    }
}

impl StdError for Elapsed {}
