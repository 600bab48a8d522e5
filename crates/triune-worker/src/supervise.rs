//! The supervisor of one worker: starts it, moves its bytes, ends it, reaps it.
//!
//! A system task of the run. It alone decides that a worker has ended, so there is one order: the link is closed (every
//! wait on it resolves), the place in the pool is given back, the end is announced.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use triune_ipc::{Config, ConnectError, Driver, LinkEnd};
use triune_process::{Exit, Ladder, Phase, Process, Spec, StartError};
use triune_scope::{FutureExt, shield_unbounded};

use crate::pool::Pool;
use crate::serve::{ROLE, hello};
use crate::worker::{Connection, End, StartFailure, Worker};

/// How long the link of a dead worker may stay open: something that it started holds the other end.
const DRAIN: Duration = Duration::from_millis(50);

/// How long a worker may take to leave when it was asked to, in the two steps of the ladder.
const LEAVE: Ladder = Ladder::new(Duration::from_millis(500), Duration::from_millis(100));

/// Lives as long as the worker.
///
/// # Cancel safety
///
/// A cancel closes the pool, and the future returns when its worker is reaped. Dropping it kills the worker.
pub(crate) async fn supervise(pool: Arc<Pool>, worker: Arc<Worker>) {
    let mut life = pin!(shield_unbounded(live(&pool, &worker)));
    let stopped = std::future::pending::<()>().cancellable();
    tokio::select! {
        biased;
        () = &mut life => return,
        _cancelled = stopped => pool.close(),
    }
    life.await;
}

/// # Cancel safety
///
/// As [`supervise`].
async fn live(pool: &Pool, worker: &Worker) {
    let end = match boot(worker).await {
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

/// # Cancel safety
///
/// Dropping it kills the process.
async fn boot(worker: &Worker) -> Result<(Connection, Driver), StartFailure> {
    let (process, stream) =
        triune_process::spawn(Spec::new(ROLE, worker.name.as_str())).await.map_err(StartFailure::Failed)?;
    let connected = tokio::select! {
        biased;
        () = worker.doomed() => Err(StartFailure::Doomed),
        connected = triune_ipc::connect(stream, Config::new(hello("pool", &worker.name))) => match connected {
            Ok(connected) => Ok(connected),
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
        ConnectError::Closed => match timeout(LEAVE.cancel_grace, process.wait()).await {
            Ok(exit) => StartError::ended_early(process.name(), process.pid(), exit),
            Err(_elapsed) => StartError::handshake(process.name(), error),
        },
        ConnectError::Timeout { after, .. } => StartError::deadline(process.name(), after),
        error => StartError::handshake(process.name(), error),
    }
}

/// # Cancel safety
///
/// Dropping it kills the process.
async fn serve(pool: &Pool, worker: &Worker, connection: &Connection, mut driver: Driver) -> End {
    let Connection { process, link } = connection;
    let link_end = {
        let mut drive = pin!(driver.drive());
        tokio::select! {
            biased;
            end = &mut drive => end,
            // What it wrote before it died is in the socket: the last answer is not lost.
            _exit = process.wait() => timeout(DRAIN, drive).await.unwrap_or(LinkEnd::Eof),
        }
    };
    pool.condemn(worker, None);
    let exit = match link_end {
        LinkEnd::Goodbye => process.terminate(&LEAVE, "the program ends and needs no workers").await,
        _ => end_now(process).await,
    };
    tracing::debug!(name = worker.name, pid = process.pid(), %exit, link = %link_end, "worker ended");
    // The job is the last thing that is written to a worker.
    let end = End { exit, left_unread: driver.left_unread() };
    link.close(LinkEnd::Died(Arc::new(worker.died(Some(end), Phase::Busy))));
    // Its callers know. Whoever waits for its end waits for what it has started, too.
    process.wait_gone().await;
    end
}

/// # Cancel safety
///
/// The process is killed at the first poll.
async fn end_now(process: &Process) -> Exit {
    process.kill();
    process.wait().await
}
