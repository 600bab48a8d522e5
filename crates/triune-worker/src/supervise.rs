//! The supervisor of one worker: starts it, moves its bytes, ends it, reaps it.
//!
//! A system task of the run. It alone decides that a worker has ended, so there is one order: the link is closed (every
//! wait on it resolves), the place in the pool is given back, the end is announced.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use triune_ipc::{CallEnd, Config, ConnectError, Driver, LinkEnd};
use triune_process::{Exit, Ladder, Phase, Process, Spec, StartError};
use triune_scope::{FutureExt, shield_unbounded};

use crate::failure::WorkerFailureKind;
use crate::pool::{Closing, PoolCore};
use crate::resident;
use crate::serve::{ROLE, hello};
use crate::setup::{self, Setup};
use crate::worker::{Connection, End, StartFailure, Worker};

/// How long the link of a dead worker may stay open: something that it started holds the other end.
const DRAIN: Duration = Duration::from_millis(50);

/// How long a worker may take to end after it has closed its link without a word.
const LINGER: Duration = Duration::from_millis(500);

/// From SIGTERM to SIGKILL, after the grace period.
const TERM_GRACE: Duration = Duration::from_millis(100);

/// Lives as long as the worker.
///
/// # Cancel safety
///
/// A cancel closes the pool, and the future returns when its worker is reaped. Dropping it kills the worker.
pub(crate) async fn supervise(pool: Arc<PoolCore>, worker: Arc<Worker>) {
    let mut life = pin!(shield_unbounded(live(&pool, &worker)));
    let stopped = std::future::pending::<()>().cancellable();
    tokio::select! {
        biased;
        () = &mut life => return,
        _cancelled = stopped => pool.close(Closing::AfterUncancellable),
    }
    life.await;
}

/// # Cancel safety
///
/// As [`supervise`].
async fn live(pool: &Arc<PoolCore>, worker: &Worker) {
    let end = match start(pool, worker).await {
        Ok((connection, driver)) => {
            worker.set_connection(Ok(connection.clone()));
            if !pool.started(worker) {
                connection.process.kill();
            }
            Some(serve(pool, worker, &connection, driver).await)
        }
        Err(failure) => {
            worker.set_connection(Err(failure));
            None
        }
    };
    pool.bury(worker);
    worker.set_end(end);
}

/// Brings a worker to the point where it can be given jobs.
///
/// # Cancel safety
///
/// Dropping it kills the process.
async fn start(pool: &PoolCore, worker: &Worker) -> Result<(Connection, Driver), StartFailure> {
    let setup = Setup::of(&pool.settings);
    let (connection, mut driver) = boot(pool, worker, setup.is_some()).await?;
    if let Some(setup) = setup
        && let Err(failure) = set_up(worker, &connection, &mut driver, &setup).await
    {
        end_now(&connection.process).await;
        connection.process.wait_gone().await;
        return Err(failure);
    }
    Ok((connection, driver))
}

/// # Cancel safety
///
/// Dropping it kills the process.
async fn boot(
    pool: &PoolCore,
    worker: &Worker,
    is_set_up: bool,
) -> Result<(Connection, Driver), StartFailure> {
    let mark = if is_set_up { setup::COMES } else { setup::COMES_NOT };
    let spec = pool.limited.put_on(Spec::new(ROLE, worker.name.as_str()).env(setup::VARIABLE, mark));
    let spec = spec.stdio(pool.settings.stdio);
    let (process, stream) = triune_process::spawn(spec).await.map_err(StartFailure::Failed)?;
    let connected = tokio::select! {
        biased;
        () = worker.doomed() => Err(StartFailure::Doomed),
        connected = triune_ipc::connect(stream, Config::new(hello("pool", &worker.name))) => match connected {
            Ok(connected) => match pool.limited.judge(process.name(), connected.0.peer()) {
                Ok(()) => Ok(connected),
                Err(error) => Err(StartFailure::Failed(error)),
            },
            Err(error) => Err(StartFailure::Failed(refused(&process, error).await)),
        },
        exit = process.wait() => {
            Err(StartFailure::Failed(StartError::ended_early(process.name(), process.pid(), exit)))
        }
    };
    match connected {
        // A worker asks nothing of its parent: what it might send in is refused.
        Ok((link, driver, _incoming)) => Ok((Connection { process, link }, driver)),
        Err(failure) => {
            end_now(&process).await;
            process.wait_gone().await;
            Err(failure)
        }
    }
}

/// What a failed handshake says about the start.
///
/// # Cancel safety
///
/// Dropping it loses nothing.
async fn refused(process: &Process, error: ConnectError) -> StartError {
    match error {
        // Its exit code tells more; it comes right after the end of its link, unless it only closed its input.
        ConnectError::Closed => match timeout(LINGER, process.wait()).await {
            Ok(exit) => StartError::ended_early(process.name(), process.pid(), exit),
            Err(_elapsed) => StartError::handshake(process.name(), error),
        },
        ConnectError::Timeout { after, .. } => StartError::deadline(process.name(), after),
        error => StartError::handshake(process.name(), error),
    }
}

/// Tells a fresh worker what its pool wants, and waits until it is done: limits, `init`.
///
/// # Cancel safety
///
/// Dropping it leaves the worker somewhere in its `init`.
async fn set_up(
    worker: &Worker,
    connection: &Connection,
    driver: &mut Driver,
    setup: &Setup,
) -> Result<(), StartFailure> {
    let Connection { process, link } = connection;
    let message = triune_wire::to_bytes(setup).expect("numbers and bytes can always be encoded");
    let mut answer = pin!(link.call(setup::TARGET, message));
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
            () = worker.doomed() => return Err(StartFailure::Doomed),
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
        Some(Err(CallEnd::Failed(report))) => Err(StartFailure::Init(report)),
        Some(Err(_)) | None => {
            let exit = end_now(process).await;
            let died = triune_process::WorkerDied::new(&worker.name, process.pid(), Phase::Booting)
                .with_exit(exit)
                .with_stderr_tail(process.stderr_tail());
            Err(StartFailure::InitDied(died))
        }
    }
}

/// # Cancel safety
///
/// Dropping it kills the process.
async fn serve(pool: &PoolCore, worker: &Worker, connection: &Connection, mut driver: Driver) -> End {
    let Connection { process, link } = connection;
    let link_end = {
        let mut drive = pin!(driver.drive());
        let mut idle = pin!(watch_idle(pool, worker));
        tokio::select! {
            biased;
            end = &mut drive => end,
            // What it wrote before it died is in the socket: the last answer is not lost.
            _exit = process.wait() => timeout(DRAIN, drive).await.unwrap_or(LinkEnd::Eof),
            never = &mut idle => match never {},
        }
    };
    let was_asked_to_leave = pool.is_leaving(worker);
    pool.condemn(worker, None);
    let (exit, lived_on) = match link_end {
        LinkEnd::Goodbye => (leave(pool, worker, process).await, false),
        // The end of a process closes its link a moment before it is known as an end.
        _ => match timeout(DRAIN, process.wait()).await {
            Ok(exit) => {
                // It never heard that it was asked.
                if was_asked_to_leave && is_killed_by_others(worker, exit) {
                    pool.lost_idle();
                }
                (exit, false)
            }
            Err(_elapsed) => {
                // A process that dies gives back its memory before it closes its files, so one that has none is dead
                // already, and only the news of it is late.
                let lives = resident::of(process.pid()).is_some_and(|bytes| bytes > 0);
                (end_now(process).await, lives)
            }
        },
    };
    tracing::debug!(name = worker.name, pid = process.pid(), %exit, link = %link_end, "worker ended");
    // The job is the last thing that is written to a worker.
    let end = End { exit, left_unread: driver.left_unread(), lived_on };
    link.close(LinkEnd::Died(Arc::new(worker.died(Some(end), Phase::Busy))));
    // Its callers know. Whoever waits for its end waits for what it has started, too.
    process.wait_gone().await;
    end
}

/// Lets the worker go when it was idle for its timeout. Never ends.
///
/// # Cancel safety
///
/// Nothing is lost.
async fn watch_idle(pool: &PoolCore, worker: &Worker) -> std::convert::Infallible {
    if let Some(limit) = pool.settings.idle_timeout {
        let mut next = Instant::now().checked_add(limit);
        while let Some(at) = next {
            tokio::time::sleep_until(at.into()).await;
            next = pool.expire(worker, limit);
        }
    }
    std::future::pending().await
}

/// A worker that was asked to leave: within its grace, or not.
///
/// # Cancel safety
///
/// Dropping it leaves the process on the step that it had reached.
async fn leave(pool: &PoolCore, worker: &Worker, process: &Process) -> Exit {
    let grace = pool.settings.grace_period;
    if grace.is_zero() {
        process.kill();
    }
    let ladder = Ladder::new(grace, TERM_GRACE);
    let killed = async {
        worker.doomed().await;
        process.kill();
        std::future::pending::<()>().await;
    };
    let asked = Instant::now();
    let in_time = async {
        process.wait().await;
        asked.elapsed() < grace
    };
    let exit = async {
        tokio::select! {
            biased;
            exit = process.terminate(&ladder, "its pool needs it no longer") => exit,
            () = killed => process.wait().await,
        }
    };
    let (exit, in_time) = tokio::join!(exit, in_time);
    let what = match exit {
        exit if exit.is_success() => return exit,
        Exit::Signal { .. } if worker.is_doomed() => return exit,
        // Before the ladder would have done it: maybe before it was asked.
        exit if in_time && is_killed_by_others(worker, exit) => {
            pool.lost_idle();
            return exit;
        }
        Exit::Signal { signal: 9 | 15, .. } => WorkerFailureKind::Killed { grace },
        exit => WorkerFailureKind::BadExit { exit },
    };
    pool.note(worker, what);
    exit
}

/// Whether a signal has ended the worker that kills without a reason of the worker's, and this process has not sent it.
fn is_killed_by_others(worker: &Worker, exit: Exit) -> bool {
    matches!(exit, Exit::Signal { signal: 9 | 15, .. }) && !worker.is_doomed()
}

/// # Cancel safety
///
/// The process is killed at the first poll.
async fn end_now(process: &Process) -> Exit {
    process.kill();
    process.wait().await
}
