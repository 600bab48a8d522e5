//! The functions, and what they take.

use std::future::Future;

use super::group::{Branch, Group};
use super::inbox::{Completed, Inbox};
use crate::error::Result;
use crate::nursery::child::Kind;

/// Runs futures side by side until the first one ends, cancels the others, and waits until they have cleaned up.
///
/// Takes a tuple of two to eight futures, a `Vec` or an array. All give a [`Result`] of the same value. If the first to
/// end fails, the race fails, and so it does when a loser fails in its clean-up: with an
/// [`ErrorGroup`](crate::ErrorGroup), as a nursery. Losers see [`Cause::Finished`](crate::Cause::Finished).
///
/// # Cancel safety
///
/// Dropping it drops all branches.
///
/// # Errors
///
/// The group of errors; a cancel from around it. Of nothing, it fails at once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use std::time::Duration;
/// use triune_scope::{Result, race, sleep};
///
/// async fn mirror(name: &str, delay: u64) -> Result<&str> {
///     sleep(Duration::from_millis(delay)).await?;
///     Ok(name)
/// }
/// assert_eq!(race((mirror("near", 1), mirror("far", 10_000))).await?, "near");
/// # Ok(()) }
/// ```
#[track_caller]
pub fn race<R: Race>(branches: R) -> impl Future<Output = Result<R::Output>> {
    branches.race()
}

/// Runs futures side by side until all have ended, and gives all values. The first that fails cancels the others, which
/// may clean up.
///
/// Takes a tuple of two to eight futures, of different values too, or a `Vec` or an array of one kind.
///
/// # Cancel safety
///
/// Dropping it drops all branches.
///
/// # Errors
///
/// An [`ErrorGroup`](crate::ErrorGroup) of all errors; a cancel from around it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::join;
///
/// let (number, text) = join((async { Ok(1) }, async { Ok("one") })).await?;
/// assert_eq!((number, text), (1, "one"));
/// # Ok(()) }
/// ```
#[track_caller]
pub fn join<J: Join>(branches: J) -> impl Future<Output = Result<J::Output>> {
    branches.join()
}

/// Runs futures side by side and gives `body` their values in the order in which they end. When the body ends early,
/// the rest is cancelled and waited for.
///
/// A future that fails fails the whole, as a child does its nursery; to handle errors one by one, let the futures give
/// them as values.
///
/// # Cancel safety
///
/// Dropping it drops the body and all futures.
///
/// # Errors
///
/// An [`ErrorGroup`](crate::ErrorGroup) of what failed; a cancel from around it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::as_completed;
///
/// let pages = (1..=3).map(|number| async move { Ok(number * 10) });
/// let sum = as_completed(pages, async |mut pages| {
///     let mut sum = 0;
///     while let Some(page) = pages.next().await? {
///         sum += page;
///     }
///     Ok(sum)
/// });
/// assert_eq!(sum.await?, 60);
/// # Ok(()) }
/// ```
#[track_caller]
pub fn as_completed<T, F, B, Fut, R>(
    futures: impl IntoIterator<Item = F>,
    body: B,
) -> impl Future<Output = Result<R>>
where
    F: Future<Output = Result<T>>,
    B: FnOnce(Completed<T>) -> Fut,
    Fut: Future<Output = Result<R>>,
{
    let (group, inbox) = (Group::new(), Inbox::new());
    for future in futures {
        group.add::<F>(Kind::Daemon, Branch::new(&inbox, future));
    }
    group.run(body(Completed::of(inbox)))
}

/// What [`race`] takes.
pub trait Race: Sized {
    /// What each branch gives.
    type Output;

    /// See [`race`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops all branches.
    #[track_caller]
    fn race(self) -> impl Future<Output = Result<Self::Output>>;
}

/// What [`join`] takes.
pub trait Join: Sized {
    /// What the branches give together.
    type Output;

    /// See [`join`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops all branches.
    #[track_caller]
    fn join(self) -> impl Future<Output = Result<Self::Output>>;
}
