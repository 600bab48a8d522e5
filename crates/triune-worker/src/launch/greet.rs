//! The handshake with a fresh process, and the call by which it is set up.

use std::future::{Future, poll_fn};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use triune_ipc::{CallEnd, Config, ConnectError, Driver, Link};
use triune_process::{Exit, Phase, Process, StartError, WorkerDied};
use triune_wire::Report;

use crate::becoming;
use crate::config::{Settings, WorkerKind};
use crate::format;
use crate::serve::hello;
use crate::supervise::DRAIN;
use crate::worker::StartFailure;

/// How long a process may take to end after it has closed its link without a word.
const LINGER: Duration = Duration::from_millis(500);

/// The pool's end of the link to this process.
pub(super) fn config(process: &Process, settings: &Settings) -> Config {
    let mut config = Config::new(hello("pool", process.name()));
    config.handshake_timeout = settings.boot_deadline;
    if matches!(settings.kind, WorkerKind::Program(_)) {
        config.hello.interfaces.push(format::interface());
    }
    config
}

/// Exchanges HELLOs, unless the process is `doomed` or dies.
///
/// # Cancel safety
///
/// Dropping it leaves the process to its owner.
pub(super) async fn shake_hands(
    process: &Process,
    stream: UnixStream,
    config: Config,
    doomed: impl Future<Output = ()>,
) -> Result<(Link, Driver), StartFailure> {
    // Of the same program everything is known without an interface.
    let is_another = !config.hello.interfaces.is_empty();
    let mut connect = pin!(triune_ipc::connect(stream, config));
    tokio::select! {
        biased;
        () = doomed => Err(StartFailure::Doomed),
        connected = &mut connect => match connected {
            // A worker asks nothing of its parent: what it might send in is refused.
            Ok((link, driver, _incoming)) => Ok((link, driver)),
            Err(error) => Err(StartFailure::Failed(refused(process, error, is_another).await)),
        },
        exit = process.wait() => Err(StartFailure::Failed(match timeout(DRAIN, connect).await {
            // What it said before it ended is in the socket.
            Ok(Err(error @ ConnectError::Refused(_))) => refused(process, error, is_another).await,
            _ => ended(process, exit, is_another),
        })),
    }
}

/// What a failed handshake says about the start.
///
/// # Cancel safety
///
/// Dropping it loses nothing.
async fn refused(process: &Process, error: ConnectError, is_another: bool) -> StartError {
    match error {
        // Its exit code tells more; it comes right after the end of its link, unless it only closed its input.
        ConnectError::Closed => match timeout(LINGER, process.wait()).await {
            Ok(exit) => ended(process, exit, is_another),
            Err(_elapsed) => StartError::handshake(process.name(), error),
        },
        ConnectError::Refused(report) => match becoming::error_of(&report) {
            Some(error) => StartError::execute(process.name(), error),
            None => StartError::handshake(process.name(), ConnectError::Refused(report)),
        },
        ConnectError::Timeout { after, .. } => StartError::deadline(process.name(), after),
        error => StartError::handshake(process.name(), error),
    }
}

/// A process that has ended before it said hello. Another program has no entry that it could have missed.
fn ended(process: &Process, exit: Exit, is_another: bool) -> StartError {
    let (name, pid) = (process.name(), process.pid());
    if is_another { StartError::exited(name, pid, exit) } else { StartError::ended_early(name, pid, exit) }
}

/// Why a process is not set up.
pub(super) enum NotSetUp {
    /// Its job failed or panicked.
    Failed(Box<Report>),
    /// It died, or closed its link and was killed.
    Died(WorkerDied),
    Doomed,
}

/// Tells a fresh process what its pool wants, and waits until it is done.
///
/// # Cancel safety
///
/// Dropping it leaves the process somewhere in its job.
pub(super) async fn set_up(
    process: &Process,
    link: &Link,
    driver: &mut Driver,
    (target, arguments): (u32, Bytes),
    doomed: impl Future<Output = ()>,
) -> Result<(), NotSetUp> {
    let mut answer = pin!(link.call(target, arguments));
    let answer = {
        let drive = async {
            tokio::select! {
                biased;
                _end = driver.drive() => {}
                _exit = process.wait() => {
                    // What it said before it died is in the socket.
                    let _end_or_not = timeout(DRAIN, driver.drive()).await;
                }
            }
        };
        tokio::select! {
            biased;
            () = doomed => return Err(NotSetUp::Doomed),
            answer = &mut answer => Some(answer),
            // The end of the link may have come right behind the answer.
            () = drive => poll_fn(|cx| match answer.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => Poll::Ready(None),
            })
            .await,
        }
    };
    match answer {
        Some(Ok(_)) => Ok(()),
        Some(Err(CallEnd::Failed(report))) => Err(NotSetUp::Failed(report)),
        Some(Err(_)) | None => {
            let exit = end_now(process).await;
            let died = WorkerDied::new(process.name(), process.pid(), Phase::Booting)
                .with_exit(exit)
                .with_stderr_tail(process.stderr_tail());
            Err(NotSetUp::Died(died))
        }
    }
}

/// # Cancel safety
///
/// The process is killed at the first poll.
pub(crate) async fn end_now(process: &Process) -> Exit {
    process.kill();
    process.wait().await
}
