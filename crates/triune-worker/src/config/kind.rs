//! [`WorkerKind`]: how the processes of workers come to be.

use triune_process::Program;

use crate::format::Format;
use crate::job::{Call, JobEntry};

/// How the processes of a pool's workers come to be; see [`Workers::kind`](crate::Workers::kind).
///
/// A plain `fork` of the running program is absent on purpose. A forked process has one thread, a copy of the one that
/// called `fork`; whatever the other threads held at that moment, a lock of the allocator, of the log, of the runtime, stays
/// locked in it for ever, so all that it may safely do is to start another program. A program with an async runtime
/// always has such threads. [`ForkServer`](Self::ForkServer) forks a process that has none.
///
/// ```
/// use triune_worker::{Program, WorkerKind, Workers, job, scope};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// for kind in [WorkerKind::Spawn, WorkerKind::ForkServer] {
///     let workers = Workers::new().kind(kind);
///     assert_eq!(scope(workers, async |pool| Ok(pool.run(job!(u64::isqrt(9))).await?)).await?, 3);
/// }
/// // A program is one by itself: `Workers::new().kind(Program::new("./worker"))`.
/// assert!(matches!(Program::new("./worker").into(), WorkerKind::Program(_)));
/// # Ok(()) })
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum WorkerKind {
    /// This program, started again. It works everywhere, whatever the program does, and costs about a millisecond.
    #[default]
    Spawn,
    /// A copy of a *fork server*: a process that is this program, started again once for the pool, that has run the
    /// [`preload`](crate::Workers::preload) job and does nothing but to make workers, each in a fraction of a millisecond.
    /// What was loaded exists once in memory, until a worker writes to it.
    ///
    /// Everything else is as with [`Spawn`](Self::Spawn): limits, `init`, cancels, deaths, and what is left of a tree when any of its
    /// processes is killed. If the fork server is killed, its workers go on, and the next start begins another one.
    ///
    /// What is different:
    ///
    /// * The fork server, and so each worker, is entered before `main`. What other crates register by constructors of
    ///   their own (`ctor`, `inventory`) may not be there.
    /// * It must have one thread when `preload` is done; if it has more, the jobs fail with
    ///   [`RunError::Init`](crate::RunError::Init), which names them. Start threads in `init`.
    /// * Workers have the environment and the descriptors of the fork server, not those that the program has at their start.
    /// * What `preload` makes of random numbers is the same in every worker, and so is what a generator that it has seeded
    ///   gives next. Handlers of `pthread_atfork` do not run.
    /// * Memory that is limited ([`Workers::memory_max`](crate::Workers::memory_max)) includes what was loaded.
    ///
    /// Linux only; it needs a guardian, that is, the containment level `Tree` (the default) or `Hard`.
    ForkServer,
    /// Another program: a smaller binary that has the same jobs, another build, another language. It is looked for in each worker
    /// which jobs it serves, by their names; see the guide, `triune::guide::another_program`.
    ///
    /// Everything else is as with [`Spawn`](Self::Spawn): limits, `init`, cancels, deaths, and what is left of a tree when any of
    /// its processes is killed. What is different:
    ///
    /// * Arguments and results are MessagePack with the names of fields, so that types may be described by serde in ways that
    ///   only such a format can carry (`flatten`, `untagged`), and may differ in fields that have defaults.
    /// * A job that the program does not serve, or serves with other types, fails with
    ///   [`RunError::Refused`](crate::RunError::Refused), and no other job does.
    /// * There is no [`stall_timeout`](crate::Workers::stall_timeout), and of the latency mode only this end of the link.
    /// * Limits are put on before the program is executed. So paths must include the program, and all that it reads to begin; that no
    ///   programs be executed cannot be asked of it; and in a program that is not one of triune's, processor time is
    ///   counted over the life of the worker.
    Program(Program),
}

impl WorkerKind {
    /// How arguments and results are encoded.
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Spawn | Self::ForkServer => Format::Postcard,
            Self::Program(_) => Format::MsgPack,
        }
    }

    /// Whether such a worker may have the function of a call. Of another program that is not known before it is there.
    pub(crate) fn may_have(&self, call: &Call) -> bool {
        match self {
            Self::Spawn | Self::ForkServer => call.entry.and_then(JobEntry::index).is_some(),
            Self::Program(_) => true,
        }
    }
}

impl From<Program> for WorkerKind {
    fn from(program: Program) -> Self {
        Self::Program(program)
    }
}
