//! A call that is on its way: the one place where a cancel and a drop of the caller meet a running job.
//!
//! 1. A job that a cancel kills is its caller's: dropped with him, it is killed.
//! 2. A job that must not be cancelled is nobody's: a task of its own keeps call and lease until it has ended, and frees the worker
//!    if there is no caller any more.

use std::time::Duration;

use bytes::Bytes;
use triune_ipc::{CallEnd, PendingCall};
use triune_scope::__primitive::{owed, primitive};
use triune_scope::{Cancelled, Run, shield_unbounded};

use crate::execute::Request;
use crate::pool::{Lease, Policy};
use crate::shared::Kept;

/// Field order matters: the worker is killed before its call is dropped, because a cancel message to a dead one goes nowhere.
#[derive(Debug)]
pub(crate) struct Flight {
    lease: Lease,
    call: PendingCall,
    policy: Policy,
    limit: Option<Duration>,
    /// What the arguments refer to in this process.
    _kept: Kept,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Landing {
    Answered(Bytes, Lease),
    Failed(CallEnd, Lease),
    /// The worker is dead and reaped.
    Cancelled(Cancelled),
    /// The same, because its time was over.
    TimedOut(Duration),
}

impl Flight {
    pub(crate) fn new(call: PendingCall, lease: Lease, request: &Request, kept: Kept) -> Self {
        Self { lease, call, policy: request.policy, limit: request.limit, _kept: kept }
    }

    /// Waits for the answer.
    ///
    /// # Cancel safety
    ///
    /// As [`run`](crate::run).
    pub(crate) async fn land(self) -> Landing {
        match self.policy {
            Policy::Kill => self.wait().await,
            Policy::Finish => {
                let delivery = owed("uncancellable job", async { Delivery(Some(self.wait().await)) }).await;
                delivery.accept()
            }
        }
    }

    /// # Cancel safety
    ///
    /// Dropping it kills the worker.
    async fn wait(mut self) -> Landing {
        let (call, policy) = (&mut self.call, self.policy);
        let answer = async {
            match policy {
                Policy::Kill => primitive("job in a worker", call).await,
                Policy::Finish => Ok(shield_unbounded(call).await),
            }
        };
        let answer = within(self.limit, answer).await;
        let Self { lease, call, limit, .. } = self;
        let landing = match answer {
            Some(Ok(Ok(answer))) => return Landing::Answered(answer, lease),
            Some(Ok(Err(end))) => return Landing::Failed(end, lease),
            Some(Err(cancelled)) => Landing::Cancelled(cancelled),
            None => Landing::TimedOut(limit.unwrap_or_default()),
        };
        lease.kill().await;
        drop(call);
        landing
    }
}

/// # Cancel safety
///
/// As that of `future`.
async fn within<F: Future>(limit: Option<Duration>, future: F) -> Option<F::Output> {
    match limit {
        None => Some(future.await),
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
    }
}

/// The end of a job whose caller may be gone: whoever drops it unread frees the worker.
struct Delivery(Option<Landing>);

impl Delivery {
    fn accept(mut self) -> Landing {
        self.0.take().expect("it is accepted once")
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        match self.0.take() {
            Some(
                Landing::Answered(_, lease)
                | Landing::Failed(CallEnd::Failed(_) | CallEnd::TooLarge { .. }, lease),
            ) if Run::try_current().is_some() => lease.release(),
            _nothing_to_free => {}
        }
    }
}
