//! When a worker is old enough to be replaced.
//!
//! Owns [`Retire`] and how one worker's share of it is drawn. What costs nothing is decided when a job ends; what has
//! to look at the process, or to ask it, happens after the caller has its result.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::BitOr;
use std::time::{Duration, Instant};

use super::{ConfigError, Step, WorkerKind};
use crate::job::{Call, Job};

/// When a worker retires: it leaves after a job, and the next job that needs a worker gets a new one.
///
/// Made by [`after_jobs`], [`when_rss_above`], [`after_age`], or from a job that returns `bool` (it runs in the worker
/// after each of its jobs); several are joined by `|`, and the first that applies counts.
///
/// ```
/// use std::time::Duration;
/// use triune_worker::{Retire, Workers, after_age, after_jobs, job, when_rss_above};
///
/// fn has_leaked() -> bool {
///     false
/// }
///
/// let retire: Retire = after_jobs(500).jitter(50) | when_rss_above(512 << 20) | job!(has_leaked());
/// let workers = Workers::new().retire(retire).retire(after_age(Duration::from_secs(3600)));
/// # drop(workers);
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "give it to `Workers::retire`"]
pub struct Retire {
    jobs: Option<Jobs>,
    rss: Option<u64>,
    age: Option<Duration>,
    ask: Vec<Call>,
}

#[derive(Debug, Clone, Copy)]
struct Jobs {
    count: u64,
    jitter: u64,
}

/// A worker retires after so many jobs.
///
/// ```
/// use triune_worker::{Workers, after_jobs, job, scope};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let workers = Workers::new().retire(after_jobs(1));
/// scope(workers, async |pool| {
///     let first = pool.run(job!(std::process::id())).await?;
///     assert_ne!(pool.run(job!(std::process::id())).await?, first, "in another worker");
///     Ok(())
/// })
/// .await?;
/// # Ok(()) })
/// # }
/// ```
pub fn after_jobs(count: u64) -> Retire {
    Retire { jobs: Some(Jobs { count, jitter: 0 }), ..Retire::default() }
}

/// A worker retires when more than so many bytes of its memory are resident after a job.
///
/// ```
/// use triune_worker::{Workers, job, scope, when_rss_above};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let workers = Workers::new().retire(when_rss_above(1));
/// scope(workers, async |pool| {
///     let first = pool.run(job!(std::process::id())).await?;
///     assert_ne!(pool.run(job!(std::process::id())).await?, first, "in another worker");
///     Ok(())
/// })
/// .await?;
/// # Ok(()) })
/// # }
/// ```
pub fn when_rss_above(bytes: u64) -> Retire {
    Retire { rss: Some(bytes), ..Retire::default() }
}

/// A worker retires when its process is older than this after a job.
///
/// ```
/// use std::time::Duration;
/// use triune_worker::{Workers, after_age, job, scope};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let workers = Workers::new().retire(after_age(Duration::ZERO));
/// scope(workers, async |pool| {
///     let first = pool.run(job!(std::process::id())).await?;
///     assert_ne!(pool.run(job!(std::process::id())).await?, first, "in another worker");
///     Ok(())
/// })
/// .await?;
/// # Ok(()) })
/// # }
/// ```
pub fn after_age(age: Duration) -> Retire {
    Retire { age: Some(age), ..Retire::default() }
}

impl Retire {
    /// Up to so many jobs fewer, drawn for each worker, so that workers that began together do not retire together.
    ///
    /// Only for [`after_jobs`]; without it there is nothing to vary.
    ///
    /// ```
    /// use triune_worker::{ConfigError, Workers, after_jobs, configure_default};
    ///
    /// // Each worker does between 451 and 500 jobs.
    /// let retire = after_jobs(500).jitter(49);
    /// # drop(retire);
    /// // One might retire before its first job.
    /// let error = configure_default(Workers::new().retire(after_jobs(500).jitter(500))).unwrap_err();
    /// assert!(matches!(error, ConfigError::JitterTooLarge { jobs: 500, jitter: 500, .. }));
    /// ```
    pub fn jitter(mut self, jitter: u64) -> Self {
        if let Some(jobs) = &mut self.jobs {
            jobs.jitter = jitter;
        }
        self
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        match self.jobs {
            Some(Jobs { count: 0, .. }) => Err(ConfigError::RetiresBeforeItsFirstJob),
            Some(Jobs { count, jitter }) if jitter >= count => {
                Err(ConfigError::JitterTooLarge { jobs: count, jitter })
            }
            _ => Ok(()),
        }
    }

    /// The jobs that are asked after each job.
    pub(super) fn ask(&self, kind: &WorkerKind) -> Result<Vec<Step>, ConfigError> {
        self.ask.iter().map(|call| Step::new("retire", call, kind)).collect()
    }

    /// Whether there is no reason to retire.
    pub(super) fn is_never(&self) -> bool {
        let Self { jobs, rss, age, ask } = self;
        jobs.is_none() && rss.is_none() && age.is_none() && ask.is_empty()
    }

    /// How many bytes may be resident after a job.
    pub(super) fn rss_limit(&self) -> Option<u64> {
        self.rss
    }

    /// What one worker may do before it retires.
    pub(super) fn allowance(&self) -> Allowance {
        let jobs = self.jobs.map_or(u64::MAX, |Jobs { count, jitter }| count - random_up_to(jitter));
        Allowance { jobs, until: self.age.and_then(|age| Instant::now().checked_add(age)) }
    }
}

impl From<Job<bool>> for Retire {
    fn from(job: Job<bool>) -> Self {
        Self { ask: vec![job.call], ..Self::default() }
    }
}

impl<R: Into<Retire>> BitOr<R> for Retire {
    type Output = Self;

    /// Whichever applies first. Of two limits of the same kind the stricter one stays.
    fn bitor(mut self, other: R) -> Self {
        let other = other.into();
        self.jobs = [self.jobs, other.jobs].into_iter().flatten().min_by_key(|jobs| jobs.count);
        self.rss = [self.rss, other.rss].into_iter().flatten().min();
        self.age = [self.age, other.age].into_iter().flatten().min();
        self.ask.extend(other.ask);
        self
    }
}

/// What one worker may do before it retires.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) jobs: u64,
    pub(crate) until: Option<Instant>,
}

impl Allowance {
    /// Whether a worker that has done so many jobs retires now.
    pub(crate) fn is_used_up(&self, jobs: u64) -> bool {
        jobs >= self.jobs || self.until.is_some_and(|until| Instant::now() >= until)
    }
}

/// A number up to and with `most`. Good enough to spread retirements; a generator would be a dependency for one draw.
fn random_up_to(most: u64) -> u64 {
    match most.checked_add(1) {
        None | Some(1) => 0,
        Some(count) => RandomState::new().build_hasher().finish() % count,
    }
}
