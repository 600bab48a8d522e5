//! The states of the workers of one pool.
//!
//! ```text
//! Starting ──started──▶ Busy ◀──take_idle── Idle      any of them ──condemn──▶ Dying ──bury──▶ gone
//!                        └─────readmit──────▶┘
//! ```
//!
//! Invariants:
//! 1. `idle` lists exactly the workers in [`Phase::Idle`].
//! 2. A worker that is gone is unknown here, and every transition of it does nothing: its supervisor and its caller learn
//!    of its end in either order.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::statistics::Statistics;
use crate::worker::Worker;

/// What a cancel does to a job that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Its worker is killed.
    Kill,
    /// It runs to its end.
    Finish,
}

#[derive(Debug)]
enum Phase {
    Starting(Policy),
    Idle,
    Busy(Policy),
    /// Holds the place of the call that has left it to die, if there was one.
    Dying(Option<OwnedSemaphorePermit>),
}

#[derive(Debug)]
struct Slot {
    worker: Arc<Worker>,
    phase: Phase,
}

#[derive(Debug, Default)]
pub(super) struct State {
    slots: BTreeMap<u64, Slot>,
    /// The one that was used last is at the end.
    idle: Vec<Arc<Worker>>,
    next_id: u64,
    closed: bool,
}

/// The pool takes no further job.
#[derive(Debug)]
pub(super) struct Closed;

/// The workers that a closing pool lets go.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// To be asked.
    pub(super) idle: Vec<Arc<Worker>>,
    /// To be killed.
    pub(super) occupied: Vec<Arc<Worker>>,
}

/// What a transition leaves over, to be dropped without the lock.
#[derive(Debug)]
#[must_use = "it is to be dropped after the lock is released"]
pub(super) struct Rest(
    #[expect(dead_code, reason = "held only to be dropped later")] Option<OwnedSemaphorePermit>,
);

impl State {
    /// The idle worker that was used last, for a job.
    pub(super) fn take_idle(&mut self, policy: Policy) -> Result<Option<Arc<Worker>>, Closed> {
        if self.closed {
            return Err(Closed);
        }
        let worker = self.idle.pop();
        if let Some(slot) = worker.as_ref().and_then(|worker| self.slots.get_mut(&worker.id)) {
            slot.phase = Phase::Busy(policy);
        }
        Ok(worker)
    }

    /// A new worker, for a job.
    pub(super) fn start(&mut self, policy: Policy) -> Arc<Worker> {
        self.next_id += 1;
        let worker = Arc::new(Worker::new(self.next_id));
        let slot = Slot { worker: Arc::clone(&worker), phase: Phase::Starting(policy) };
        self.slots.insert(worker.id, slot);
        worker
    }

    /// The worker is up. False if it was condemned meanwhile.
    pub(super) fn started(&mut self, id: u64) -> bool {
        let Some(slot) = self.slots.get_mut(&id) else { return false };
        match slot.phase {
            Phase::Starting(policy) => slot.phase = Phase::Busy(policy),
            // Its caller was faster, and has had its answer already.
            Phase::Busy(_) | Phase::Idle => {}
            Phase::Dying(_) => return false,
        }
        true
    }

    /// The worker has done its job. True if it is to leave instead of waiting for the next.
    pub(super) fn readmit(&mut self, id: u64) -> bool {
        let Some(slot) = self.slots.get_mut(&id) else { return false };
        match slot.phase {
            Phase::Starting(_) | Phase::Busy(_) if self.closed => {
                slot.phase = Phase::Dying(None);
                true
            }
            Phase::Starting(_) | Phase::Busy(_) => {
                slot.phase = Phase::Idle;
                self.idle.push(Arc::clone(&slot.worker));
                false
            }
            // It died right behind its reply.
            Phase::Dying(_) => false,
            Phase::Idle => unreachable!("only a worker that was given a job is readmitted"),
        }
    }

    pub(super) fn condemn(&mut self, id: u64, permit: Option<OwnedSemaphorePermit>) -> Rest {
        let Some(slot) = self.slots.get_mut(&id) else { return Rest(permit) };
        match &mut slot.phase {
            Phase::Dying(held) if held.is_some() => return Rest(permit),
            Phase::Idle => self.idle.retain(|worker| worker.id != id),
            Phase::Starting(_) | Phase::Busy(_) | Phase::Dying(_) => {}
        }
        slot.phase = Phase::Dying(permit);
        Rest(None)
    }

    pub(super) fn bury(&mut self, id: u64) -> Option<Rest> {
        let slot = self.slots.remove(&id)?;
        match slot.phase {
            Phase::Dying(permit) => Some(Rest(permit)),
            Phase::Idle => {
                self.idle.retain(|worker| worker.id != id);
                None
            }
            Phase::Starting(_) | Phase::Busy(_) => None,
        }
    }

    pub(super) fn close(&mut self) -> Leaving {
        self.closed = true;
        let mut leaving = Leaving { idle: std::mem::take(&mut self.idle), occupied: Vec::new() };
        for worker in &leaving.idle {
            if let Some(slot) = self.slots.get_mut(&worker.id) {
                slot.phase = Phase::Dying(None);
            }
        }
        for slot in self.slots.values_mut() {
            match slot.phase {
                Phase::Starting(_) | Phase::Busy(Policy::Kill) => {
                    slot.phase = Phase::Dying(None);
                    leaving.occupied.push(Arc::clone(&slot.worker));
                }
                // Its caller, or the system task that took over from it, readmits it at the end.
                Phase::Busy(Policy::Finish) | Phase::Dying(_) | Phase::Idle => {}
            }
        }
        leaving
    }

    pub(super) fn statistics(&self, limit: usize) -> Statistics {
        let mut statistics = Statistics { limit, ..Statistics::default() };
        for slot in self.slots.values() {
            match slot.phase {
                Phase::Starting(_) => statistics.starting += 1,
                Phase::Idle => statistics.idle += 1,
                Phase::Busy(_) => statistics.busy += 1,
                Phase::Dying(_) => statistics.dying += 1,
            }
        }
        statistics
    }
}

#[cfg(test)]
mod tests;
