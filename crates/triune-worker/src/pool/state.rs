//! The states of the workers of one pool.
//!
//! ```text
//!                   take                take
//! Warming ─started─▶ Idle ─────────────▶ Busy ──done──▶ Settling     any of them ──condemn──▶ Dying ──bury──▶ gone
//!    └─take─▶ Starting ─────started──────▶┘ │               │
//!                   └◀──────────Idle◀───done┴───settled──────┘
//! ```
//!
//! Invariants:
//! 1. `idle` lists exactly the workers in [`Phase::Idle`].
//! 2. A worker that is gone is unknown here, and every transition of it does nothing: its supervisor and its caller learn
//!    of its end in either order.
//! 3. A worker that is asked to leave is in [`Phase::Dying`] before it is asked, so that nobody gives it a job.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use triune_scope::sync::Token;

use crate::config::Settings;
use crate::failure::{Failures, WorkerFailure};
use crate::statistics::Statistics;
use crate::worker::Worker;

/// How soon a worker that may not expire now is looked at again, at the least.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

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
    /// On its way up, and nobody has a job for it.
    Warming,
    Starting(Policy),
    Idle {
        since: Instant,
    },
    Busy(Policy),
    /// Its job is answered; whether it may have another is being found out.
    Settling,
    /// Holds the place of the call that has left it to die, if there was one.
    Dying(Option<Token>),
}

#[derive(Debug)]
struct Slot {
    worker: Arc<Worker>,
    phase: Phase,
    jobs: u64,
}

#[derive(Debug)]
pub(super) struct State {
    settings: Arc<Settings>,
    slots: BTreeMap<u64, Slot>,
    /// The one that was used last is at the end.
    idle: Vec<Arc<Worker>>,
    /// How many slots are in [`Phase::Warming`].
    warming: usize,
    /// How many processes there are beside the workers.
    servers: usize,
    next_id: u64,
    closed: bool,
    /// Workers leave after their job, but jobs that come are still run.
    abandoned: bool,
    lost_idle: u64,
    retired: u64,
    failures: Failures,
}

/// The pool takes no further job.
#[derive(Debug)]
pub(super) struct Closed;

/// How much a closing pool leaves alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// Jobs end first.
    AfterJobs,
    /// Only jobs that must not be cancelled end first.
    AfterUncancellable,
    /// Every worker goes at once.
    Now,
}

/// The workers that a closing pool lets go.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// To be asked.
    pub(super) idle: Vec<Arc<Worker>>,
    /// To be killed.
    pub(super) occupied: Vec<Arc<Worker>>,
}

/// What becomes of a worker whose job is done.
#[derive(Debug)]
#[must_use = "a worker that is to leave must be asked to"]
pub(super) enum Next {
    /// It waits for the next job; the place is free.
    Idle(Rest),
    /// It is to be asked to leave. Its place is free when it is gone.
    Leave,
    /// It is to be looked at, by whoever gets the place back here.
    Check(Option<Token>),
}

/// Whether an idle worker has been idle for too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    Leave,
    /// Look again then.
    At(Option<Instant>),
}

/// What a transition leaves over, to be dropped without the lock.
#[derive(Debug)]
#[must_use = "it is to be dropped after the lock is released"]
pub(super) struct Rest(
    #[expect(dead_code, reason = "held only to be dropped later")] pub(super) Option<Token>,
);

impl State {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            slots: BTreeMap::new(),
            idle: Vec::new(),
            warming: 0,
            servers: 0,
            next_id: 0,
            closed: false,
            abandoned: false,
            lost_idle: 0,
            retired: 0,
            failures: Failures::default(),
        }
    }

    /// A worker for a job, if one is idle or on its way up without a job: the idle one that was used last.
    pub(super) fn take(&mut self, policy: Policy) -> Result<Option<Arc<Worker>>, Closed> {
        if self.closed {
            return Err(Closed);
        }
        if let Some(worker) = self.idle.pop() {
            if let Some(slot) = self.slots.get_mut(&worker.id) {
                slot.phase = Phase::Busy(policy);
            }
            return Ok(Some(worker));
        }
        if self.warming == 0 {
            return Ok(None);
        }
        let warming = self.slots.values_mut().find(|slot| matches!(slot.phase, Phase::Warming));
        Ok(warming.map(|slot| {
            self.warming -= 1;
            slot.phase = Phase::Starting(policy);
            Arc::clone(&slot.worker)
        }))
    }

    /// The workers that have jobs.
    pub(super) fn busy(&self) -> Vec<Arc<Worker>> {
        let busy = self.slots.values().filter(|slot| matches!(slot.phase, Phase::Busy(_)));
        busy.map(|slot| Arc::clone(&slot.worker)).collect()
    }

    /// A new worker, for a job.
    pub(super) fn start(&mut self, policy: Policy) -> Arc<Worker> {
        self.insert(Phase::Starting(policy))
    }

    /// A new worker without a job, if there are fewer than there should always be.
    pub(super) fn start_warm(&mut self) -> Option<Arc<Worker>> {
        if self.closed || self.abandoned || self.living() >= self.settings.warm {
            return None;
        }
        self.warming += 1;
        Some(self.insert(Phase::Warming))
    }

    fn insert(&mut self, phase: Phase) -> Arc<Worker> {
        self.next_id += 1;
        let worker = Arc::new(Worker::new(self.next_id, self.settings.allowance()));
        self.slots.insert(worker.id, Slot { worker: Arc::clone(&worker), phase, jobs: 0 });
        worker
    }

    /// How many workers are not on their way out.
    fn living(&self) -> usize {
        self.slots.values().filter(|slot| !matches!(slot.phase, Phase::Dying(_))).count()
    }

    /// The worker is up. False if it was condemned meanwhile.
    pub(super) fn started(&mut self, id: u64) -> bool {
        let Some(slot) = self.slots.get_mut(&id) else { return false };
        match slot.phase {
            Phase::Warming => {
                self.warming -= 1;
                self.rest(id);
            }
            Phase::Starting(policy) => slot.phase = Phase::Busy(policy),
            // Its caller was faster, and has had its answer already.
            Phase::Busy(_) | Phase::Settling | Phase::Idle { .. } => {}
            Phase::Dying(_) => return false,
        }
        true
    }

    fn rest(&mut self, id: u64) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.phase = Phase::Idle { since: Instant::now() };
        self.idle.push(Arc::clone(&slot.worker));
    }

    /// The worker has done its job.
    pub(super) fn done(&mut self, id: u64, retires: bool, token: Option<Token>) -> Next {
        let Some(slot) = self.slots.get_mut(&id) else { return Next::Idle(Rest(token)) };
        slot.jobs += 1;
        match slot.phase {
            Phase::Starting(_) | Phase::Busy(_) => {}
            // It died right behind its reply.
            Phase::Dying(_) => return Next::Idle(self.condemn(id, token)),
            Phase::Idle { .. } | Phase::Settling | Phase::Warming => {
                unreachable!("only a worker that was given a job has done one")
            }
        }
        if retires || self.leaves(id) {
            self.retire(id, token);
            return Next::Leave;
        }
        if !self.settings.ask.is_empty() {
            self.set(id, Phase::Settling);
            return Next::Check(token);
        }
        self.rest(id);
        Next::Idle(Rest(token))
    }

    /// The worker was looked at after its job. True if it is to be asked to leave.
    pub(super) fn settled(&mut self, id: u64, retires: bool, token: Option<Token>) -> Result<Rest, ()> {
        let settling = self.slots.get(&id).is_some_and(|slot| matches!(slot.phase, Phase::Settling));
        if !settling {
            // It died meanwhile.
            return Ok(self.condemn(id, token));
        }
        if retires || self.leaves(id) {
            self.retire(id, token);
            return Err(());
        }
        self.rest(id);
        Ok(Rest(token))
    }

    /// Whether a worker is to go after a job, as far as that is known without looking at it.
    fn leaves(&self, id: u64) -> bool {
        let used_up = |slot: &Slot| slot.worker.allowance.is_used_up(slot.jobs);
        self.closed
            || self.abandoned
            || self.settings.idle_timeout == Some(Duration::ZERO)
            || self.slots.get(&id).is_some_and(used_up)
    }

    fn retire(&mut self, id: u64, token: Option<Token>) {
        if !self.closed && !self.abandoned {
            self.retired += 1;
        }
        self.set(id, Phase::Dying(token));
    }

    fn set(&mut self, id: u64, phase: Phase) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.phase = phase;
        }
    }

    /// Whether the worker has been idle for its whole timeout; then it is on its way out.
    pub(super) fn expire(&mut self, id: u64, timeout: Duration) -> Expiry {
        let now = Instant::now();
        let spared = self.living() <= self.settings.warm;
        let Some(slot) = self.slots.get_mut(&id) else { return Expiry::At(None) };
        // An idle time that begins after this look ends after the next one. Not at once: who is spared may be so for ever.
        let later = || now.checked_add(timeout.max(LOOK_AGAIN));
        match slot.phase {
            Phase::Dying(_) => Expiry::At(None),
            _ if spared => Expiry::At(later()),
            Phase::Idle { since } => match since.checked_add(timeout) {
                Some(end) if end <= now => {
                    slot.phase = Phase::Dying(None);
                    self.idle.retain(|worker| worker.id != id);
                    Expiry::Leave
                }
                end => Expiry::At(end),
            },
            _ => Expiry::At(later()),
        }
    }

    pub(super) fn condemn(&mut self, id: u64, token: Option<Token>) -> Rest {
        let Some(slot) = self.slots.get_mut(&id) else { return Rest(token) };
        match &mut slot.phase {
            Phase::Dying(held) if held.is_some() => return Rest(token),
            Phase::Idle { .. } => {
                // Nobody has asked it to go.
                self.lost_idle += 1;
                self.idle.retain(|worker| worker.id != id);
            }
            Phase::Warming => self.warming -= 1,
            Phase::Starting(_) | Phase::Busy(_) | Phase::Settling | Phase::Dying(_) => {}
        }
        slot.phase = Phase::Dying(token);
        Rest(None)
    }

    pub(super) fn bury(&mut self, id: u64) -> Option<Rest> {
        drop(self.condemn(id, None));
        let slot = self.slots.remove(&id)?;
        match slot.phase {
            Phase::Dying(token) => Some(Rest(token)),
            _ => unreachable!("it was condemned just above"),
        }
    }

    pub(super) fn is_leaving(&self, id: u64) -> bool {
        self.slots.get(&id).is_some_and(|slot| matches!(slot.phase, Phase::Dying(_)))
    }

    /// A worker that was idle, and asked to leave, was killed by somebody else.
    pub(super) fn lost_idle(&mut self) {
        self.lost_idle += 1;
    }

    pub(super) fn note(&mut self, failure: WorkerFailure) {
        self.failures.push(failure);
    }

    pub(super) fn take_failures(&mut self) -> Failures {
        std::mem::take(&mut self.failures)
    }

    /// Whether there is no process of the pool.
    pub(super) fn is_empty(&self) -> bool {
        self.is_vacant() && self.servers == 0
    }

    /// Whether there is no worker.
    pub(super) fn is_vacant(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether there is no worker, and a next one is not to be expected.
    pub(super) fn needs_no_server(&self) -> bool {
        self.is_vacant() && (self.closed || self.abandoned)
    }

    pub(super) fn server_begins(&mut self) {
        self.servers += 1;
    }

    pub(super) fn server_ended(&mut self) {
        self.servers -= 1;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Lets the workers go as they become idle. True if there were any.
    pub(super) fn abandon(&mut self) -> (Leaving, bool) {
        self.abandoned = true;
        let had_workers = !self.slots.is_empty();
        (self.dismiss_idle(), had_workers)
    }

    fn dismiss_idle(&mut self) -> Leaving {
        let idle = std::mem::take(&mut self.idle);
        for worker in &idle {
            self.set(worker.id, Phase::Dying(None));
        }
        Leaving { idle, occupied: Vec::new() }
    }

    pub(super) fn close(&mut self, closing: Closing) -> Leaving {
        self.closed = true;
        let mut leaving = self.dismiss_idle();
        self.warming = 0;
        for slot in self.slots.values_mut() {
            let dies = match slot.phase {
                Phase::Warming => true,
                Phase::Starting(_) | Phase::Busy(Policy::Kill) | Phase::Settling => {
                    closing != Closing::AfterJobs
                }
                // Its caller, or the system task that took over from it, ends it.
                Phase::Busy(Policy::Finish) => closing == Closing::Now,
                // It may be leaving in its own time, which it has no longer.
                Phase::Dying(_) => {
                    if closing == Closing::Now {
                        leaving.occupied.push(Arc::clone(&slot.worker));
                    }
                    false
                }
                Phase::Idle { .. } => unreachable!("the idle ones are dismissed above"),
            };
            if dies {
                slot.phase = Phase::Dying(None);
                leaving.occupied.push(Arc::clone(&slot.worker));
            }
        }
        if closing == Closing::Now {
            leaving.occupied.append(&mut leaving.idle);
        }
        leaving
    }

    pub(super) fn statistics(&self) -> Statistics {
        let mut statistics =
            Statistics { lost_idle: self.lost_idle, retired: self.retired, ..Statistics::default() };
        for slot in self.slots.values() {
            match slot.phase {
                Phase::Warming | Phase::Starting(_) => statistics.starting += 1,
                Phase::Idle { .. } => statistics.idle += 1,
                Phase::Busy(_) | Phase::Settling => statistics.busy += 1,
                Phase::Dying(_) => statistics.dying += 1,
            }
        }
        statistics.started = self.next_id;
        statistics
    }
}

#[cfg(test)]
mod tests;
