//! [`Workers`], and the same once it is checked.

use std::time::Duration;

use triune_process::{Limits, Output, Stdio};
use triune_scope::sync::CapacityLimiter;
use triune_wire::Report;

use super::{Allowance, ConfigError, Retire, Step, WorkerKind};
use crate::by_name::not_here;
use crate::format::Format;
use crate::job::{Call, Job};

/// How the workers of a pool are made, kept and let go: for [`scope`](crate::scope) and
/// [`configure_default`](crate::configure_default).
///
/// ```
/// use std::time::Duration;
/// use triune_worker::{Workers, after_jobs};
///
/// let workers = Workers::new()
///     .retire(after_jobs(500).jitter(50))
///     .idle_timeout(Duration::from_secs(60))
///     .grace_period(Duration::from_secs(2))
///     .warm(2);
/// # drop(workers);
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to `worker::scope` or to `worker::configure_default`"]
pub struct Workers {
    kind: WorkerKind,
    preload: Option<Call>,
    init: Option<Call>,
    retire: Retire,
    idle_timeout: Duration,
    grace_period: Duration,
    boot_deadline: Duration,
    warm: usize,
    limiter: Option<CapacityLimiter>,
    limits: Limits,
    memory_max: Option<u64>,
    stdio: Stdio,
    stall_timeout: Option<Duration>,
    spin: Duration,
}

impl Workers {
    /// Workers that live until their pool ends, or were idle for ten minutes.
    ///
    /// ```
    /// use triune_worker::{Workers, job, scope};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// assert_eq!(scope(Workers::new(), async |pool| Ok(pool.run(job!(u64::isqrt(9))).await?)).await?, 3);
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn new() -> Self {
        Self {
            kind: WorkerKind::Spawn,
            preload: None,
            init: None,
            retire: Retire::default(),
            idle_timeout: Duration::from_secs(600),
            grace_period: Duration::from_secs(5),
            boot_deadline: Duration::from_secs(10),
            warm: 0,
            limiter: None,
            limits: Limits::new(),
            memory_max: None,
            stdio: Stdio::new(),
            stall_timeout: None,
            spin: Duration::ZERO,
        }
    }

    /// How the processes of the workers come to be. Default: [`WorkerKind::Spawn`].
    ///
    /// ```
    /// use triune_worker::{Program, WorkerKind, Workers, job, set_state};
    ///
    /// fn load_model(path: String) {
    ///     set_state(std::fs::read(path).unwrap_or_default());
    /// }
    ///
    /// let workers = Workers::new().kind(WorkerKind::ForkServer).preload(job!(load_model("model.bin".to_owned())));
    /// # drop(workers);
    ///
    /// // A smaller binary, or one in another language.
    /// let workers = Workers::new().kind(Program::new("python3").arg("jobs.py"));
    /// # drop(workers);
    /// ```
    pub fn kind(mut self, kind: impl Into<WorkerKind>) -> Self {
        self.kind = kind.into();
        self
    }

    /// Runs this job once in the fork server of the pool, before there are workers: all of them share what it leaves behind
    /// (statics, [`set_state`](crate::set_state), open files), and none gets a copy of what it does not change. What it
    /// returns is ignored. Only for [`WorkerKind::ForkServer`], which says what it must not do.
    ///
    /// If it fails, panics or dies, or leaves a thread behind, the job that needed a worker fails with
    /// [`RunError::Init`](crate::RunError::Init), and the next one tries again with a new fork server.
    ///
    /// ```
    /// use triune_worker::{WorkerKind, Workers, job, scope, set_state, with_state};
    ///
    /// fn load() {
    ///     set_state((0..1000).collect::<Vec<u64>>());
    /// }
    ///
    /// fn sum() -> u64 {
    ///     with_state(|numbers: &mut Vec<u64>| numbers.iter().sum())
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let workers = Workers::new().kind(WorkerKind::ForkServer).preload(job!(load()));
    /// let sum = scope(workers, async |pool| Ok(pool.run(job!(sum())).await?)).await?;
    /// assert_eq!(sum, 499_500);
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn preload<O>(mut self, job: Job<O>) -> Self {
        self.preload = Some(job.call);
        self
    }

    /// Runs this job once in each worker before its first job, for instance to load what all jobs need and to keep it
    /// with [`set_state`](crate::set_state). What it returns is ignored.
    ///
    /// If it fails, panics, or dies, the job that needed the worker fails with [`RunError::Init`](crate::RunError::Init),
    /// and the next one tries again with a new worker.
    ///
    /// ```
    /// use triune_worker::{Workers, job, scope, set_state, with_state};
    ///
    /// fn begin(at: u32) {
    ///     set_state(at);
    /// }
    ///
    /// fn next() -> u32 {
    ///     with_state(|count: &mut u32| {
    ///         *count += 1;
    ///         *count
    ///     })
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let count = scope(Workers::new().init(job!(begin(10))), async |pool| {
    ///     pool.run(job!(next())).await?;
    ///     Ok(pool.run(job!(next())).await?)
    /// })
    /// .await?;
    /// assert_eq!(count, 12);
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn init<O>(mut self, job: Job<O>) -> Self {
        self.init = Some(job.call);
        self
    }

    /// Lets workers retire; see [`Retire`]. Said again it adds a reason.
    ///
    /// ```
    /// use triune_worker::{Workers, after_age, after_jobs, job, scope};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let workers = Workers::new().retire(after_jobs(2) | after_age(std::time::Duration::from_secs(60)));
    /// let retired = scope(workers, async |pool| {
    ///     for number in 0..4 {
    ///         pool.run(job!(u64::isqrt(number))).await?;
    ///     }
    ///     Ok(pool.statistics().retired)
    /// })
    /// .await?;
    /// assert_eq!(retired, 2);
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn retire(mut self, when: impl Into<Retire>) -> Self {
        self.retire = self.retire | when.into();
        self
    }

    /// Lets a worker go that had nothing to do for so long. Default: ten minutes. With zero every job gets a worker of
    /// its own; [`Duration::MAX`] is never.
    ///
    /// ```
    /// use triune_worker::{Workers, job, scope};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let workers = Workers::new().idle_timeout(std::time::Duration::ZERO);
    /// let started = scope(workers, async |pool| {
    ///     for _ in 0..3 {
    ///         pool.run(job!(u64::isqrt(9))).await?;
    ///     }
    ///     Ok(pool.statistics().started)
    /// })
    /// .await?;
    /// assert_eq!(started, 3, "each job had a worker of its own");
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How long workers may take to leave when the pool ends, or when they retire, before they are killed. Default: five
    /// seconds. It is spent on exit handlers and on dropping what [`set_state`](crate::set_state) keeps. One that is killed is an
    /// error of the scope: see [`CloseError`](crate::CloseError).
    ///
    /// ```
    /// use std::time::Duration;
    /// use triune_worker::Workers;
    ///
    /// let patient = Workers::new().grace_period(Duration::from_secs(60));
    /// # drop(patient);
    /// ```
    pub fn grace_period(mut self, grace: Duration) -> Self {
        self.grace_period = grace;
        self
    }

    /// How long a worker may take from its start until it says hello, before its `init` job. Default: ten seconds. Raise it for a
    /// [`Program`](WorkerKind::Program) that loads much before.
    ///
    /// ```
    /// use std::time::Duration;
    /// use triune_worker::{Program, Workers, job, scope};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// // It never says hello.
    /// let workers = Workers::new().kind(Program::new("sleep").arg("100")).boot_deadline(Duration::from_millis(50));
    /// let error = scope(workers, async |pool| Ok(pool.run(job!(u64::isqrt(9))).await)).await?.unwrap_err();
    /// assert!(error.is_start());
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn boot_deadline(mut self, limit: Duration) -> Self {
        self.boot_deadline = limit;
        self
    }

    /// Starts so many workers as the pool opens, before there are jobs, and keeps at least so many: when one of them is
    /// gone another is started, and the idle timeout spares them.
    ///
    /// Warm workers wait for jobs; how many jobs run at a time is up to the limiter.
    ///
    /// ```
    /// use triune_worker::{Workers, job, scope};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// scope(Workers::new().warm(2), async |pool| {
    ///     assert_eq!(pool.statistics().starting, 2, "there was no job yet");
    ///     pool.run(job!(u64::isqrt(9))).await?;
    ///     assert_eq!(pool.statistics().started, 2);
    ///     Ok(())
    /// })
    /// .await?;
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn warm(mut self, workers: usize) -> Self {
        self.warm = workers;
        self
    }

    /// Limits the jobs of this pool by a limiter of its own, or by one that several pools share. Default:
    /// [`default_limiter`](crate::default_limiter).
    ///
    /// ```
    /// use triune_worker::{Workers, job, scope};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let one_at_a_time = triune_scope::sync::CapacityLimiter::new(1);
    /// scope(Workers::new().limiter(&one_at_a_time), async |pool| {
    ///     let roots = pool.map([1, 4, 9].map(|x| job!(u64::isqrt(x)))).collect().await?;
    ///     assert_eq!((roots, pool.statistics().started), (vec![1, 2, 3], 1));
    ///     Ok(())
    /// })
    /// .await?;
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn limiter(mut self, limiter: &CapacityLimiter) -> Self {
        self.limiter = Some(limiter.clone());
        self
    }

    /// Limits the memory of each worker, in bytes; see [`Limits::memory`], which this sets whatever [`limits`](Self::limits)
    /// says. A job that wants more dies with [`DeathCause::OutOfMemory`](crate::DeathCause::OutOfMemory).
    ///
    /// ```
    /// use triune_worker::{DeathCause, Workers, job, scope};
    ///
    /// fn fill(bytes: usize) -> usize {
    ///     vec![1_u8; bytes].iter().filter(|byte| **byte == 1).count()
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// scope(Workers::new().memory_max(64 << 20), async |pool| {
    ///     let error = pool.run(job!(fill(256 << 20))).await.unwrap_err();
    ///     assert_eq!(error.death_cause(), Some(DeathCause::OutOfMemory));
    ///     assert_eq!(pool.run(job!(fill(1000))).await?, 1000, "in another worker");
    ///     Ok(())
    /// })
    /// .await?;
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn memory_max(mut self, bytes: u64) -> Self {
        self.memory_max = Some(bytes);
        self
    }

    /// What each worker may not do: memory, processor time (anew for each job), files, cores, paths, network and more; see
    /// [`Limits`]. Each worker puts them on itself before its `init` job.
    ///
    /// If a limit does not hold on this system, every job fails with [`RunError::Start`](crate::RunError::Start), which names
    /// the limit and the remedy; with [`Enforce::BestEffort`](crate::Enforce::BestEffort) there is a warning instead. What
    /// came of each limit tells [`Pool::limits_report`](crate::Pool::limits_report).
    ///
    /// ```
    /// use std::time::Duration;
    /// use triune_worker::{Limits, Workers};
    ///
    /// let limits = Limits::new().cpu_time(Duration::from_secs(10)).read_only("/srv/pictures").no_network();
    /// let workers = Workers::new().memory_max(512 << 20).limits(limits);
    /// # drop(workers);
    /// ```
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What becomes of the standard output of workers. Default: [`Output::Inherit`], so that printing just works.
    ///
    /// ```
    /// use triune_worker::{Output, Workers};
    ///
    /// let silent = Workers::new().stdout(Output::Null);
    /// # drop(silent);
    /// ```
    pub fn stdout(mut self, output: Output) -> Self {
        self.stdio = self.stdio.stdout(output);
        self
    }

    /// What becomes of the standard error of workers. Default: [`Output::Forward`]: it is shown, and its end is part of the
    /// error when a worker dies. So is the message of a panic in a program that aborts on panic. With [`Output::Inherit`] and
    /// [`Output::Null`] nothing of it is kept; then a death for want of memory is told as an abort.
    ///
    /// ```
    /// use triune_worker::{RunError, job, run};
    ///
    /// fn give_up() {
    ///     eprintln!("the disk is full");
    ///     std::process::exit(1)
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let error = run(job!(give_up())).await.unwrap_err();
    /// let RunError::Died { died, .. } = error else { panic!("it has left") };
    /// assert_eq!(died.stderr_tail().trim_end(), "the disk is full");
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn stderr(mut self, output: Output) -> Self {
        self.stdio = self.stdio.stderr(output);
        self
    }

    /// A worker whose process gives no sign of life for so long is killed: one that was stopped (SIGSTOP), or that the system does not let
    /// run. Its job fails with [`DeathCause::Stalled`](crate::DeathCause::Stalled), unless it provably had not begun it; then another
    /// worker gets the job. Not watched by default: a process that is merely dead is noticed without this.
    ///
    /// The signs come from a thread of their own, so a job may compute for as long as it likes; for a limit on that there is
    /// [`Run::timeout`](crate::Run::timeout). Choose seconds rather than milliseconds: a busy machine is no reason to kill.
    ///
    /// ```
    /// use std::time::Duration;
    /// use triune_worker::Workers;
    ///
    /// let workers = Workers::new().stall_timeout(Duration::from_secs(10));
    /// # drop(workers);
    /// ```
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall_timeout = Some(timeout);
        self
    }

    /// Latency mode: after a job was sent or answered, both ends of the link look at it again and again for so long before they sleep. Off
    /// (zero) by default.
    ///
    /// It saves the wake-ups, which are most of a short job, as long as jobs follow each other within this time; some 50 µs are enough for
    /// jobs that follow at once. Each end keeps a processor busy for so long, so it pays only where there is one to spare for each: one
    /// for this process, and one for each worker.
    ///
    /// ```
    /// use std::time::Duration;
    /// use triune_worker::Workers;
    ///
    /// let workers = Workers::new().spin(Duration::from_micros(50));
    /// # drop(workers);
    /// ```
    pub fn spin(mut self, time: Duration) -> Self {
        self.spin = time;
        self
    }

    /// Checks everything that can be checked without a process.
    pub(crate) fn settle(self) -> Result<Settings, ConfigError> {
        self.retire.validate()?;
        let kind = self.kind;
        let ask = self.retire.ask(&kind)?;
        let init = self.init.as_ref().map(|call| Step::new("init", call, &kind)).transpose()?;
        let preload = self.preload.as_ref().map(|call| Step::new("preload", call, &kind)).transpose()?;
        if preload.is_some() && !matches!(kind, WorkerKind::ForkServer) {
            return Err(ConfigError::PreloadWithoutForkServer);
        }
        let limits = match self.memory_max {
            Some(bytes) => self.limits.memory(bytes),
            None => self.limits,
        };
        match kind {
            WorkerKind::Program(_) if limits.forbids_programs() => {
                return Err(ConfigError::ProgramWithoutPrograms);
            }
            WorkerKind::Program(_) if self.stall_timeout.is_some() => {
                return Err(ConfigError::ProgramWithoutSigns);
            }
            _ => {}
        }
        Ok(Settings {
            kind,
            preload,
            limits,
            init,
            ask,
            rss_limit: self.retire.rss_limit(),
            retire: self.retire,
            idle_timeout: (self.idle_timeout < Duration::MAX).then_some(self.idle_timeout),
            grace_period: self.grace_period,
            boot_deadline: self.boot_deadline,
            warm: self.warm,
            limiter: self.limiter,
            stdio: self.stdio,
            stall_timeout: self.stall_timeout,
            spin: self.spin,
        })
    }
}

impl Default for Workers {
    fn default() -> Self {
        Self::new()
    }
}

/// A configuration that was checked.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) kind: WorkerKind,
    /// Only with [`WorkerKind::ForkServer`].
    pub(crate) preload: Option<Step>,
    pub(crate) limits: Limits,
    pub(crate) init: Option<Step>,
    /// The jobs that a worker is asked after each job, whether it retires.
    pub(crate) ask: Vec<Step>,
    /// How many bytes of a worker may be resident after a job.
    pub(crate) rss_limit: Option<u64>,
    retire: Retire,
    /// `None` is never.
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) grace_period: Duration,
    pub(crate) boot_deadline: Duration,
    pub(crate) warm: usize,
    /// `None` is the default limiter.
    pub(crate) limiter: Option<CapacityLimiter>,
    pub(crate) stdio: Stdio,
    /// `None` is not watched.
    pub(crate) stall_timeout: Option<Duration>,
    pub(crate) spin: Duration,
}

impl Settings {
    /// Whether a worker may have its next jobs before it has done one: not if it might have to leave in between.
    pub(crate) fn takes_batches(&self) -> bool {
        self.retire.is_never() && self.idle_timeout != Some(Duration::ZERO)
    }

    /// How arguments and results are encoded.
    pub(crate) fn format(&self) -> Format {
        self.kind.format()
    }

    /// Refuses a job that no worker of the pool can have.
    pub(crate) fn check(&self, call: &Call) -> Result<(), Box<Report>> {
        if self.kind.may_have(call) { Ok(()) } else { Err(not_here(call.entry)) }
    }

    pub(crate) fn allowance(&self) -> Allowance {
        self.retire.allowance()
    }
}
