//! [`WorkerKind`]: how the processes of workers come to be.

/// How the processes of a pool's workers come to be; see [`Workers::kind`](crate::Workers::kind).
///
/// A plain `fork` of the running program is absent on purpose. A forked process has one thread, a copy of the one that
/// called `fork`; whatever the other threads held at that moment, a lock of the allocator, of the log, of the runtime, stays
/// locked in it for ever, so all that it may safely do is to start another program. A program with an async runtime
/// always has such threads. [`ForkServer`](Self::ForkServer) forks a process that has none.
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
}
