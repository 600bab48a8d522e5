//! Which pool a plain `run` uses, and the defaults of a program run.
//!
//! Owns the tree variable that [`scope`](crate::scope) sets, the default pool of each run and the default limiter.

use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};

use triune_scope::sync::CapacityLimiter;
use triune_scope::{Run, TreeVar};

use crate::config::{ConfigError, Workers};
use crate::pool::PoolCore;

/// The pool of the innermost scope.
pub(crate) static POOL: TreeVar<Arc<PoolCore>> = TreeVar::new();

/// The pool that plain [`run`](crate::run) uses here.
///
/// # Panics
///
/// Outside of a tokio runtime.
pub(crate) fn pool() -> Arc<PoolCore> {
    POOL.get().unwrap_or_else(|| default_pool().get())
}

/// The pool of a run for jobs outside of every scope. It is made at its first use.
struct DefaultPool(Mutex<Arc<PoolCore>>);

impl DefaultPool {
    fn get(&self) -> Arc<PoolCore> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn default_pool() -> Arc<DefaultPool> {
    Run::current().extension(|| {
        let settings = Workers::new().settle().expect("the default configuration is sound");
        DefaultPool(Mutex::new(PoolCore::new(settings)))
    })
}

/// Configures the workers that [`run`](crate::run) uses outside of every [`scope`](crate::scope), for this program run (that
/// is, this tokio runtime). It may be called from any thread of it.
///
/// Call it before the first job. Workers that are there already are let go as soon as they are idle, with a warning in
/// the log; jobs that have begun, or wait for their turn, are still run.
///
/// # Errors
///
/// [`ConfigError`] if the configuration cannot work; nothing is changed then.
///
/// # Panics
///
/// Outside of a tokio runtime.
///
/// ```
/// use triune_worker::{Workers, after_jobs, configure_default};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// configure_default(Workers::new().retire(after_jobs(100)))?;
/// # Ok(()) }
/// ```
pub fn configure_default(workers: Workers) -> Result<(), ConfigError> {
    let pool = PoolCore::new(workers.settle()?);
    let default = default_pool();
    let old = {
        let mut current = default.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, Arc::clone(&pool))
    };
    if old.abandon() {
        tracing::warn!(
            "the default workers were configured anew while some were alive; these go when they are idle"
        );
    }
    pool.warm_up();
    Ok(())
}

/// The limiter of every job that has none of its own: as many at a time as there are cores, over all pools of this
/// program run. [`set_total`](CapacityLimiter::set_total) changes that at any time.
///
/// # Panics
///
/// Outside of a tokio runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// triune_worker::default_limiter().set_total(1);
/// assert_eq!(triune_worker::statistics().limit, 1);
/// # }
/// ```
#[must_use]
pub fn default_limiter() -> CapacityLimiter {
    struct Default(CapacityLimiter);
    Run::current()
        .extension(|| {
            // Unknown only in odd sandboxes; one worker is always right.
            let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
            Default(CapacityLimiter::new(cores))
        })
        .0
        .clone()
}
