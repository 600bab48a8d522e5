//! `n.run_in_worker(job)`: a job as a child of a nursery.

use serde::de::DeserializeOwned;
use triune_scope::{Child, Error, LocalNursery, Nursery, NurseryError};

use crate::job::Job;
use crate::run::run;

/// What this crate adds to a nursery, with and without `Send`, over whatever error type.
pub trait NurseryWorkerExt {
    /// What the nursery's children fail with.
    type Error;

    /// Runs a job in a worker process, as a child: if it fails, the siblings are cancelled; if the nursery is cancelled,
    /// the worker is killed and reaped before the nursery returns.
    ///
    /// The child is called as the function is, and its error is a [`RunError`](crate::RunError). For a job that must not be
    /// cancelled, or that needs a name of its own, spawn [`run`](crate::run) with its options instead.
    ///
    /// ```
    /// use triune_scope::nursery;
    /// use triune_worker::{NurseryWorkerExt, job};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # let total = runtime.block_on(async {
    /// nursery(async |n| {
    ///     let roots: Vec<_> = [4, 9, 16].map(|x| n.run_in_worker(job!(u64::isqrt(x)))).into();
    ///     let mut total = 0;
    ///     for root in roots {
    ///         total += root.await?;
    ///     }
    ///     Ok(total)
    /// })
    /// # .await });
    /// # assert_eq!(total?, 9);
    /// # Ok(()) }
    /// ```
    fn run_in_worker<O: DeserializeOwned + Send + 'static>(&self, job: Job<O>) -> Child<O, Self::Error>;
}

impl<E: NurseryError> NurseryWorkerExt for Nursery<'_, E> {
    type Error = E;

    #[track_caller]
    fn run_in_worker<O: DeserializeOwned + Send + 'static>(&self, job: Job<O>) -> Child<O, E> {
        self.spawn_named(job.name(), outcome(job))
    }
}

impl<E: NurseryError> NurseryWorkerExt for LocalNursery<'_, E> {
    type Error = E;

    #[track_caller]
    fn run_in_worker<O: DeserializeOwned + Send + 'static>(&self, job: Job<O>) -> Child<O, E> {
        self.spawn_named(job.name(), outcome(job))
    }
}

/// # Cancel safety
///
/// As that of [`run`].
async fn outcome<O: DeserializeOwned + Send + 'static, E: NurseryError>(job: Job<O>) -> Result<O, E> {
    run(job).await.map_err(|error| Error::from(error).into())
}
