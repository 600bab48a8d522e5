//! The pool of one program run: which workers there are, who may have one, and in which order.
//!
//! # Parts
//!
//! * [`state`]: the states of the workers and the transitions between them; plain data under one lock.
//! * [`lease`]: the exclusive right of one call to one worker.
//! * here: admission, and the lock around the state.
//!
//! # Invariants
//!
//! 1. Whoever has a permit finds an idle worker or may start one; since workers become idle *before* the permit is given
//!    back, there are never more processes at work than permits.
//! 2. Waiting calls are admitted first come, first served; idle workers are used last in, first out, because the one that
//!    was used last has the warmest caches.
//! 3. Nothing is killed, woken or dropped under the lock.
//! 4. Whoever kills a worker has condemned it before, under the lock.

mod lease;
mod state;

use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use triune_scope::Run;

pub(crate) use lease::Lease;
pub(crate) use state::Policy;
use state::{Closed, State};

use crate::statistics::Statistics;
use crate::supervise::supervise;
use crate::worker::Worker;

/// The workers of one run.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Fair: a permit that is given back goes to the call that has waited longest.
    limiter: Arc<Semaphore>,
    limit: usize,
    state: Mutex<State>,
}

impl Pool {
    /// The pool that plain [`run`](crate::run) uses.
    pub(crate) fn of(run: &Run) -> Arc<Self> {
        run.extension(|| {
            // Unknown only in odd sandboxes; one worker is always right.
            let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
            Self::new(cores.min(Semaphore::MAX_PERMITS))
        })
    }

    fn new(limit: usize) -> Self {
        Self { limiter: Arc::new(Semaphore::new(limit)), limit, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No transition leaves the state half done, so a panic elsewhere does not matter.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place. `None` once the pool is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in the queue.
    pub(crate) async fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.limiter).acquire_owned().await.ok()
    }

    /// A worker for one job: the idle one that was used last, else a new one. `None` once the pool is closed.
    pub(crate) fn lease(
        self: &Arc<Self>,
        run: &Run,
        permit: OwnedSemaphorePermit,
        policy: Policy,
    ) -> Option<Lease> {
        let mut state = self.state();
        let worker = match state.take_idle(policy) {
            Ok(Some(worker)) => worker,
            Ok(None) => {
                let worker = state.start(policy);
                drop(state);
                run.spawn_system("worker", supervise(Arc::clone(self), Arc::clone(&worker)));
                worker
            }
            Err(Closed) => return None,
        };
        Some(Lease::new(Arc::clone(self), worker, permit))
    }

    /// The worker is up, its connection is known. False if nobody wants it any more: who condemned it may not have seen
    /// the connection, and has left the kill to its supervisor. One of the two sees the other, by the lock.
    pub(crate) fn started(&self, worker: &Worker) -> bool {
        self.state().started(worker.id)
    }

    /// The worker has done its job. Says so if it is to leave, because the pool was closed meanwhile.
    fn readmit(&self, worker: &Worker) {
        if self.state().readmit(worker.id) {
            dismiss(worker);
        }
    }

    /// Gives the worker no further job. `permit` comes back when it is reaped.
    pub(crate) fn condemn(&self, worker: &Worker, permit: Option<OwnedSemaphorePermit>) {
        let rest = self.state().condemn(worker.id, permit);
        drop(rest);
    }

    /// The worker is reaped: its place is free.
    pub(crate) fn bury(&self, worker: &Worker) {
        let slot = self.state().bury(worker.id);
        drop(slot);
    }

    /// Admits nobody any more, and lets the workers go. Jobs that must not be cancelled end first. Idempotent.
    pub(crate) fn close(&self) {
        self.limiter.close();
        let leaving = self.state().close();
        for worker in &leaving.idle {
            dismiss(worker);
        }
        for worker in &leaving.occupied {
            worker.kill();
        }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        self.state().statistics(self.limit)
    }
}

/// Asks an idle worker to leave. Its supervisor sees to it that it does.
fn dismiss(worker: &Worker) {
    match worker.connection() {
        Some(connection) => connection.link.goodbye(),
        None => worker.kill(),
    }
}
