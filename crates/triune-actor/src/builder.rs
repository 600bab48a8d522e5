//! Starting an actor: the builder, the boot, and the hand-over to its supervisor.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use triune_ipc::{Config, ConnectError, Driver, Heartbeat, Link, connect};
use triune_process::{Ladder, Limits, Process, Spec, Stdio, build_id};
use triune_scope::__primitive::owed;
use triune_scope::{FutureExt, LocalNursery, Nursery, NurseryError, TaskId, checkpoint, shield_unbounded};
use triune_wire::{BuildId, Hello};

use crate::call::Call;
use crate::child::Settings;
use crate::error::{CallError, StartError};
use crate::identity::{child_path, current_path};
use crate::portal::Portal;
use crate::shared::Shared;
use crate::supervisor::Supervisor;

/// The name of the role in which a process is an actor.
pub(crate) const ROLE: &str = "actor";

/// How long an actor may take from its start to its first word.
const BOOT_DEADLINE: Duration = Duration::from_secs(10);

/// How long an actor may take to end after it has closed its link without a word.
const LINGER: Duration = Duration::from_millis(500);

/// The longest name in bytes: it is a part of paths that go into logs, errors and `ps`.
const MAX_NAME: usize = 128;

/// What actors add to a nursery, with and without `Send`, over whatever error type.
///
/// ```
/// use triune::actor::current_path;
/// use triune::prelude::*;
///
/// #[triune::endpoint]
/// async fn tree() -> Result<Vec<String>> {
///     // An actor may have actors of its own.
///     let below = nursery(async |n| Ok(n.actor("leaf").run(path::with()).await?)).await?;
///     Ok(vec![current_path().to_owned(), below])
/// }
///
/// #[triune::endpoint]
/// async fn path() -> String {
///     current_path().to_owned()
/// }
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let branch = n.actor("branch").start().await?;
///         assert_eq!(branch.call(tree::with()).await?, ["/branch", "/branch/leaf"]);
///         Ok(())
///     })
///     .await
/// }
/// ```
pub trait NurseryActorExt: Clone {
    /// What the nursery's children fail with.
    type Error: NurseryError;

    /// An actor under this name, to be configured and started: a process of its own that serves this program's endpoints.
    ///
    /// The nursery owns it: when its body and all other children are done, or when it is cancelled, the actor is stopped and reaped. Its
    /// death fails the nursery.
    #[must_use = "nothing is started yet; call `start` or `run`"]
    fn actor(&self, name: impl Into<String>) -> ActorBuilder<Self> {
        ActorBuilder {
            nursery: self.clone(),
            name: name.into(),
            ladder: Ladder::default(),
            boot_deadline: BOOT_DEADLINE,
            env: Vec::new(),
            stdio: Stdio::new(),
            limits: Limits::new(),
            stall_timeout: None,
            spin: Duration::ZERO,
        }
    }

    /// Owns the supervisor of an actor from now on, under the actor's path.
    #[doc(hidden)]
    fn supervise<F>(&self, path: String, supervisor: F) -> TaskId
    where
        F: Future<Output = Result<(), Self::Error>> + Send + 'static;
}

impl<E: NurseryError> NurseryActorExt for Nursery<'_, E> {
    type Error = E;

    fn supervise<F>(&self, path: String, supervisor: F) -> TaskId
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        self.daemon_task(path, supervisor).id()
    }
}

impl<E: NurseryError> NurseryActorExt for LocalNursery<'_, E> {
    type Error = E;

    fn supervise<F>(&self, path: String, supervisor: F) -> TaskId
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        self.daemon_task(path, supervisor).id()
    }
}

/// An actor that is not started yet, for a nursery of type `N`.
///
/// ```
/// use std::time::Duration;
/// use triune::actor::{Limits, Output, Stdio};
/// use triune::prelude::*;
///
/// #[triune::endpoint]
/// async fn greet(name: String) -> Result<String> {
///     Ok(format!("{}, {name}", std::env::var("GREETING")?))
/// }
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let greeter = n
///             .actor("greeter")
///             .env("GREETING", "hello")
///             .grace(Duration::from_secs(2))
///             .boot_deadline(Duration::from_secs(30))
///             .limits(Limits::new().open_files(256))
///             .stdio(Stdio::all(Output::Relay)) // Each of its lines begins with its name.
///             .start()
///             .await?;
///         assert_eq!(greeter.call(greet::with("world".to_owned())).await?, "hello, world");
///         Ok(())
///     })
///     .await
/// }
/// ```
#[must_use = "nothing is started yet; call `start` or `run`"]
pub struct ActorBuilder<N> {
    nursery: N,
    name: String,
    ladder: Ladder,
    boot_deadline: Duration,
    env: Vec<(OsString, OsString)>,
    stdio: Stdio,
    limits: Limits,
    stall_timeout: Option<Duration>,
    spin: Duration,
}

impl<N: NurseryActorExt> ActorBuilder<N> {
    /// How long the actor may clean up after it was asked to stop, before it is ended by force; also how long the caller of a cancelled
    /// request waits for its end, and how long the actor cleans up when its parent is gone. 500 ms by default.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.ladder.cancel_grace = grace;
        self
    }

    /// All steps of the way out, see [`Ladder`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use triune::actor::Ladder;
    /// use triune::prelude::*;
    ///
    /// #[triune::main]
    /// async fn main() -> Result {
    ///     nursery(async |n| {
    ///         // Its clean-up writes much to a slow disk; a SIGTERM makes no difference to it.
    ///         let ladder = Ladder::new(Duration::from_secs(30), Duration::ZERO);
    ///         let ledger = n.actor("ledger").ladder(ladder).start().await?;
    ///         ledger.cancel("closing time");
    ///         assert!(ledger.wait().await?.is_graceful(), "it had nothing to do, so no step was needed");
    ///         Ok(())
    ///     })
    ///     .await
    /// }
    /// ```
    pub fn ladder(mut self, ladder: Ladder) -> Self {
        self.ladder = ladder;
        self
    }

    /// How long the process may take from its start to its first word. 10 s by default.
    pub fn boot_deadline(mut self, deadline: Duration) -> Self {
        self.boot_deadline = deadline;
        self
    }

    /// Sets an environment variable for the process.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// What becomes of its standard output and error. By default the former is inherited, and the latter forwarded; the end of it is
    /// part of the error when the actor dies.
    pub fn stdio(mut self, stdio: Stdio) -> Self {
        self.stdio = stdio;
        self
    }

    /// What the system is to refuse to the process. No limits by default.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// An actor that gives no sign of life for so long is taken for stuck: it is ended by the ladder, and its death says so. It is asked for
    /// a sign after half of the time. Not watched by default: a process that is merely dead is noticed without this.
    ///
    /// An actor answers between the polls of its tasks, so the time must be longer than the longest computation of an endpoint without
    /// an await. Choose seconds rather than milliseconds: a busy machine is no reason to kill.
    ///
    /// ```
    /// use std::time::Duration;
    /// use triune::prelude::*;
    ///
    /// async fn ledger(n: &Nursery<'_>) -> Result<Portal> {
    ///     // Seconds, because a computer that sleeps or swaps is no reason to kill.
    ///     Ok(n.actor("ledger").stall_timeout(Duration::from_secs(10)).start().await?)
    /// }
    /// # #[triune::main]
    /// # async fn main() -> Result {
    /// #     nursery(async |n| ledger(&n).await.map(drop)).await
    /// # }
    /// ```
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall_timeout = Some(timeout);
        self
    }

    /// Latency mode: after anything was sent or received, both ends of the link look at it again and again for so long before they sleep.
    /// Off (zero) by default.
    ///
    /// It saves the wake-up, which is most of a short call, as long as calls follow each other within this time; some 50 µs are enough for
    /// answers that come at once. Each end keeps a processor busy for so long, so it pays only where there is one to spare for each.
    /// Other tasks of the runtime run in between. The actor does so on its links to siblings, too.
    pub fn spin(mut self, time: Duration) -> Self {
        self.spin = time;
        self
    }

    /// Starts the process and waits until it serves.
    ///
    /// # Cancel safety
    ///
    /// Nothing is left behind: when the caller's scope is cancelled, the process is killed and reaped before this returns; when the future
    /// is dropped, it is killed at once and reaped by the run.
    ///
    /// # Errors
    ///
    /// See [`StartError`]. No process is left.
    pub async fn start(self) -> Result<Portal, StartError> {
        let Self { nursery, name, ladder, boot_deadline, env, stdio, limits, stall_timeout, spin } = self;
        check_name(&name)?;
        checkpoint().await.map_err(StartError::Cancelled)?;
        let path = child_path(&name);
        // Shielded, so that a cancel finds either no process or one that is reaped below. It takes a millisecond.
        let spec = Spec::new(ROLE, path.clone()).envs(env).stdio(stdio).limits(limits);
        // A little more than what it ends itself by when its parent is gone.
        let spec = spec.orphan_grace(ladder.cancel_grace.saturating_add(ladder.term_grace));
        let spawned = owed("start of an actor", shield_unbounded(triune_process::spawn(spec))).await;
        let (process, stream) = spawned.map_err(StartError::Process)?;
        let settings = Settings { grace: ladder.cancel_grace, spin };
        let mut config = Config::new(Hello::new(BuildId::new(build_id()), "root", current_path()));
        config.hello.config = settings.encode();
        config.handshake_timeout = boot_deadline;
        config.heartbeat = stall_timeout.map(|timeout| Heartbeat::new(timeout / 2, timeout / 2));
        config.spin = spin;
        let booted = boot(&process, stream, &path, config).cancellable().await;
        let (link, driver) = match booted {
            Ok(Ok(booted)) => booted,
            Ok(Err(error)) => {
                reap(process).await;
                return Err(StartError::Process(error));
            }
            Err(cancelled) => {
                reap(process).await;
                return Err(StartError::Cancelled(cancelled));
            }
        };
        let grace = ladder.cancel_grace;
        let shared = Arc::new(Shared::new(name, path.clone(), process.pid(), link, grace));
        let supervisor = Supervisor::new(Arc::clone(&shared), process, driver, ladder);
        let task = nursery.supervise(path, async { supervisor.run().await.map_err(N::Error::from) });
        // Before anybody can call: the supervisor's number marks the echoes of a death.
        shared.supervisor.get_or_init(|| task.get());
        Ok(Portal { shared })
    }

    /// Starts the actor for one call: start, call, stop, reap. The caller alone gets the result.
    ///
    /// # Cancel safety
    ///
    /// As [`start`](Self::start) and [`Portal::call`]. When the future is dropped after the start, the nursery ends the actor.
    ///
    /// # Errors
    ///
    /// See [`CallError`]. The process is gone when this returns.
    ///
    /// ```
    /// use triune::prelude::*;
    ///
    /// #[triune::endpoint]
    /// async fn pid() -> u32 {
    ///     std::process::id()
    /// }
    ///
    /// #[triune::main]
    /// async fn main() -> Result {
    ///     nursery(async |n| {
    ///         let once = n.actor("once").run(pid::with()).await?;
    ///         assert_ne!(once, std::process::id());
    ///         assert!(!std::fs::exists(format!("/proc/{once}"))?, "it is gone already");
    ///         Ok(())
    ///     })
    ///     .await
    /// }
    /// ```
    pub async fn run<O, F>(self, call: Call<O, F>) -> Result<O, CallError<F>> {
        let portal = self.start().await.map_err(CallError::Start)?;
        let answer = portal.call(call).await;
        portal.cancel(triune_scope::CancelReason::new(triune_scope::Cause::Finished, "its one call is done"));
        portal.wait_shielded().await;
        answer
    }
}

/// From the start of the process to the end of the handshake, within the deadline.
async fn boot(
    process: &Process,
    stream: UnixStream,
    path: &str,
    config: Config,
) -> Result<(Link, Driver), triune_process::StartError> {
    use triune_process::StartError;

    let deadline = config.handshake_timeout;
    let connected = tokio::select! {
        biased;
        connected = connect(stream, config) => connected,
        exit = process.wait() => return Err(StartError::ended_early(path, process.pid(), exit)),
    };
    match connected {
        // The parent serves nothing: dropping the incoming half refuses all requests.
        Ok((link, driver, _incoming)) => Ok((link, driver)),
        Err(ConnectError::Timeout { .. }) => Err(StartError::deadline(path, deadline)),
        // Its status says more than the link, and comes right behind it, unless the process goes on without its link.
        Err(error @ (ConnectError::Closed | ConnectError::Io(_))) => {
            match tokio::time::timeout(LINGER, process.wait()).await {
                Ok(exit) => Err(StartError::ended_early(path, process.pid(), exit)),
                Err(_) => Err(StartError::handshake(path, error)),
            }
        }
        Err(error) => Err(StartError::handshake(path, error)),
    }
}

async fn reap(process: Process) {
    process.kill();
    owed("end of an actor", async move { shield_unbounded(process.wait_gone()).await }).await;
}

fn check_name(name: &str) -> Result<(), StartError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME {
        "it is longer than 128 bytes"
    } else if name.contains('/') {
        "`/` separates the parts of a path"
    } else if name.chars().any(char::is_control) {
        "it has control characters"
    } else {
        return Ok(());
    };
    Err(StartError::Name { name: name.chars().take(MAX_NAME).collect(), reason })
}

impl<N> fmt::Debug for ActorBuilder<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorBuilder")
            .field("name", &self.name)
            .field("ladder", &self.ladder)
            .field("boot_deadline", &self.boot_deadline)
            .finish_non_exhaustive()
    }
}
