//! CPU-bound jobs in cached, killable worker processes.
//!
//! A *job* is a synchronous function and its arguments. [`run`] sends it to an idle worker process, or to a new one, and
//! awaits the result. What threads cannot do: a cancelled job is *killed*, and a job that crashes takes only its worker
//! with it.
//!
//! ```
//! use triune_worker::{job, run};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     triune_process::init(); // `#[triune::main]` does this, and the next line, by itself.
//!     let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//!     let root = runtime.block_on(async { run(job!(u64::isqrt(81))).await })?;
//!     assert_eq!(root, 9);
//!     Ok(())
//! }
//! ```
//!
//! A [`scope`] has workers of its own, configured by [`Workers`]: initialised, retired, limited, or in another [`Program`].
//!
//! A job may have workers too, if it makes a runtime: they end with it. Workers within workers are bounded: beneath eight there is
//! a [`RunError::Start`] that says so.
//!
//! Owns: the registry of jobs, the pools, the worker's loop. Does not own: processes
//! (`triune-process`), bytes on the wire (`triune-ipc`), the attribute (`triune-macros`).
//!
//! Invariants:
//! 1. **One job, one worker.** No worker is ever given a job while it has another, but for the next ones of a batch of one map, and
//!    it begins none before the one before has its answer.
//! 2. **At most once.** A job is sent again only if its worker provably did not begin it.
//! 3. **Gone means gone.** A call that was cancelled returns after its worker is dead and reaped. A call that was dropped
//!    kills at once, and the run reaps.
//! 4. **The limit counts processes.** A call holds its place in the limit until its worker is idle or reaped.
//! 5. **Nothing outlives the run.** Each worker has one supervisor, a system task of the run, which alone ends it.
//! 6. **A pool shares nothing.** No worker is ever used by two pools, and a scope returns after its last worker is reaped.

#![forbid(unsafe_code)]

mod ambient;
mod arguments;
mod batch;
mod becoming;
mod by_name;
#[doc(hidden)]
pub mod call;
mod capture;
mod cause;
mod config;
mod error;
mod execute;
mod failure;
mod flight;
mod format;
mod job;
#[doc(hidden)]
pub mod job_macro;
mod launch;
mod limited;
mod loan;
mod map;
mod nursery;
mod pool;
#[cfg(feature = "progress")]
mod progress;
#[doc(hidden)]
pub mod report;
mod resident;
mod results;
mod run;
mod scope;
mod serve;
mod setup;
mod shared;
mod slate;
mod state;
mod statistics;
mod supervise;
mod worker;

pub use ambient::{configure_default, default_limiter};
pub use cause::DeathCause;
pub use config::{ConfigError, Retire, WorkerKind, Workers, after_age, after_jobs, when_rss_above};
pub use error::{CodecError, Failure, InitError, Part, RunError};
pub use failure::{CloseError, WorkerFailure, WorkerFailureKind};
pub use job::Job;
pub use map::{Map, map};
pub use nursery::NurseryWorkerExt;
pub use run::{Run, run};
pub use scope::{Pool, scope};
pub use shared::Shared;
pub use state::{set_state, try_with_state, with_state};
pub use statistics::{Statistics, statistics};
pub use triune_process::{
    Enforce, Enforcement, Limit, LimitStatus, Limits, LimitsError, LimitsReport, Output, Program, StartError,
    StartErrorKind,
};

#[doc(hidden)]
pub mod __private {
    //! What the macros expand to; not for direct use.
    pub use crate::call::{
        Answer, Argument, Arguments, Fallible, Output, assert_argument, assert_output, run, run_fallible,
    };
    pub use crate::job::{Function, JOBS, Job, JobEntry, Trampoline};
    pub use crate::{job_macro, report};
    pub use linkme;
    pub use triune_wire::Report;
}
