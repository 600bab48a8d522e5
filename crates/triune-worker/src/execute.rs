//! The way of one job through the pool: place, worker, call, answer; again only if the worker never read it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use triune_ipc::CallEnd;
use triune_scope::sync::{CapacityLimiter, Token};
use triune_scope::{Cancelled, Timeout, checkpoint};
use triune_wire::{Message, Report, ReportKind};

use crate::ambient;
use crate::arguments::Encoded;
use crate::error::{Failure, InitError, Part, RunError};
use crate::flight::{Flight, Landing};
use crate::job::Call;
use crate::pool::{Lease, NotAdmitted, Policy, PoolCore};
use crate::shared::Kept;
use crate::worker::StartFailure;

/// What is to be run, and how.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) call: Call,
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) policy: Policy,
    /// How long the job may run.
    pub(crate) limit: Option<Duration>,
    /// Instead of the pool's.
    pub(crate) limiter: Option<CapacityLimiter>,
    /// `None` is the one that the place in the tree says.
    pub(crate) pool: Option<Arc<PoolCore>>,
}

impl Request {
    pub(crate) fn new(call: Call, pool: Option<Arc<PoolCore>>) -> Self {
        Self { call, name: None, policy: Policy::Kill, limit: None, limiter: None, pool }
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.call.name)
    }

    fn job(&self) -> String {
        self.name().to_owned()
    }

    pub(crate) fn cancelled(&self, cancelled: Cancelled) -> RunError {
        RunError::Cancelled { job: self.job(), cancelled }
    }

    /// The thread that was to encode the arguments was not to be had.
    fn not_encoded(&self, error: &triune_scope::Error) -> RunError {
        match error.as_cancelled() {
            Some(cancelled) => self.cancelled(cancelled.clone()),
            None => RunError::Closed { job: self.job() },
        }
    }

    /// The worker that it was to get never came up.
    pub(crate) fn not_started(&self, failure: StartFailure) -> RunError {
        let job = self.job();
        match failure {
            StartFailure::Failed(error) => RunError::Start { job, error },
            StartFailure::Init(report) => {
                RunError::Init { job, error: InitError::Failed(Failure::new(report)) }
            }
            StartFailure::InitDied(died) => RunError::Init { job, error: InitError::Died(died) },
            StartFailure::Preload(report) => {
                RunError::Init { job, error: InitError::Preload(Failure::new(report)) }
            }
            StartFailure::PreloadDied(died) => RunError::Init { job, error: InitError::PreloadDied(died) },
            StartFailure::Doomed => RunError::Closed { job },
        }
    }

    pub(crate) fn refused(&self, why: impl Into<String>) -> RunError {
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
    let pool = request.pool.clone().unwrap_or_else(ambient::pool);
    pool.settings.check(call).map_err(|report| RunError::reported(request.name(), report))?;
    let encoded = call.arguments.encoded(pool.settings.format()).await;
    let Encoded { bytes, kept } = encoded.map_err(|error| request.not_encoded(&error))?;
    let arguments = bytes.map_err(|error| RunError::encode_arguments(request.name(), error))?;
    let closed = || RunError::Closed { job: request.job() };
    let mut token = pool.admit(request.limiter.as_ref()).await.map_err(|refusal| match refusal {
        NotAdmitted::Closed => closed(),
        NotAdmitted::Cancelled(cancelled) => request.cancelled(cancelled),
    })?;
    loop {
        let lease = pool.lease(token, request.policy).ok_or_else(closed)?;
        token = match attempt(request, (&arguments, &kept), lease).await? {
            Attempt::Answered(answer, lease) => return Ok((answer, lease)),
            Attempt::NotRead(token) => token,
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
    NotRead(Token),
}

/// # Cancel safety
///
/// As [`run`](crate::run).
async fn attempt(
    request: &Request,
    (arguments, kept): (&Message, &Kept),
    lease: Lease,
) -> Result<Attempt, RunError> {
    let connected = match lease.connected(request.policy).await {
        Ok(connected) => connected.map_err(StartFailure::clone),
        Err(cancelled) => {
            lease.kill().await;
            return Err(request.cancelled(cancelled));
        }
    };
    let call = match connected {
        Ok(connection) => connection.targets.find(request.call.name, request.call.entry).map(|target| {
            connection.lent.lend([kept]);
            connection.link.call(target, arguments.clone())
        }),
        Err(failure) => {
            lease.kill().await;
            return Err(request.not_started(failure));
        }
    };
    let call = match call {
        Ok(call) => call,
        Err(report) => {
            lease.release();
            return Err(RunError::reported(request.name(), report));
        }
    };
    match Flight::new(call, lease, request, kept.clone()).land().await {
        Landing::Cancelled(cancelled) => Err(request.cancelled(cancelled)),
        Landing::TimedOut(limit) => {
            Err(RunError::Timeout { job: request.job(), timeout: Timeout::new(Some(limit)) })
        }
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
            let (token, _end) = lease.bury().await;
            Ok(Attempt::NotRead(token))
        }
        CallEnd::Lost(_) => {
            let (obituary, was_closed) = (lease.obituary(), lease.pool_is_closing_it());
            let (token, end) = lease.bury().await;
            if was_closed {
                return Err(RunError::Closed { job: request.job() });
            }
            if end.is_some_and(|end| end.left_unread) {
                return Ok(Attempt::NotRead(token));
            }
            Err(RunError::died(request.name(), obituary(end), end.and_then(|end| end.ended_for)))
        }
        other => {
            lease.kill().await;
            Err(request.refused(other.to_string()))
        }
    }
}
