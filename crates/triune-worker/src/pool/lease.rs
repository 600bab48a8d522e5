//! The exclusive right of one call to one worker.
//!
//! Every lease ends in exactly one way: the worker is released to the pool, or it is condemned. A lease that is merely
//! dropped, with the future that held it, condemns: nobody knows what the worker is doing.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use triune_process::Phase;
use triune_scope::shield_unbounded;

use super::Pool;
use crate::worker::{Connection, End, StartFailure, Worker};

#[derive(Debug)]
#[must_use = "dropping it kills the worker; release it after its job"]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    worker: Arc<Worker>,
    /// Taken when the lease ends.
    permit: Option<OwnedSemaphorePermit>,
}

impl Lease {
    pub(super) fn new(pool: Arc<Pool>, worker: Arc<Worker>, permit: OwnedSemaphorePermit) -> Self {
        Self { pool, worker, permit: Some(permit) }
    }

    /// Waits until the worker can be given the job.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; the worker goes on starting.
    pub(crate) async fn connected(&self) -> Result<&Connection, &StartFailure> {
        self.worker.connected().await
    }

    /// The worker has done its job: the next may have it.
    pub(crate) fn release(mut self) {
        // In this order: who gets the permit finds the worker idle, and starts no other.
        self.pool.readmit(&self.worker);
        self.permit = None;
    }

    /// Kills the worker, and returns when it is reaped.
    ///
    /// # Cancel safety
    ///
    /// It is killed at the first poll; dropping the future leaves the reaping to the run. Cancels are not seen.
    pub(crate) async fn kill(self) {
        let worker = Arc::clone(&self.worker);
        drop(self);
        shield_unbounded(worker.ended()).await;
    }

    /// The worker has died. Waits until that is settled; gives back the permit, and how it died.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses only the permit, which is given back to the pool. Cancels are not seen.
    pub(crate) async fn bury(mut self) -> (OwnedSemaphorePermit, Option<End>) {
        // It may only have closed its link.
        self.pool.condemn(&self.worker, None);
        self.worker.kill();
        let end = shield_unbounded(self.worker.ended()).await;
        (self.take_permit(), end)
    }

    /// The death of the worker as an error.
    pub(crate) fn obituary(&self) -> impl FnOnce(Option<End>) -> triune_process::WorkerDied + use<> {
        let worker = Arc::clone(&self.worker);
        move |end| worker.died(end, Phase::Busy)
    }

    fn take_permit(&mut self) -> OwnedSemaphorePermit {
        self.permit.take().expect("a lease has its permit until it ends, and ending consumes it")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.pool.condemn(&self.worker, Some(permit));
            self.worker.kill();
        }
    }
}
