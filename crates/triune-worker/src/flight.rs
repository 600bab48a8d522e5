//! A call that is on its way: the one place where a cancel and a drop of the caller meet a running job.
//!
//! Invariant: a job that must not be cancelled keeps its call and its lease until it has ended, with the caller or, after
//! the caller's future was dropped, with a system task of the run.

use std::time::Duration;

use bytes::Bytes;
use triune_ipc::{CallEnd, PendingCall};
use triune_scope::{Cancelled, FutureExt, Run, shield_unbounded};

use crate::execute::Request;
use crate::pool::{Lease, Policy};
use crate::shared::Kept;

#[derive(Debug)]
pub(crate) struct Flight<'a> {
    /// Taken when the call has ended.
    cargo: Option<(PendingCall, Lease)>,
    policy: Policy,
    limit: Option<Duration>,
    /// What the arguments refer to in this process.
    kept: Kept,
    run: &'a Run,
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

const UNTIL_LANDED: &str = "the cargo is taken when the flight lands, and it lands once";

impl<'a> Flight<'a> {
    pub(crate) fn new(call: PendingCall, lease: Lease, request: &Request, kept: Kept, run: &'a Run) -> Self {
        Self { cargo: Some((call, lease)), policy: request.policy, limit: request.limit, kept, run }
    }

    /// Waits for the answer.
    ///
    /// # Cancel safety
    ///
    /// As [`run`](crate::run).
    pub(crate) async fn land(mut self) -> Landing {
        let (call, _lease) = self.cargo.as_mut().expect(UNTIL_LANDED);
        let policy = self.policy;
        let answer = async {
            match policy {
                Policy::Kill => call.cancellable().await,
                Policy::Finish => Ok(shield_unbounded(call).await),
            }
        };
        let answer = within(self.limit, answer).await;
        let (call, lease) = self.cargo.take().expect(UNTIL_LANDED);
        let landing = match answer {
            Some(Ok(Ok(answer))) => return Landing::Answered(answer, lease),
            Some(Ok(Err(end))) => return Landing::Failed(end, lease),
            Some(Err(cancelled)) => Landing::Cancelled(cancelled),
            None => Landing::TimedOut(self.limit.unwrap_or_default()),
        };
        lease.kill().await;
        // After the kill: a cancel message to a dead worker goes nowhere.
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

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let Some((call, lease)) = self.cargo.take() else { return };
        match self.policy {
            Policy::Kill => drop(lease),
            Policy::Finish => {
                let (limit, kept) = (self.limit, std::mem::take(&mut self.kept));
                self.run.spawn_system("job without a caller", async move {
                    match within(limit, shield_unbounded(call)).await {
                        Some(Ok(_) | Err(CallEnd::Failed(_) | CallEnd::TooLarge { .. })) => lease.release(),
                        Some(Err(_)) | None => drop(lease),
                    }
                    drop(kept);
                });
            }
        }
    }
}
