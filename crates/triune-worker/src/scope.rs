//! `worker::scope`: a pool for a region of code, as a handle and by the place in the tree.
//!
//! Invariants:
//! 1. The scope returns after every worker of its pool is reaped, also when its body panics.
//! 2. A cancel of what is around does not end that wait; it makes it short: jobs that may be cancelled are killed.
//! 3. Dropped by foreign code, the pool closes at once, and the run reaps.

use std::fmt;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use serde::de::DeserializeOwned;
use triune_process::LimitsReport;
use triune_scope::__primitive::owed;
use triune_scope::{FutureExt as _, Result, shield_unbounded};

use crate::ambient::POOL;
use crate::config::Workers;
use crate::failure::CloseError;
use crate::job::Job;
use crate::map::Map;
use crate::pool::{Closing, PoolCore};
use crate::run::Run;
use crate::statistics::Statistics;

/// The workers of one [`scope`]. A cheap handle: clones are the same pool.
///
/// A handle that is kept beyond the scope is of no use: its jobs end with [`RunError::Closed`](crate::RunError::Closed).
///
/// ```
/// use triune_worker::{Workers, job, scope};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let kept = scope(Workers::new(), async |pool| {
///     assert_eq!(pool.run(job!(u64::isqrt(9))).await?, 3);
///     assert_eq!(pool.statistics().idle, 1);
///     assert!(pool.limits_report().is_none(), "there are no limits");
///     Ok(pool)
/// })
/// .await?;
/// assert_eq!(kept.statistics().idle, 0);
/// assert!(kept.run(job!(u64::isqrt(9))).await.unwrap_err().is_closed());
/// # Ok(()) })
/// # }
/// ```
#[derive(Clone)]
pub struct Pool {
    core: Arc<PoolCore>,
}

impl Pool {
    /// Runs a job in a worker of this pool, as [`worker::run`](crate::run) does in one of the pool around.
    pub fn run<O: DeserializeOwned + Send + 'static>(&self, job: Job<O>) -> Run<O> {
        Run::new(job, Some(Arc::clone(&self.core)))
    }

    /// Runs many jobs in this pool; their results are a stream, in the order of the jobs unless
    /// [`unordered`](Map::unordered). Any number of jobs: only [`in_flight`](Map::in_flight) of them are under way.
    ///
    /// ```
    /// use triune_worker::{Workers, job, scope};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let sum = scope(Workers::new(), async |pool| {
    ///     let mut roots = pool.map((0..100).map(|x| job!(u64::isqrt(x)))).unordered().in_flight(8);
    ///     let mut sum = 0;
    ///     while let Some(root) = roots.next().await {
    ///         sum += root?;
    ///     }
    ///     Ok(sum)
    /// })
    /// .await?;
    /// assert_eq!(sum, 615);
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn map<I, O>(&self, jobs: I) -> Map<I::IntoIter, O>
    where
        I: IntoIterator<Item = Job<O>>,
        O: DeserializeOwned + Send + 'static,
    {
        Map::new(jobs.into_iter(), Some(Arc::clone(&self.core)))
    }

    /// Counts the workers of this pool.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.core.statistics()
    }

    /// What came of the [limits](Workers::limits) of this pool's workers. `None` until the first worker is up, and in a pool
    /// without limits.
    ///
    /// ```
    /// use triune_worker::{Enforce, Enforcement, Limit, Limits, Workers, job, scope};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let limits = Limits::new().open_files(64).enforce(Enforce::BestEffort);
    /// scope(Workers::new().limits(limits), async |pool| {
    ///     pool.run(job!(u64::isqrt(9))).await?;
    ///     let report = pool.limits_report().expect("a worker was up");
    ///     assert_eq!(report.get(Limit::OpenFiles), Some(Enforcement::Enforced));
    ///     Ok(())
    /// })
    /// .await?;
    /// # Ok(()) })
    /// # }
    /// ```
    #[must_use]
    pub fn limits_report(&self) -> Option<&LimitsReport> {
        self.core.limited.report()
    }

    /// Ends the pool without waiting for anything: kills every worker, also those whose job is
    /// [`uncancellable`](Run::uncancellable). The jobs end with [`RunError::Closed`](crate::RunError::Closed), as do those
    /// that come later. The scope still returns only after all of them are reaped.
    ///
    /// ```
    /// use triune_worker::{RunError, Workers, job, scope};
    ///
    /// fn forever() {
    ///     loop {
    ///         std::hint::spin_loop();
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let end = scope(Workers::new(), async |pool| {
    ///     let (end, ()) = tokio::join!(pool.run(job!(forever())).uncancellable(), async {
    ///         while pool.statistics().busy == 0 {
    ///             tokio::task::yield_now().await;
    ///         }
    ///         pool.close_now();
    ///     });
    ///     Ok(end)
    /// })
    /// .await?;
    /// assert!(matches!(end, Err(RunError::Closed { .. })));
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn close_now(&self) {
        self.core.close(Closing::Now);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("statistics", &self.statistics()).finish_non_exhaustive()
    }
}

/// Opens a pool of workers for `body`, and closes it behind it.
///
/// The pool is used in two ways: through the handle that `body` gets, and by every plain [`run`](crate::run) and
/// `run_in_worker` beneath the scope. For the latter it counts where the *nursery* of the running task was opened: a child
/// that is spawned from here into a nursery outside does not use this pool, because it may live longer. The innermost
/// scope counts. No worker is shared with another pool.
///
/// At the end jobs that still run (of tasks outside, which have the handle) are waited for, workers are asked to leave
/// and have the [grace period](Workers::grace_period) for it, and every one is reaped.
///
/// # Cancel safety
///
/// A cancel reaches `body`. When the body has ended, a cancel kills the jobs that it may kill and waits for the rest.
/// Dropping the future (`select!`) kills every worker at once, and the run reaps.
///
/// # Errors
///
/// [`ConfigError`](crate::ConfigError) if the configuration cannot work; then nothing was started and `body` has not run.
/// The error of `body`. [`CloseError`] if the body went well, and workers had to be killed, ended badly, or failed in
/// their `retire` job; if the body failed as well, that is in the log only.
///
/// # Panics
///
/// As `body` does, after the pool is closed; outside of a tokio runtime.
///
/// ```
/// use triune_worker::{Workers, job, run, scope, set_state, with_state};
///
/// fn load() {
///     set_state(vec![2_u64, 3, 5, 7]);
/// }
///
/// fn prime(index: usize) -> u64 {
///     with_state(|primes: &mut Vec<u64>| primes[index])
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let sum = scope(Workers::new().init(job!(load())), async |pool| {
///     let two = pool.run(job!(prime(0))).await?;
///     let three = run(job!(prime(1))).await?; // the same pool, by the place in the tree
///     Ok(two + three)
/// })
/// .await?;
/// assert_eq!(sum, 5);
/// # Ok(()) })
/// # }
/// ```
pub async fn scope<T, F, Fut>(workers: Workers, body: F) -> Result<T>
where
    F: FnOnce(Pool) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let guard = Guard(PoolCore::new(workers.settle()?));
    let core = &guard.0;
    core.warm_up();
    let pool = Pool { core: Arc::clone(core) };
    let region = POOL.scope(Arc::clone(core), async move { body(pool).await });
    let end = AssertUnwindSafe(region).catch_unwind().await;
    let failures = closed(core).await;
    match end {
        Ok(Ok(Ok(value))) => failures.map_or(Ok(value), |failures| Err(failures.into())),
        Ok(end) => {
            if let Some(failures) = failures {
                tracing::warn!(%failures, "workers did not behave, in a scope whose body failed");
            }
            end?
        }
        Err(payload) => resume_unwind(payload),
    }
}

/// Closes the pool and waits for its end.
///
/// # Cancel safety
///
/// A cancel shortens the wait. Dropping it leaves the workers to the run.
async fn closed(core: &Arc<PoolCore>) -> Option<CloseError> {
    core.close(Closing::AfterJobs);
    let core = Arc::clone(core);
    let end = async move {
        let mut emptied = pin!(shield_unbounded(core.emptied()));
        let cancelled = pending::<()>().cancellable();
        tokio::select! {
            biased;
            failures = &mut emptied => return failures,
            _cancelled = cancelled => core.close(Closing::AfterUncancellable),
        }
        emptied.await
    };
    owed("end of a pool", end).await
}

/// Closes the pool at once if the scope is dropped.
struct Guard(Arc<PoolCore>);

impl Drop for Guard {
    fn drop(&mut self) {
        // Does nothing after a regular end: there is no worker left.
        self.0.close(Closing::Now);
    }
}
