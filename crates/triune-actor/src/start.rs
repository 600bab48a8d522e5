//! Starting an actor: the process, the handshake, and the hand-over to its supervisor.
//!
//! Until the hand-over the process is this call's: whatever ends the call kills and reaps it.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use triune_ipc::{Config, ConnectError, Driver, Heartbeat, Link, connect};
use triune_process::{Process, Spec, build_id};
use triune_scope::__primitive::owed;
use triune_scope::{FutureExt, checkpoint, shield_unbounded};
use triune_wire::{BuildId, Hello};

use crate::builder::{ActorBuilder, NurseryActorExt};
use crate::call::Call;
use crate::error::{CallError, StartError};
use crate::identity::{child_path, current_path};
use crate::portal::Portal;
use crate::settings::{ROLE, Settings};
use crate::shared::Shared;
use crate::supervisor::Supervisor;

/// The longest name in bytes: it is a part of paths that go into logs, errors and `ps`.
const MAX_NAME: usize = 128;

/// How long an actor may take to end after it has closed its link without a word.
const LINGER: Duration = Duration::from_millis(500);

impl<N: NurseryActorExt> ActorBuilder<N> {
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
