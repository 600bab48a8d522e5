//! [`RunError`], and how an end of a call becomes one. Every text names the job; causes are behind `source()`.

use std::error::Error;
use std::fmt;

use triune_process::{StartError, WorkerDied};
use triune_scope::{Cancelled, Timeout};
use triune_wire::{DecodeError, EncodeError, Report, ReportKind};

use super::{CodecError, Failure, InitError};
use crate::cause::{DeathCause, LastPanic};
use crate::report::{Fault, fault_of};

/// A job gave no result.
///
/// Every variant has the name of the job (its path, or the one given with [`Run::name`](crate::Run::name)).
///
/// ```
/// use triune_worker::{DeathCause, job, run};
///
/// fn parse(text: String) -> Result<u32, std::num::ParseIntError> {
///     text.parse()
/// }
///
/// fn half(number: u32) -> u32 {
///     assert!(number.is_multiple_of(2), "{number} is odd");
///     number / 2
/// }
///
/// fn leave(code: i32) {
///     std::process::exit(code)
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let error = run(job!(parse("7x".to_owned()))).await.unwrap_err();
/// assert!(error.is_app());
/// assert_eq!((error.job(), error.to_string().as_str()), ("parse", "job `parse` failed: invalid digit found in string"));
/// assert_eq!(error.report().unwrap().type_name, "core::num::error::ParseIntError");
///
/// let error = run(job!(half(3))).await.unwrap_err();
/// assert!(error.is_panic());
///
/// // Whatever the job did, it may have had effects: nobody runs it again without being asked.
/// let error = run(job!(leave(3))).await.unwrap_err();
/// assert!(error.is_worker_death());
/// assert_eq!(error.death_cause(), Some(DeathCause::Exit));
/// # Ok(()) })
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The job returned an error.
    #[non_exhaustive]
    App {
        /// The job.
        job: String,
        /// The error, as the worker reported it: message, causes, type.
        failure: Failure,
    },
    /// The job panicked. The worker lives on.
    #[non_exhaustive]
    Panic {
        /// The job.
        job: String,
        /// The message and the location of the panic.
        failure: Failure,
    },
    /// The worker's process ended while it had the job: a crash, a kill, an `exit`. The job may have had effects.
    #[non_exhaustive]
    Died {
        /// The job.
        job: String,
        /// What ended it.
        cause: DeathCause,
        /// Which process, how it ended, and its last words.
        died: WorkerDied,
    },
    /// The arguments or the result could not be encoded.
    #[non_exhaustive]
    Encode {
        /// The job.
        job: String,
        /// Which part of the call.
        part: Part,
        /// What the codec said.
        error: CodecError,
    },
    /// The arguments or the result could not be decoded.
    #[non_exhaustive]
    Decode {
        /// The job.
        job: String,
        /// Which part of the call.
        part: Part,
        /// What the codec said.
        error: CodecError,
    },
    /// The arguments or the result are larger than one message may be.
    #[non_exhaustive]
    TooLarge {
        /// The job.
        job: String,
        /// Which part of the call.
        part: Part,
        /// How large it is, in bytes.
        bytes: u64,
        /// How large it may be, in bytes.
        limit: u64,
    },
    /// The pool of the job is closed, or the program is shutting down: the job was not started, or was killed for it.
    #[non_exhaustive]
    Closed {
        /// The job.
        job: String,
    },
    /// The scope around the call is cancelled. If the job had begun, its worker is dead and reaped.
    #[non_exhaustive]
    Cancelled {
        /// The job.
        job: String,
        /// By whom and why.
        cancelled: Cancelled,
    },
    /// The job ran for longer than [`Run::timeout`](crate::Run::timeout) allows. Its worker is dead and reaped.
    #[non_exhaustive]
    Timeout {
        /// The job.
        job: String,
        /// How long it was allowed to run.
        timeout: Timeout,
    },
    /// The job was not run, because the `init` job of its pool failed in a new worker, or the `preload` job in a new fork
    /// server.
    #[non_exhaustive]
    Init {
        /// The job.
        job: String,
        /// What went wrong.
        error: InitError,
    },
    /// No worker could be started.
    #[non_exhaustive]
    Start {
        /// The job.
        job: String,
        /// What stood in the way.
        error: StartError,
    },
    /// The worker did not take the job, for instance because its registry is another one.
    #[non_exhaustive]
    Refused {
        /// The job.
        job: String,
        /// What it said.
        failure: Failure,
    },
}

/// Which part of a call an error is about.
///
/// ```
/// use std::ffi::OsStr;
/// use std::os::unix::ffi::OsStrExt;
/// use std::path::PathBuf;
/// use triune_worker::{CodecError, Part, RunError, job, run};
///
/// fn exists(path: PathBuf) -> bool {
///     path.exists()
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let not_text = PathBuf::from(OsStr::from_bytes(b"\xff"));
/// let error = run(job!(exists(not_text))).await.unwrap_err();
/// let RunError::Encode { part, error, .. } = error else { panic!("a path that is no text cannot be sent") };
/// assert_eq!(part, Part::Arguments);
/// assert!(matches!(error, CodecError::Encode(_)), "here, and not in the worker");
/// # Ok(()) })
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// What goes to the worker.
    Arguments,
    /// What comes back.
    Result,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arguments => "the arguments",
            Self::Result => "the result",
        })
    }
}

impl RunError {
    /// The name of the job.
    #[must_use]
    pub fn job(&self) -> &str {
        match self {
            Self::App { job, .. }
            | Self::Panic { job, .. }
            | Self::Died { job, .. }
            | Self::Encode { job, .. }
            | Self::Decode { job, .. }
            | Self::TooLarge { job, .. }
            | Self::Closed { job }
            | Self::Cancelled { job, .. }
            | Self::Timeout { job, .. }
            | Self::Init { job, .. }
            | Self::Start { job, .. }
            | Self::Refused { job, .. } => job,
        }
    }

    /// What the worker reported, if it lived to report anything.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        match self {
            Self::App { failure, .. } | Self::Panic { failure, .. } | Self::Refused { failure, .. } => {
                Some(failure.report())
            }
            Self::Init { error: InitError::Failed(failure) | InitError::Preload(failure), .. } => {
                Some(failure.report())
            }
            _ => None,
        }
    }

    /// Whether the job itself returned an error.
    #[must_use]
    pub fn is_app(&self) -> bool {
        matches!(self, Self::App { .. })
    }

    /// Whether the job panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self, Self::Panic { .. })
    }

    /// Whether the worker's process ended while it had the job.
    #[must_use]
    pub fn is_worker_death(&self) -> bool {
        matches!(self, Self::Died { .. })
    }

    /// Whether the worker did not take the job, for instance because it has no function of that name.
    ///
    /// ```
    /// use triune_worker::{Job, run};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let error = run(Job::<u32>::named("count", ("lines.txt".to_owned(),))).await.unwrap_err();
    /// assert!(error.is_refused(), "it was said by name, and this program has no such function");
    /// # Ok(()) })
    /// # }
    /// ```
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Whether no worker could be started.
    ///
    /// ```
    /// use std::error::Error;
    /// use triune_worker::{Program, Workers, job, scope};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let workers = Workers::new().kind(Program::new("./no-such-worker"));
    /// let error = scope(workers, async |pool| Ok(pool.run(job!(u64::isqrt(9))).await)).await?.unwrap_err();
    /// assert!(error.is_start());
    /// assert!(error.source().unwrap().to_string().contains("`./no-such-worker` cannot be executed"));
    /// # Ok(()) })
    /// # }
    /// ```
    #[must_use]
    pub fn is_start(&self) -> bool {
        matches!(self, Self::Start { .. })
    }

    /// Whether the scope around the call was cancelled.
    ///
    /// ```
    /// use triune_scope::{CancelScope, Outcome};
    /// use triune_worker::{job, run};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let scope = CancelScope::new();
    /// scope.cancel("not needed any more");
    /// let outcome = scope.run(async { run(job!(u64::isqrt(9))).await }).await;
    /// // The scope has it, or the call hears of it.
    /// if let Outcome::Done(result) = outcome {
    ///     assert!(result.unwrap_err().is_cancelled());
    /// }
    /// # Ok(()) })
    /// # }
    /// ```
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled { .. })
    }

    /// Whether the job ran for longer than it may.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Whether the `init` or the `preload` job of the pool failed; [`InitError`] says how.
    #[must_use]
    pub fn is_init(&self) -> bool {
        matches!(self, Self::Init { .. })
    }

    /// Whether the pool was closed, or the program was already shutting down.
    ///
    /// ```
    /// use triune_worker::{Workers, job, scope};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// scope(Workers::new(), async |pool| {
    ///     pool.close_now();
    ///     assert!(pool.run(job!(u64::isqrt(9))).await.unwrap_err().is_closed());
    ///     Ok(())
    /// })
    /// .await?;
    /// # Ok(()) })
    /// # }
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }

    /// What ended the worker's process, if it ended while it had the job.
    #[must_use]
    pub fn death_cause(&self) -> Option<DeathCause> {
        match self {
            Self::Died { cause, .. } => Some(*cause),
            _ => None,
        }
    }

    /// `ended_for`: why it was killed by its pool, if it was.
    pub(crate) fn died(job: &str, died: WorkerDied, ended_for: Option<DeathCause>) -> Self {
        let cause = ended_for.unwrap_or_else(|| DeathCause::of(&died));
        Self::Died { job: job.to_owned(), cause, died }
    }

    pub(crate) fn encode_arguments(job: &str, error: EncodeError) -> Self {
        Self::Encode { job: job.to_owned(), part: Part::Arguments, error: CodecError::Encode(error) }
    }

    pub(crate) fn decode_result(job: &str, error: DecodeError) -> Self {
        Self::Decode { job: job.to_owned(), part: Part::Result, error: CodecError::Decode(error) }
    }

    /// The error for what a worker reported in place of a result.
    pub(crate) fn reported(job: &str, report: Box<Report>) -> Self {
        let job = job.to_owned();
        match (report.kind, fault_of(&report)) {
            (ReportKind::Error, _) => Self::App { job, failure: Failure::new(report) },
            (ReportKind::Panic, _) => Self::Panic { job, failure: Failure::new(report) },
            (ReportKind::Protocol, Some(Fault::Arguments)) => {
                Self::Decode { job, part: Part::Arguments, error: CodecError::Remote(Failure::new(report)) }
            }
            (ReportKind::Protocol, Some(Fault::Result)) => {
                Self::Encode { job, part: Part::Result, error: CodecError::Remote(Failure::new(report)) }
            }
            (ReportKind::Protocol, Some(Fault::TooLarge { bytes, limit })) => {
                Self::TooLarge { job, part: Part::Result, bytes, limit }
            }
            _ => Self::Refused { job, failure: Failure::new(report) },
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App { job, failure } => write!(f, "job `{job}` failed: {failure}"),
            Self::Panic { job, failure } => match &failure.report().location {
                Some(location) => write!(f, "job `{job}` panicked at {location}: {failure}"),
                None => write!(f, "job `{job}` panicked: {failure}"),
            },
            Self::Died { job, cause, died } => {
                write!(f, "job `{job}` was lost with its worker")?;
                if *cause == DeathCause::Panic
                    && let Some(panic) = LastPanic::of(died.stderr_tail())
                {
                    return write!(f, ": {panic}");
                }
                cause.remedy().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
            }
            Self::Encode { job, part, .. } => write!(f, "{part} of job `{job}` cannot be encoded"),
            Self::Decode { job, part, .. } => write!(f, "{part} of job `{job}` cannot be decoded"),
            Self::TooLarge { job, part, bytes, limit } => {
                write!(
                    f,
                    "{part} of job `{job}` has {bytes} bytes, more than the {limit} of one message; \
                     split the work into smaller jobs or pass the data by file"
                )
            }
            Self::Closed { job } => {
                write!(f, "job `{job}` has no result: its pool is closed, or the program is shutting down")
            }
            Self::Timeout { job, .. } => write!(f, "job `{job}` was killed"),
            Self::Init { job, .. } => {
                write!(f, "job `{job}` was not run, its worker could not be initialised")
            }
            Self::Cancelled { job, .. } => write!(f, "job `{job}` was cancelled"),
            Self::Start { job, .. } => write!(f, "no worker could be started for job `{job}`"),
            Self::Refused { job, failure } => write!(f, "the worker refused job `{job}`: {failure}"),
        }
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::App { failure, .. } | Self::Panic { failure, .. } | Self::Refused { failure, .. } => {
                failure.source()
            }
            Self::Died { died, .. } => Some(died),
            Self::Encode { error, .. } | Self::Decode { error, .. } => Some(error),
            Self::TooLarge { .. } | Self::Closed { .. } => None,
            Self::Cancelled { cancelled, .. } => Some(cancelled),
            Self::Timeout { timeout, .. } => Some(timeout),
            Self::Init { error, .. } => Some(error),
            Self::Start { error, .. } => Some(error),
        }
    }
}
