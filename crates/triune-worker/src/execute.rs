//! The way of one job through the pool: place, worker, call, answer; again only if the worker never read it.

use std::borrow::Cow;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use triune_ipc::CallEnd;
use triune_scope::{Cancelled, FutureExt, Run, checkpoint};
use triune_wire::{Report, ReportKind};

use crate::error::{Part, RunError};
use crate::flight::{Flight, Landing};
use crate::job::Call;
use crate::pool::{Lease, Policy, Pool};
use crate::worker::StartFailure;

/// What is to be run, and how.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) call: Call,
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) policy: Policy,
}

impl Request {
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.call.name)
    }

    fn job(&self) -> String {
        self.name().to_owned()
    }

    fn cancelled(&self, cancelled: Cancelled) -> RunError {
        RunError::Cancelled { job: self.job(), cancelled }
    }

    fn refused(&self, why: impl Into<String>) -> RunError {
        RunError::reported(self.name(), Box::new(Report::new(ReportKind::Unknown, why)))
    }
}

/// Runs a job. The worker is the caller's until the result is decoded.
///
/// # Cancel safety
///
/// As [`run`](crate::run).
pub(crate) async fn execute(request: &Request) -> Result<(Bytes, Lease), RunError> {
    let call = &request.call;
    let arguments =
        call.arguments.as_ref().map_err(|error| RunError::encode_arguments(request.name(), error.clone()))?;
    let target = call.target.ok_or_else(|| {
        request.refused("its function was linked into another image, such as a library loaded at run time")
    })?;
    let run = Run::current();
    let pool = Pool::of(&run);
    let closed = || RunError::Closed { job: request.job() };
    let mut permit = match pool.admit().cancellable().await {
        Ok(permit) => permit.ok_or_else(closed)?,
        Err(cancelled) => return Err(request.cancelled(cancelled)),
    };
    loop {
        let lease = pool.lease(&run, permit, request.policy).ok_or_else(closed)?;
        permit = match attempt(request, target, arguments, &run, lease).await? {
            Attempt::Answered(answer, lease) => return Ok((answer, lease)),
            Attempt::NotRead(permit) => permit,
        };
        tracing::debug!(
            job = request.name(),
            "its worker was dead before it read the job; sending it to another"
        );
        // Also a job that may not be cancelled: it has not begun.
        checkpoint().await.map_err(|cancelled| request.cancelled(cancelled))?;
    }
}

/// What became of sending the job to one worker.
enum Attempt {
    Answered(Bytes, Lease),
    /// The worker was dead before it read the job.
    NotRead(OwnedSemaphorePermit),
}

/// # Cancel safety
///
/// As [`run`](crate::run).
async fn attempt(
    request: &Request,
    target: u32,
    arguments: &Bytes,
    run: &Run,
    lease: Lease,
) -> Result<Attempt, RunError> {
    let connected = match lease.connected().cancellable().await {
        Ok(connected) => connected.map_err(StartFailure::clone),
        Err(cancelled) => {
            lease.kill().await;
            return Err(request.cancelled(cancelled));
        }
    };
    let call = match connected {
        Ok(connection) => connection.link.call(target, arguments.clone()),
        Err(failure) => {
            lease.kill().await;
            return Err(match failure {
                StartFailure::Failed(error) => RunError::Start { job: request.job(), error },
                StartFailure::Doomed => RunError::Closed { job: request.job() },
            });
        }
    };
    match Flight::new(call, lease, request.policy, run).land().await {
        Landing::Cancelled(cancelled) => Err(request.cancelled(cancelled)),
        Landing::Answered(answer, lease) => Ok(Attempt::Answered(answer, lease)),
        Landing::Failed(end, lease) => failed(request, end, lease).await,
    }
}

/// # Cancel safety
///
/// Cancels are not seen; dropping it leaves the worker to its supervisor.
async fn failed(request: &Request, end: CallEnd, lease: Lease) -> Result<Attempt, RunError> {
    match end {
        CallEnd::Failed(report) => {
            lease.release();
            Err(RunError::reported(request.name(), report))
        }
        CallEnd::TooLarge { len, max, .. } => {
            lease.release();
            let (bytes, limit) = (len as u64, max as u64);
            Err(RunError::TooLarge { job: request.job(), part: Part::Arguments, bytes, limit })
        }
        CallEnd::NotSent(_) => {
            let (permit, _end) = lease.bury().await;
            Ok(Attempt::NotRead(permit))
        }
        CallEnd::Lost(_) => {
            let obituary = lease.obituary();
            let (permit, end) = lease.bury().await;
            if end.is_some_and(|end| end.left_unread) {
                return Ok(Attempt::NotRead(permit));
            }
            Err(RunError::Died { job: request.job(), died: obituary(end) })
        }
        other => {
            lease.kill().await;
            Err(request.refused(other.to_string()))
        }
    }
}
