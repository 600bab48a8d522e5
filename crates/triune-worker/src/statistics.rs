//! How many workers there are, and what they do.

use triune_scope::Run;

use crate::pool::Pool;

/// A count of the workers of this program run, by what they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Started, not yet up.
    pub starting: usize,
    /// Waiting for a job.
    pub idle: usize,
    /// At work.
    pub busy: usize,
    /// Ended or being ended, not yet reaped.
    pub dying: usize,
    /// How many jobs run at a time at most.
    pub limit: usize,
}

/// Counts the workers that [`run`](crate::run) uses now.
///
/// # Panics
///
/// Outside of a tokio runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let before = triune_worker::statistics();
/// assert_eq!((before.idle, before.busy), (0, 0));
/// assert!(before.limit >= 1);
/// # }
/// ```
#[must_use]
pub fn statistics() -> Statistics {
    Pool::of(&Run::current()).statistics()
}
