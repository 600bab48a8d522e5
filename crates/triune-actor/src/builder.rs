//! An actor that is not started yet: how a nursery comes by one, and what can be set. The start is in `start`.

use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use triune_process::{Ladder, Limits, Stdio};
use triune_scope::{LocalNursery, Nursery, NurseryError, TaskId};

/// How long an actor may take from its start to its first word.
const BOOT_DEADLINE: Duration = Duration::from_secs(10);

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
    pub(crate) nursery: N,
    pub(crate) name: String,
    pub(crate) ladder: Ladder,
    pub(crate) boot_deadline: Duration,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) stdio: Stdio,
    pub(crate) limits: Limits,
    pub(crate) stall_timeout: Option<Duration>,
    pub(crate) spin: Duration,
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
