//! What went wrong with workers beside the results of their jobs: kept by the pool, told when it ends.
//!
//! Owns [`WorkerFailure`] and [`CloseError`]. Bounded: a pool that lives for weeks keeps the first failures and counts
//! the others.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use triune_process::Exit;

use crate::error::Failure;

/// How many failures a pool keeps.
const KEPT: usize = 32;

/// A worker that did not end as it should, or whose `retire` job failed. They are kept until the pool ends: see [`CloseError`].
#[derive(Debug)]
pub struct WorkerFailure {
    worker: String,
    pid: u32,
    what: WorkerFailureKind,
}

/// What went wrong with a worker; see [`WorkerFailure`].
#[derive(Debug)]
#[non_exhaustive]
pub enum WorkerFailureKind {
    /// It was asked to leave, did not do so within the grace period, and was killed.
    #[non_exhaustive]
    Killed {
        /// The grace period.
        grace: Duration,
    },
    /// It was asked to leave, and did so with another exit status than 0.
    #[non_exhaustive]
    BadExit {
        /// How it ended.
        exit: Exit,
    },
    /// Its `retire` job failed, panicked or died. The worker was replaced.
    #[non_exhaustive]
    Retire {
        /// The path of the job.
        job: &'static str,
        /// What the worker reported; `None` if it died.
        failure: Option<Failure>,
    },
}

impl WorkerFailure {
    pub(crate) fn new(worker: &str, pid: u32, what: WorkerFailureKind) -> Self {
        Self { worker: worker.to_owned(), pid, what }
    }

    /// The name of the worker.
    #[must_use]
    pub fn worker(&self) -> &str {
        &self.worker
    }

    /// Its process number. The system may have given it to somebody else since.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> &WorkerFailureKind {
        &self.what
    }
}

impl fmt::Display for WorkerFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worker, pid, what } = self;
        write!(f, "{worker} (pid {pid}) ")?;
        match what {
            WorkerFailureKind::Killed { grace } => {
                write!(
                    f,
                    "did not leave within {grace:?} and was killed; raise `grace_period` if it needs longer"
                )
            }
            WorkerFailureKind::BadExit { exit } => write!(f, "was asked to leave and ended badly: {exit}"),
            WorkerFailureKind::Retire { job, failure: Some(failure) } => {
                write!(f, "was replaced: its `retire` job `{job}` failed: {failure}")
            }
            WorkerFailureKind::Retire { job, failure: None } => {
                write!(f, "died in its `retire` job `{job}`")
            }
        }
    }
}

impl Error for WorkerFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.what {
            WorkerFailureKind::Retire { failure: Some(failure), .. } => failure.source(),
            _ => None,
        }
    }
}

/// What a pool has kept.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    kept: Vec<WorkerFailure>,
    more: usize,
}

impl Failures {
    pub(crate) fn push(&mut self, failure: WorkerFailure) {
        if self.kept.len() < KEPT {
            self.kept.push(failure);
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn into_error(self) -> Option<CloseError> {
        (!self.kept.is_empty()).then_some(CloseError(self))
    }
}

/// A pool has ended, all of its workers are gone, and some of them did not behave: all of these, in the order in which it
/// was found. It is an error of the [`scope`](crate::scope).
///
/// ```
/// use std::time::Duration;
/// use triune_worker::{CloseError, WorkerFailureKind, Workers, job, scope, set_state};
///
/// struct Slow;
///
/// impl Drop for Slow {
///     fn drop(&mut self) {
///         std::thread::sleep(Duration::from_secs(60));
///     }
/// }
///
/// fn begin() {
///     set_state(Slow);
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let workers = Workers::new().grace_period(Duration::from_millis(50));
/// let error = scope(workers, async |pool| Ok(pool.run(job!(begin())).await?)).await.unwrap_err();
///
/// let close = error.downcast_ref::<CloseError>().expect("the job itself was fine");
/// assert_eq!(close.killed_and_bad(), (1, 0));
/// let [failure] = close.failures() else { panic!("there was one worker") };
/// assert!(matches!(failure.kind(), WorkerFailureKind::Killed { .. }));
/// assert!(failure.to_string().starts_with(&format!("{} (pid {}) did not leave", failure.worker(), failure.pid())));
/// # Ok(()) })
/// # }
/// ```
#[derive(Debug)]
pub struct CloseError(Failures);

impl CloseError {
    /// What went wrong, at most the first 32.
    #[must_use]
    pub fn failures(&self) -> &[WorkerFailure] {
        &self.0.kept
    }

    /// How many workers had to be killed, and how many ended badly by themselves, among [`failures`](Self::failures).
    #[must_use]
    pub fn killed_and_bad(&self) -> (usize, usize) {
        let killed = |failure: &&WorkerFailure| matches!(failure.what, WorkerFailureKind::Killed { .. });
        let bad = |failure: &&WorkerFailure| matches!(failure.what, WorkerFailureKind::BadExit { .. });
        let failures = self.failures();
        (failures.iter().filter(killed).count(), failures.iter().filter(bad).count())
    }
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failures { kept, more } = &self.0;
        for (number, failure) in kept.iter().enumerate() {
            if number > 0 {
                f.write_str("; ")?;
            }
            failure.fmt(f)?;
        }
        if *more > 0 { write!(f, "; and {more} more") } else { Ok(()) }
    }
}

impl Error for CloseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.kept[..] {
            [only] => only.source(),
            _ => None,
        }
    }
}
