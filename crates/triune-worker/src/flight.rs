//! A call that is on its way: the one place where a cancel and a drop of the caller meet a running job.
//!
//! Invariant: a job that must not be cancelled keeps its call and its lease until it has ended, with the caller or, after
//! the caller's future was dropped, with a system task of the run.

use bytes::Bytes;
use triune_ipc::{CallEnd, PendingCall};
use triune_scope::{Cancelled, FutureExt, Run, shield_unbounded};

use crate::pool::{Lease, Policy};

#[derive(Debug)]
pub(crate) struct Flight<'a> {
    /// Taken when the call has ended.
    cargo: Option<(PendingCall, Lease)>,
    policy: Policy,
    run: &'a Run,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Landing {
    Answered(Bytes, Lease),
    Failed(CallEnd, Lease),
    /// The worker is dead and reaped.
    Cancelled(Cancelled),
}

const UNTIL_LANDED: &str = "the cargo is taken when the flight lands, and it lands once";

impl<'a> Flight<'a> {
    pub(crate) fn new(call: PendingCall, lease: Lease, policy: Policy, run: &'a Run) -> Self {
        Self { cargo: Some((call, lease)), policy, run }
    }

    /// Waits for the answer.
    ///
    /// # Cancel safety
    ///
    /// As [`run`](crate::run).
    pub(crate) async fn land(mut self) -> Landing {
        let (call, _lease) = self.cargo.as_mut().expect(UNTIL_LANDED);
        let answer = match self.policy {
            Policy::Kill => call.cancellable().await,
            Policy::Finish => Ok(shield_unbounded(call).await),
        };
        let (call, lease) = self.cargo.take().expect(UNTIL_LANDED);
        match answer {
            Ok(Ok(answer)) => Landing::Answered(answer, lease),
            Ok(Err(end)) => Landing::Failed(end, lease),
            Err(cancelled) => {
                lease.kill().await;
                // After the kill: a cancel message to a dead worker goes nowhere.
                drop(call);
                Landing::Cancelled(cancelled)
            }
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let Some((call, lease)) = self.cargo.take() else { return };
        match self.policy {
            Policy::Kill => drop(lease),
            Policy::Finish => self.run.spawn_system("job without a caller", async move {
                match shield_unbounded(call).await {
                    Ok(_) | Err(CallEnd::Failed(_) | CallEnd::TooLarge { .. }) => lease.release(),
                    Err(_) => drop(lease),
                }
            }),
        }
    }
}
