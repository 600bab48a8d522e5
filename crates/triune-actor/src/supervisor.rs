//! The owner of one actor's process: moves its link, watches it, stops it, reaps it, and says how it ended.
//!
//! It is a service child of the nursery that started the actor, as a tokio task of its own, so that a body that computes does not hold up
//! the link.
//!
//! 1. It returns only when the process is reaped, and nothing is left beneath it.
//! 2. What the process had written before its end is read before its end is told; then every wait on the link is resolved at once.
//! 3. A death is an error of the nursery. The same death, told to callers, is marked as its echo.
//! 4. Dropped half-way, it leaves the process to the run, which kills and reaps it, and the waits resolved.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use triune_ipc::{Driver, LinkEnd};
use triune_process::{ActorDied, Exit, Ladder, Phase, Process};
use triune_scope::{CancelReason, FutureExt, Result, shield_unbounded};

use crate::exit::ExitReport;
use crate::reason::to_message;
use crate::shared::Shared;

/// How long a dead process's link is read on: its bytes are all there already, and only a copy of its end of the socket, in a process that
/// it forked, could keep the link open.
const READ_ON: Duration = Duration::from_millis(50);

pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    process: Process,
    /// Taken when it runs.
    driver: Option<Driver>,
    ladder: Ladder,
}

/// What ends the quiet part of an actor's life.
enum Event {
    Exited(Exit),
    LinkEnded(LinkEnd),
    Stop(CancelReason),
}

impl Supervisor {
    pub(crate) fn new(shared: Arc<Shared>, process: Process, driver: Driver, ladder: Ladder) -> Self {
        Self { shared, process, driver: Some(driver), ladder }
    }

    /// Runs until the actor has ended. Fails with its death.
    pub(crate) async fn run(mut self) -> Result {
        let mut driver = self.driver.take().expect("a supervisor runs once");
        driver.lend();
        let event = self.watch(&mut driver).await;
        let report = shield_unbounded(async {
            let report = self.end(driver, event).await;
            // Every wait is resolved. The nursery waits for what the actor has started, too.
            self.process.wait_gone().await;
            report
        })
        .await;
        match report.died {
            Some(died) => Err(died.into()),
            None => Ok(()),
        }
    }

    /// Moves the link until something happens.
    async fn watch(&self, driver: &mut Driver) -> Event {
        let mut exited = pin!(self.process.wait());
        let mut stopped = pin!(self.stopped());
        let link_end = OnceLock::new();
        // Beside the link, so that what it moves does not poll these two.
        let watch = std::future::poll_fn(|cx| {
            // The link last: when the process dies, its end of the link goes first, and its status says more.
            if let Poll::Ready(reason) = stopped.as_mut().poll(cx) {
                return Poll::Ready(Event::Stop(reason));
            }
            if let Poll::Ready(exit) = exited.as_mut().poll(cx) {
                return Poll::Ready(Event::Exited(exit));
            }
            link_end.get().map_or(Poll::Pending, |end| Poll::Ready(Event::LinkEnded(LinkEnd::clone(end))))
        });
        let ended = |end| link_end.set(end).expect("a link ends once");
        driver.drive_beside(watch, ended).await
    }

    /// A portal's cancel, or the end of the nursery in whatever way.
    async fn stopped(&self) -> CancelReason {
        match self.shared.stop_requested().cancellable().await {
            Ok(reason) => reason,
            Err(cancelled) => {
                self.shared.request_stop(cancelled.reason().clone());
                cancelled.reason().clone()
            }
        }
    }

    /// Brings the process to its end and settles all waits.
    async fn end(&self, mut driver: Driver, event: Event) -> ExitReport {
        let report = match event {
            Event::Exited(exit) => {
                self.read_on(&mut driver).await;
                self.died(exit, self.shared.phase())
            }
            Event::LinkEnded(end) => self.without_link(end).await,
            Event::Stop(reason) => self.stop(&mut driver, reason).await,
        };
        self.settle(report)
    }

    /// Tells the actor to stop, moves the link while it cleans up, and climbs the ladder.
    async fn stop(&self, driver: &mut Driver, reason: CancelReason) -> ExitReport {
        tracing::debug!(actor = self.shared.path, pid = self.shared.pid, %reason, "stopping actor");
        self.shared.link.cancel_all(&to_message(&reason));
        let why = reason.to_string();
        let exit = beside(self.process.terminate(&self.ladder, &why), driver.drive()).await;
        self.read_on(driver).await;
        let mut report = self.report(exit);
        // Code 0, or what the ladder did. Anything else is a failure of the clean-up that nobody else will tell.
        if !exit.is_success() && !was_forced(exit) {
            report.died = Some(self.death(exit, Phase::Closing));
        }
        report.stopped = Some(reason);
        report
    }

    /// The link has ended and the process may live. Without its link it is of no use to anyone.
    async fn without_link(&self, end: LinkEnd) -> ExitReport {
        let phase = self.shared.phase();
        // A process that dies closes its link a moment before its status can be had.
        let exit = self.process.terminate(&self.ladder, &end.to_string()).await;
        let mut report = self.died(exit, phase);
        if !matches!(end, LinkEnd::Eof | LinkEnd::Goodbye) {
            // The status says only how it was ended here, not why.
            report.died = report.died.map(|died| died.with_source(end));
        }
        report
    }

    /// Reads what was written before the end.
    async fn read_on(&self, driver: &mut Driver) {
        if tokio::time::timeout(READ_ON, driver.drive()).await.is_err() {
            tracing::debug!(actor = self.shared.path, "the link of a dead actor is still open somewhere");
        }
    }

    fn report(&self, exit: Exit) -> ExitReport {
        ExitReport {
            path: self.shared.path.clone(),
            pid: self.shared.pid,
            exit: Some(exit),
            stopped: self.shared.stop_reason(),
            died: None,
        }
    }

    fn died(&self, exit: Exit, phase: Phase) -> ExitReport {
        ExitReport { died: Some(self.death(exit, phase)), ..self.report(exit) }
    }

    fn death(&self, exit: Exit, phase: Phase) -> ActorDied {
        ActorDied::new(self.shared.path.clone(), self.shared.pid, phase)
            .with_exit(exit)
            .with_stderr_tail(self.process.stderr_tail())
    }

    /// Resolves every wait on the actor.
    fn settle(&self, report: ExitReport) -> ExitReport {
        tracing::debug!(%report, "actor ended");
        let end = match (&report.died, report.exit) {
            (Some(died), _) => LinkEnd::Died(Arc::new(self.shared.echo(died.clone()))),
            // Killed in the middle of a call: for its caller that is a death, though not for the nursery that asked for it.
            (None, Some(exit)) if !exit.is_success() => {
                LinkEnd::Died(Arc::new(self.death(exit, Phase::Closing)))
            }
            _ => LinkEnd::Goodbye,
        };
        self.shared.link.close(end);
        self.shared.judge(|| report.clone());
        report
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Both do nothing after `settle`.
        let died = ActorDied::new(self.shared.path.clone(), self.shared.pid, self.shared.phase());
        self.shared.link.close(LinkEnd::Died(Arc::new(died)));
        self.shared.judge(|| ExitReport {
            path: self.shared.path.clone(),
            pid: self.shared.pid,
            exit: self.process.try_exit(),
            stopped: self.shared.stop_reason(),
            died: None,
        });
    }
}

/// Whether a status is what the ladder leaves behind.
fn was_forced(exit: Exit) -> bool {
    // SIGTERM and SIGKILL, the steps of `Ladder`.
    matches!(exit.signal(), Some(9 | 15))
}

/// Runs the first future to its end and polls the second one beside it.
async fn beside<F: Future>(main: F, side: impl Future) -> F::Output {
    let (mut main, mut side) = (pin!(main), pin!(side));
    let mut side_ended = false;
    std::future::poll_fn(|cx| {
        side_ended = side_ended || Pin::as_mut(&mut side).poll(cx).is_ready();
        main.as_mut().poll(cx)
    })
    .await
}
