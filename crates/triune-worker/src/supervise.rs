//! The supervisor of one worker: has it started (`launch`), moves its bytes, ends it, reaps it.
//!
//! A system task of the run. It alone decides that a worker has ended, so there is one order: the link is closed (every
//! wait on it resolves), the place in the pool is given back, the end is announced.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use triune_ipc::{Driver, LinkEnd};
use triune_process::{Exit, Ladder, OomKills, Phase, Process};
use triune_scope::{FutureExt, shield_unbounded};

use crate::cause::DeathCause;
use crate::failure::WorkerFailureKind;
use crate::launch::{self, end_now};
use crate::pool::{Closing, PoolCore};
use crate::resident;
use crate::worker::{Connection, End, Worker};

/// How long the link of a dead worker may stay open: something that it started holds the other end.
pub(crate) const DRAIN: Duration = Duration::from_millis(50);

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
    let (connection, driver) = match launch::start(pool, worker).await {
        Ok(started) => started,
        Err(failure) => {
            worker.set_connection(Err(failure));
            pool.bury(worker);
            return worker.set_end(None);
        }
    };
    worker.set_connection(Ok(connection.clone()));
    if !pool.started(worker) {
        connection.process.kill();
    }
    let mut driver = Some(driver);
    let end = serve(pool, worker, &connection, &mut driver).await;
    pool.bury(worker);
    worker.set_end(Some(end));
    // Whoever waits for the end goes on before the link is given back.
    tokio::task::yield_now().await;
}

/// The driver is taken if nobody wants anything of the worker any more.
///
/// # Cancel safety
///
/// Dropping it kills the process.
async fn serve(
    pool: &PoolCore,
    worker: &Worker,
    connection: &Connection,
    driver: &mut Option<Driver>,
) -> End {
    let Connection { process, link, .. } = connection;
    let link_end = match driver {
        Some(driver) => watch(pool, worker, process, driver).await,
        None => None,
    };
    if link_end.is_none() {
        // It is killed already. So its death is not told by its link as well, which would wake us once more.
        drop(driver.take());
    }
    let was_asked_to_leave = pool.is_leaving(worker);
    pool.condemn(worker, None);
    let (exit, ended_for) = match link_end {
        Some(LinkEnd::Goodbye) => (leave(pool, process, worker.doomed(), PoolCore::lost_idle).await, None),
        // It may never have begun what it was given.
        Some(LinkEnd::Stalled { .. }) => {
            let exit = end_now(process).await;
            if let Some(driver) = driver {
                driver.look_for_unread();
            }
            (exit, Some(DeathCause::Stalled))
        }
        // The end of a process closes its link a moment before it is known as an end.
        _ => match timeout(DRAIN, process.wait()).await {
            Ok(exit) => {
                // It never heard that it was asked.
                if was_asked_to_leave && is_kill(exit) && !worker.is_doomed() {
                    pool.lost_idle();
                }
                // A kill of ours needs no explanation.
                let is_unexplained = exit.signal() == Some(9) && !worker.is_doomed();
                let by_system =
                    is_unexplained && connection.oom_kills.as_ref().is_some_and(OomKills::explain_one);
                (exit, by_system.then_some(DeathCause::OutOfMemory))
            }
            Err(_elapsed) => {
                // A process that dies gives back its memory before it closes its files, so one that has none is dead
                // already, and only the news of it is late.
                let lives = resident::of(process.pid()).is_some_and(|bytes| bytes > 0);
                (end_now(process).await, lives.then_some(DeathCause::LinkClosed))
            }
        },
    };
    let (name, pid) = (&worker.name, process.pid());
    tracing::debug!(name, pid, %exit, link = link_end.map(tracing::field::display), "worker ended");
    // The job is the last thing that is written to a worker.
    let left_unread = driver.as_ref().is_some_and(Driver::left_unread);
    let end = End { exit, left_unread, ended_for };
    if driver.is_some() {
        // What it had done and not written yet.
        worker.slate.look(link);
        link.close(LinkEnd::Died(Arc::new(worker.died(Some(end), Phase::Busy))));
    }
    // Its callers know. Whoever waits for its end waits for what it has started, too.
    process.wait_gone().await;
    end
}

/// Moves the link until it has ended, or its process. `None` if that is killed.
///
/// # Cancel safety
///
/// Nothing is lost.
async fn watch(pool: &PoolCore, worker: &Worker, process: &Process, driver: &mut Driver) -> Option<LinkEnd> {
    let link_end = OnceLock::new();
    // Beside the link, so that what it moves does not poll these.
    let others = async {
        tokio::select! {
            biased;
            () = poll_fn(|_| if link_end.get().is_some() { Poll::Ready(()) } else { Poll::Pending }) => false,
            () = worker.doomed() => true,
            _exit = process.wait() => false,
            never = watch_idle(pool, worker) => match never {},
        }
    };
    let is_killed = driver.drive_beside(others, |end| link_end.set(end).expect("a link ends once")).await;
    match link_end.into_inner() {
        None if is_killed => None,
        // What it wrote before it died is in the socket: the last answer is not lost.
        None => Some(timeout(DRAIN, driver.drive()).await.unwrap_or(LinkEnd::Eof)),
        end => end,
    }
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

/// A process that was asked to leave: within its grace, or not. `doomed` cuts the grace short, `killed` is told if somebody
/// else has killed it.
///
/// # Cancel safety
///
/// Dropping it leaves the process on the step that it had reached.
pub(crate) async fn leave(
    pool: &PoolCore,
    process: &Process,
    doomed: impl Future<Output = ()>,
    killed: fn(&PoolCore),
) -> Exit {
    let grace = pool.settings.grace_period;
    if grace.is_zero() {
        process.kill();
    }
    let ladder = Ladder::new(grace, TERM_GRACE);
    let asked = Instant::now();
    let in_time = async {
        process.wait().await;
        asked.elapsed() < grace
    };
    let exit = async {
        tokio::select! {
            biased;
            exit = process.terminate(&ladder, "its pool needs it no longer") => (exit, false),
            () = doomed => (end_now(process).await, true),
        }
    };
    let ((exit, is_doomed), in_time) = tokio::join!(exit, in_time);
    let what = match exit {
        exit if exit.is_success() => return exit,
        Exit::Signal { .. } if is_doomed => return exit,
        // Before the ladder would have done it: maybe before it was asked.
        exit if in_time && is_kill(exit) => {
            killed(pool);
            return exit;
        }
        exit if is_kill(exit) => WorkerFailureKind::Killed { grace },
        exit => WorkerFailureKind::BadExit { exit },
    };
    pool.note(process, what);
    exit
}

/// Whether a signal has ended a process that kills without a reason of the process's own.
fn is_kill(exit: Exit) -> bool {
    matches!(exit, Exit::Signal { signal: 9 | 15, .. })
}
