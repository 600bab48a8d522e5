//! How many workers there are, and what they do.

use crate::ambient;

/// A count of the workers of a pool, by what they do.
///
/// ```
/// use triune_worker::{job, run, statistics};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// run(job!(u64::isqrt(9))).await?;
/// let now = statistics();
/// assert_eq!((now.idle, now.busy, now.started), (1, 0, 1));
/// # Ok(()) })
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Started, not yet up.
    pub starting: usize,
    /// Waiting for a job.
    pub idle: usize,
    /// At work, or being looked at after it.
    pub busy: usize,
    /// Ended or being ended, not yet reaped.
    pub dying: usize,
    /// How many jobs run at a time at most: the total of the pool's limiter, `usize::MAX` if it has none.
    pub limit: usize,
    /// How many workers were ever started.
    pub started: u64,
    /// How many have retired.
    pub retired: u64,
    /// How many died while they were idle, killed by somebody else. They are replaced without a word.
    pub lost_idle: u64,
}

/// Counts the workers of the pool that [`run`](crate::run) would use here: that of the innermost [`scope`](crate::scope)
/// around, or the default one.
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
    ambient::pool().statistics()
}
