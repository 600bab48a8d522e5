//! What the portal's clones and the supervisor of one actor share.
//!
//! 1. The verdict (how the actor ended) is set exactly once, by the supervisor or by its drop, so a wait for it always ends.
//! 2. Nothing here keeps the process: the supervisor alone owns it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use triune_ipc::{CallEnd, CallOptions, Link, LinkEnd};
use triune_process::{ActorDied, Phase};
use triune_scope::{CancelReason, check_cancelled, effective_deadline};
use triune_wire::{CancelMessage, Report, ReportKind};

use crate::call::Request;
use crate::error::{CallError, Closed, PeerCancelled, RemoteError};
use crate::exit::ExitReport;
use crate::reason::from_message;

/// How many introductions of one actor are under way at a time. Its link takes 64 that it has not come to yet.
const INTRODUCTIONS: usize = 16;

/// Tells actors apart that bear the same name. Unique on this host as long as the parent lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorId {
    parent: u32,
    serial: u64,
}

impl ActorId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { parent: std::process::id(), serial: NEXT.fetch_add(1, Ordering::Relaxed) }
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.parent, self.serial)
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: ActorId,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) pid: u32,
    pub(crate) link: Link,
    /// How long the caller of a cancelled request waits for its end.
    pub(crate) grace: Duration,
    /// The turns of introductions, see `introduce`.
    pub(crate) introductions: Semaphore,
    /// Those that were started before it and that it was introduced to.
    met: Mutex<BTreeSet<ActorId>>,
    in_flight: AtomicUsize,
    stop: watch::Sender<Option<CancelReason>>,
    /// Whether `stop` was sent: what every request looks at.
    is_stopping: AtomicBool,
    verdict: watch::Sender<Option<ExitReport>>,
    /// The nursery child that reports a death, see `ReportedBy`.
    pub(crate) supervisor: OnceLock<u64>,
}

/// One request that waits for its answer.
pub(crate) struct InFlight<'a>(&'a Shared);

impl Shared {
    pub(crate) fn new(name: String, path: String, pid: u32, link: Link, grace: Duration) -> Self {
        Self {
            id: ActorId::next(),
            name,
            path,
            pid,
            link,
            grace,
            introductions: Semaphore::new(INTRODUCTIONS),
            met: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            stop: watch::Sender::new(None),
            is_stopping: AtomicBool::new(false),
            verdict: watch::Sender::new(None),
            supervisor: OnceLock::new(),
        }
    }

    /// Counts a request; a death is one while busy as long as it lives.
    pub(crate) fn enter(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.in_flight.load(Ordering::Relaxed) == 0 { Phase::Idle } else { Phase::Busy }
    }

    /// Asks the supervisor to stop the actor. The first reason wins.
    pub(crate) fn request_stop(&self, reason: CancelReason) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(reason);
            // Release; pairs with the Acquire in `check_open`.
            self.is_stopping.store(true, Ordering::Release);
            first
        });
    }

    pub(crate) fn stop_reason(&self) -> Option<CancelReason> {
        self.stop.borrow().clone()
    }

    pub(crate) async fn stop_requested(&self) -> CancelReason {
        wait_for(&self.stop).await
    }

    pub(crate) fn has_met(&self, other: ActorId) -> bool {
        self.met().contains(&other)
    }

    pub(crate) fn has_now_met(&self, other: ActorId) {
        self.met().insert(other);
    }

    fn met(&self) -> MutexGuard<'_, BTreeSet<ActorId>> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets how the actor ended; only the first counts.
    pub(crate) fn judge(&self, report: impl FnOnce() -> ExitReport) {
        self.verdict.send_if_modified(|verdict| {
            let first = verdict.is_none();
            if first {
                *verdict = Some(report());
            }
            first
        });
    }

    pub(crate) async fn verdict(&self) -> ExitReport {
        wait_for(&self.verdict).await
    }

    /// A death as the callers see it: an echo of what the supervisor reports to the nursery.
    pub(crate) fn echo(&self, died: ActorDied) -> ActorDied {
        match self.supervisor.get() {
            Some(task) => died.with_source(triune_scope::ReportedBy(*task)),
            None => died,
        }
    }

    /// What travels with a request that is made now: the deadline of the scope that makes it.
    pub(crate) fn options() -> CallOptions {
        let mut options = CallOptions::default();
        options.deadline = effective_deadline();
        options
    }

    /// Refuses a request to an actor that is being stopped, or was.
    pub(crate) fn check_open(&self) -> Result<(), Closed> {
        if !self.is_stopping.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.stop_reason() {
            Some(reason) => Err(Closed::new(&self.path, Some(reason), LinkEnd::Closed)),
            None => Ok(()),
        }
    }

    /// Why a request left no value. If the caller's own scope is cancelled, an end without a failure is an echo of
    /// that: the cancel has reached the actor on another way, for instance through the nursery that owns it.
    pub(crate) fn failure<O, E>(&self, request: &Request<O, E>, end: CallEnd) -> CallError<E> {
        let error = self.end_as_error(request, end);
        match check_cancelled() {
            Err(cancelled) if error.is_mere_end() => CallError::Cancelled(cancelled),
            _ => error,
        }
    }

    fn end_as_error<O, E>(&self, request: &Request<O, E>, end: CallEnd) -> CallError<E> {
        match end {
            // It was on its way when the actor was asked to stop.
            CallEnd::Failed(report) if report.kind == ReportKind::Unknown && self.stop_reason().is_some() => {
                self.lost(LinkEnd::Closed)
            }
            CallEnd::Failed(report) => reported(request, *report),
            CallEnd::Cancelled(message) => {
                CallError::PeerCancelled(PeerCancelled::new(Some(self.path.clone()), from_message(&message)))
            }
            CallEnd::TooLarge { len, max, .. } => CallError::TooLarge { len, max },
            CallEnd::Lost(end) | CallEnd::NotSent(end) => self.lost(end),
            other => {
                CallError::Protocol(RemoteError::new(Report::new(ReportKind::Protocol, other.to_string())))
            }
        }
    }

    pub(crate) fn lost<E>(&self, end: LinkEnd) -> CallError<E> {
        if let LinkEnd::Died(death) = &end
            && let Some(died) = death.downcast_ref::<ActorDied>()
        {
            return CallError::Died(died.clone());
        }
        CallError::Closed(Closed::new(&self.path, self.stop_reason(), end))
    }
}

fn reported<O, E>(request: &Request<O, E>, report: Report) -> CallError<E> {
    match report.kind {
        ReportKind::Error => match request.via.read(&report) {
            Some(error) => CallError::App { error, remote: RemoteError::new(report) },
            None => CallError::Remote(RemoteError::new(report)),
        },
        ReportKind::Panic => CallError::Panic(RemoteError::new(report)),
        ReportKind::Cancelled => {
            let message = report.typed.as_deref().and_then(|typed| CancelMessage::from_bytes(typed).ok());
            let message = message.unwrap_or_else(|| {
                CancelMessage::new(triune_wire::CancelCause::Explicit, report.message.clone())
            });
            CallError::PeerCancelled(PeerCancelled::new(report.path, from_message(&message)))
        }
        ReportKind::Unknown => CallError::Unknown(RemoteError::new(report)),
        _ => CallError::Protocol(RemoteError::new(report)),
    }
}

async fn wait_for<T: Clone>(sender: &watch::Sender<Option<T>>) -> T {
    let mut receiver = sender.subscribe();
    let value = receiver.wait_for(Option::is_some).await.expect("the sender is borrowed here, so it lives");
    value.clone().expect("it was just looked at")
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
