//! The exclusive right of one call to one worker.
//!
//! Every lease ends in exactly one way: the worker is released to the pool, or it is condemned. A lease that is merely
//! dropped, with the future that held it, condemns: nobody knows what the worker is doing.

use std::sync::Arc;

use triune_process::Phase;
use triune_scope::__primitive::checkpoint_if_cancelled;
use triune_scope::sync::Token;
use triune_scope::{Cancelled, FutureExt as _};

use super::{Policy, PoolCore};
use crate::format::Format;
use crate::worker::{Connection, End, StartFailure, Worker};

#[derive(Debug)]
#[must_use = "dropping it kills the worker; release it after its job"]
pub(crate) struct Lease {
    pool: Arc<PoolCore>,
    worker: Arc<Worker>,
    /// Taken when the lease ends.
    token: Option<Token>,
}

impl Lease {
    pub(super) fn new(pool: Arc<PoolCore>, worker: Arc<Worker>, token: Token) -> Self {
        Self { pool, worker, token: Some(token) }
    }

    /// Waits until the worker can be given the job.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; the worker goes on starting.
    ///
    /// # Errors
    ///
    /// A cancel of the caller; for a job that it would kill not if the worker is up already.
    pub(crate) async fn connected(
        &self,
        policy: Policy,
    ) -> Result<Result<&Connection, &StartFailure>, Cancelled> {
        let connected = match self.worker.connection() {
            Some(connection) => Ok(connection),
            None => self.worker.connected().cancellable().await?,
        };
        if policy == Policy::Finish {
            // The cancel may have come just when the job got its place or its worker. It has not begun, and shall not: nobody
            // could stop it.
            checkpoint_if_cancelled().await?;
        }
        Ok(connected)
    }

    /// Before several calls: lets the worker answer them together.
    pub(crate) fn lend_slate(&self, connection: &Connection) {
        // Another program knows nothing of it.
        if self.format() == Format::Postcard {
            self.worker.slate.lend(&connection.link);
        }
    }

    /// How arguments and results are encoded for it.
    pub(crate) fn format(&self) -> Format {
        self.pool.settings.format()
    }

    /// The worker has done its job: the next may have it.
    pub(crate) fn release(mut self) {
        let token = self.token.take();
        // In this order: who gets the token finds the worker idle, and starts no other.
        self.pool.done(&self.worker, token);
    }

    /// Kills the worker, and returns when it is reaped.
    ///
    /// # Cancel safety
    ///
    /// It is killed at the first poll; dropping the future leaves the reaping to the run. Cancels are not seen.
    pub(crate) async fn kill(self) {
        let worker = Arc::clone(&self.worker);
        drop(self);
        worker.reaped().await;
    }

    /// The worker has died. Waits until that is settled; gives back the token, and how it died.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses only the token, which is given back to the pool. Cancels are not seen.
    pub(crate) async fn bury(mut self) -> (Token, Option<End>) {
        // It may only have closed its link.
        self.pool.condemn(&self.worker, None);
        self.worker.kill();
        let end = self.worker.reaped().await;
        (self.take_token(), end)
    }

    /// Whether the pool has killed the worker, because it closes.
    pub(crate) fn pool_is_closing_it(&self) -> bool {
        self.worker.is_doomed() && self.pool.is_closed()
    }

    /// The death of the worker as an error.
    pub(crate) fn obituary(&self) -> impl FnOnce(Option<End>) -> triune_process::WorkerDied + use<> {
        let worker = Arc::clone(&self.worker);
        move |end| worker.died(end, Phase::Busy)
    }

    fn take_token(&mut self) -> Token {
        self.token.take().expect("a lease has its token until it ends, and ending consumes it")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            self.pool.condemn(&self.worker, Some(token));
            self.worker.kill();
        }
    }
}
