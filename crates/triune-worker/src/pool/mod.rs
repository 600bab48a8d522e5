//! A pool: which workers there are, who may have one, and in which order.
//!
//! # Parts
//!
//! * [`state`]: the states of the workers and the transitions between them; plain data under one lock.
//! * [`lease`]: the exclusive right of one call to one worker.
//! * [`settle`]: what happens between a job's result and the worker's next job.
//! * here: admission, the end, and the lock around the state.
//!
//! # Invariants
//!
//! 1. Whoever has a token finds an idle worker or may start one; since workers become idle *before* the token is given
//!    back, there are never more processes at work than tokens.
//! 2. Waiting calls are admitted first come, first served; idle workers are used last in, first out, because the one that
//!    was used last has the warmest caches.
//! 3. Nothing is killed, woken or dropped under the lock.
//! 4. Whoever kills a worker, or asks it to leave, has condemned it before, under the lock.

mod lease;
mod settle;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, SetOnce};
use triune_process::Process;
use triune_scope::sync::{AcquireError, Borrower, CapacityLimiter, Token};
use triune_scope::{Cancelled, Run};

pub(crate) use lease::Lease;
use state::{Closed, Expiry, Leaving, State};
pub(crate) use state::{Closing, Policy};

use crate::ambient::default_limiter;
use crate::config::Settings;
use crate::failure::{CloseError, WorkerFailure, WorkerFailureKind};
use crate::launch::{self, Launcher};
use crate::limited::Limited;
use crate::statistics::Statistics;
use crate::supervise::supervise;
use crate::worker::Worker;

/// The workers of one scope, or of one run.
#[derive(Debug)]
pub(crate) struct PoolCore {
    pub(crate) settings: Arc<Settings>,
    /// Fair: a token that is given back goes to the call that has waited longest.
    limiter: CapacityLimiter,
    pub(crate) limited: Limited,
    pub(crate) launcher: Box<dyn Launcher>,
    state: Mutex<State>,
    /// Set when nobody is admitted any more.
    closed: SetOnce<()>,
    /// Told when the last worker or the fork server is gone, and when the pool closes.
    empty: Notify,
}

/// Why a call was not admitted.
#[derive(Debug)]
pub(crate) enum NotAdmitted {
    Closed,
    Cancelled(Cancelled),
}

impl PoolCore {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        let settings = Arc::new(settings);
        Arc::new(Self {
            limiter: settings.limiter.clone().unwrap_or_else(default_limiter),
            limited: Limited::new(settings.limits.clone()),
            launcher: launch::of(&settings),
            state: Mutex::new(State::new(Arc::clone(&settings))),
            settings,
            closed: SetOnce::new(),
            empty: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No transition leaves the state half done, so a panic elsewhere does not matter.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place under the call's own limiter, or the pool's.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in the queue.
    pub(crate) async fn admit(&self, limiter: Option<&CapacityLimiter>) -> Result<Token, NotAdmitted> {
        let limiter = limiter.unwrap_or(&self.limiter);
        if self.closed.get().is_some() {
            return Err(NotAdmitted::Closed);
        }
        tokio::select! {
            // The place first: mostly there is one, and then nobody needs to be told of the end.
            biased;
            // Nobody in particular: one task may run several jobs at a time.
            token = limiter.acquire_for(Borrower::unique()) => match token {
                Ok(token) => Ok(token),
                Err(AcquireError::Cancelled(cancelled)) => Err(NotAdmitted::Cancelled(cancelled)),
                Err(_) => unreachable!("a unique borrower has no token yet"),
            },
            () = async { *self.closed.wait().await } => Err(NotAdmitted::Closed),
        }
    }

    /// A worker for one job: the idle one that was used last, else one on its way up, else a new one. `None` once the
    /// pool is closed.
    pub(crate) fn lease(self: &Arc<Self>, token: Token, policy: Policy) -> Option<Lease> {
        let mut state = self.state();
        let worker = match state.take(policy) {
            Ok(Some(worker)) => worker,
            Ok(None) => {
                let worker = state.start(policy);
                drop(state);
                self.begin(&worker);
                worker
            }
            Err(Closed) => return None,
        };
        Some(Lease::new(Arc::clone(self), worker, token))
    }

    /// Takes the answers that workers have noted and not written.
    pub(crate) fn look_at_slates(&self) {
        let busy = self.state().busy();
        for worker in busy {
            if let Some(connection) = worker.connection() {
                worker.slate.look(&connection.link);
            }
        }
    }

    /// Starts the workers that the pool is to have before there are jobs.
    pub(crate) fn warm_up(self: &Arc<Self>) {
        loop {
            let worker = self.state().start_warm();
            match worker {
                Some(worker) => self.begin(&worker),
                None => return,
            }
        }
    }

    fn begin(self: &Arc<Self>, worker: &Arc<Worker>) {
        Run::current().spawn_system("worker", supervise(Arc::clone(self), Arc::clone(worker)));
    }

    /// The worker is up, its connection is known. False if nobody wants it any more: who condemned it may not have seen
    /// the connection, and has left the kill to its supervisor. One of the two sees the other, by the lock.
    pub(crate) fn started(&self, worker: &Worker) -> bool {
        self.state().started(worker.id)
    }

    /// Gives the worker no further job. `token` comes back when it is reaped.
    pub(crate) fn condemn(&self, worker: &Worker, token: Option<Token>) {
        let rest = self.state().condemn(worker.id, token);
        drop(rest);
    }

    /// Lets the worker go if it was idle for too long; else says when to look again.
    pub(crate) fn expire(&self, worker: &Worker, timeout: Duration) -> Option<Instant> {
        let expiry = self.state().expire(worker.id, timeout);
        match expiry {
            Expiry::At(again) => again,
            Expiry::Leave => {
                tracing::debug!(name = worker.name, ?timeout, "worker was idle for its timeout");
                dismiss(worker);
                None
            }
        }
    }

    /// The worker is reaped: its place is free. One that had come up is replaced if the pool is to be kept warm.
    pub(crate) fn bury(self: &Arc<Self>, worker: &Worker) {
        let (rest, is_vacant) = {
            let mut state = self.state();
            (state.bury(worker.id), state.is_vacant())
        };
        drop(rest);
        if is_vacant {
            self.empty.notify_waiters();
        }
        // One that never came up would fail again, and again.
        if worker.connection().is_some() {
            self.warm_up();
        }
    }

    /// A process beside the workers begins, for which the pool waits as for them.
    pub(crate) fn server_begins(&self) {
        self.state().server_begins();
    }

    /// It is reaped.
    pub(crate) fn server_ended(&self) {
        self.state().server_ended();
        self.empty.notify_waiters();
    }

    /// Waits until no worker is left, nor will there be another one soon.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn needs_no_server(&self) {
        self.when(State::needs_no_server).await;
    }

    pub(crate) fn note(&self, process: &Process, what: WorkerFailureKind) {
        let failure = WorkerFailure::new(process.name(), process.pid(), what);
        tracing::warn!(%failure, "a worker did not behave");
        self.state().note(failure);
    }

    /// Whether the worker was asked to leave, or condemned otherwise.
    pub(crate) fn is_leaving(&self, worker: &Worker) -> bool {
        self.state().is_leaving(worker.id)
    }

    /// Somebody has killed a worker that was idle, and about to leave.
    pub(crate) fn lost_idle(&self) {
        self.state().lost_idle();
    }

    /// Lets the workers go as they become idle. True if there were any.
    pub(crate) fn abandon(&self) -> bool {
        let (leaving, had_workers) = self.state().abandon();
        let_go(&leaving);
        self.empty.notify_waiters();
        had_workers
    }

    /// Admits nobody any more, and lets the workers go. Idempotent; a later call may leave less alone.
    pub(crate) fn close(&self, closing: Closing) {
        // A second time changes nothing.
        let _already_closed = self.closed.set(());
        let leaving = self.state().close(closing);
        let_go(&leaving);
        self.empty.notify_waiters();
    }

    /// Whether calls that lost their worker have lost it to the end of the pool.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().is_closed()
    }

    /// Waits until the last worker of a closed pool is gone; says what went wrong in its life.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn emptied(&self) -> Option<CloseError> {
        self.when(State::is_empty).await;
        self.state().take_failures().into_error()
    }

    /// # Cancel safety
    ///
    /// Nothing is lost.
    async fn when(&self, is_so: fn(&State) -> bool) {
        loop {
            let mut news = std::pin::pin!(self.empty.notified());
            news.as_mut().enable();
            if is_so(&self.state()) {
                return;
            }
            news.await;
        }
    }

    /// How many jobs of it run at a time at most.
    pub(crate) fn limit(&self) -> usize {
        self.limiter.total().unwrap_or(usize::MAX)
    }

    pub(crate) fn statistics(&self) -> Statistics {
        Statistics { limit: self.limit(), ..self.state().statistics() }
    }
}

fn let_go(leaving: &Leaving) {
    for worker in &leaving.idle {
        dismiss(worker);
    }
    for worker in &leaving.occupied {
        worker.kill();
    }
}

/// Asks an idle worker to leave. Its supervisor sees to it that it does.
fn dismiss(worker: &Worker) {
    match worker.connection() {
        Some(connection) => connection.link.goodbye(),
        None => worker.kill(),
    }
}
