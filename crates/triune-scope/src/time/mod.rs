//! Time on tokio's clock: [`sleep`] and its kin, the limits of time, and the bounded [`shield`].

pub(crate) mod alarm;
mod timeout;
pub(crate) mod timer;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::Duration;

pub use timeout::{fail_after, fail_at, move_on_after, move_on_at};

use tokio::time::{Instant, Sleep};

use crate::cancel::leaf::Leaf;
use crate::cancel::{checkpoint, shield_within};
use crate::error::Cancelled;
use crate::tree::{Awaited, TaskWait};

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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use std::time::Duration;
/// use triune_scope::{move_on_after, sleep};
///
/// sleep(Duration::from_millis(1)).await?;
/// let cut_off = move_on_after(Duration::from_millis(1), async { sleep(Duration::from_secs(60)).await.is_err() });
/// assert_eq!(cut_off.await, Some(true));
/// # Ok(()) }
/// ```
#[track_caller]
pub fn sleep(duration: Duration) -> impl Future<Output = Result<(), Cancelled>> {
    let location = Location::caller();
    async move {
        if duration.is_zero() {
            return checkpoint().await;
        }
        nap(tokio::time::sleep(duration), location).await
    }
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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use triune_scope::sleep_until;
///
/// let later = Instant::now() + Duration::from_millis(1);
/// sleep_until(later).await?;
/// assert!(Instant::now() >= later);
/// # Ok(()) }
/// ```
#[track_caller]
pub fn sleep_until(deadline: Instant) -> impl Future<Output = Result<(), Cancelled>> {
    let location = Location::caller();
    async move {
        if deadline <= Instant::now() {
            return checkpoint().await;
        }
        nap(tokio::time::sleep_until(deadline), location).await
    }
}

/// # Cancel safety
///
/// As [`sleep`].
async fn nap(sleep: Sleep, location: &'static Location<'static>) -> Result<(), Cancelled> {
    let shown = TaskWait::new(Awaited::Time(sleep.deadline()), Some(location));
    let mut sleep = pin!(sleep);
    let mut leaf = Leaf::default();
    let mut entered = false;
    poll_fn(|cx| {
        if !entered {
            ready!(leaf.poll_entry(shown, cx))?;
            entered = true;
        }
        match sleep.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => leaf.poll_for(shown, cx).map(Err),
        }
    })
    .await
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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{CancelScope, sleep_forever};
///
/// let scope = CancelScope::new();
/// scope.cancel("wake up");
/// let Err(cancelled) = scope.run(sleep_forever()).await.done().unwrap();
/// assert_eq!(cancelled.reason().message(), "wake up");
/// # }
/// ```
#[track_caller]
pub fn sleep_forever() -> impl Future<Output = Result<Infallible, Cancelled>> {
    let shown = TaskWait::on("sleep_forever", Some(Location::caller()));
    let mut leaf = Leaf::default();
    poll_fn(move |cx| leaf.poll_for(shown, cx).map(Err))
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
