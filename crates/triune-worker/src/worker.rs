//! One worker process as its callers and its supervisor share it.
//!
//! Owns: what is known of a worker, each fact set once by the supervisor. Does not own: its place in the pool (`pool`), nor
//! its end (`supervise`).

use std::sync::Arc;

use tokio::sync::SetOnce;
use triune_ipc::Link;
use triune_process::{Exit, OomKills, Phase, Process, StartError, WorkerDied};
use triune_scope::__primitive::owed;
use triune_scope::shield_unbounded;
use triune_wire::Report;

use crate::by_name::Targets;
use crate::cause::DeathCause;
use crate::config::Allowance;
use crate::loan::Lent;
use crate::slate;

/// A worker from the decision to start it until it is reaped.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Unique in its pool, and never used again.
    pub(crate) id: u64,
    pub(crate) name: String,
    /// What it may do before it retires.
    pub(crate) allowance: Allowance,
    /// Where it notes answers.
    pub(crate) slate: slate::Lent,
    /// Set when it has said hello, or will never.
    connection: SetOnce<Result<Connection, StartFailure>>,
    /// Set when nobody wants it any more, however far its start has come.
    doomed: SetOnce<()>,
    /// Set when it is reaped and its place in the pool is given back.
    end: SetOnce<Option<End>>,
}

/// The ways to a worker that is up.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) process: Process,
    pub(crate) link: Link,
    /// The memory that it has.
    pub(crate) lent: Arc<Lent>,
    pub(crate) targets: Targets,
    /// From before its first job.
    pub(crate) oom_kills: Option<OomKills>,
}

/// Why a worker never came up.
#[derive(Debug, Clone)]
pub(crate) enum StartFailure {
    Failed(StartError),
    /// It came up, and its `init` job failed or panicked.
    Init(Box<Report>),
    /// It came up, and died in its `init` job.
    InitDied(WorkerDied),
    /// Its fork server came up, and the `preload` job failed, panicked or left a thread behind.
    Preload(Box<Report>),
    /// Its fork server came up, and died in the `preload` job.
    PreloadDied(WorkerDied),
    /// It was ended while it started.
    Doomed,
}

/// How a worker that was up has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) exit: Exit,
    /// It left something unread of what was sent to it, and the job is the last thing that is sent.
    pub(crate) left_unread: bool,
    /// Why it had to be killed, if it had.
    pub(crate) ended_for: Option<DeathCause>,
}

impl Worker {
    pub(crate) fn new(id: u64, allowance: Allowance) -> Self {
        Self {
            id,
            name: format!("worker-{id}"),
            allowance,
            slate: slate::Lent::default(),
            connection: SetOnce::new(),
            doomed: SetOnce::new(),
            end: SetOnce::new(),
        }
    }

    /// Waits until it is up, or will never be.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn connected(&self) -> Result<&Connection, &StartFailure> {
        self.connection.wait().await.as_ref()
    }

    /// The ways to it, if it is up.
    pub(crate) fn connection(&self) -> Option<&Connection> {
        self.connection.get().and_then(|connection| connection.as_ref().ok())
    }

    pub(crate) fn set_connection(&self, connection: Result<Connection, StartFailure>) {
        // The supervisor sets it once.
        let _set_once = self.connection.set(connection);
    }

    /// Ends it at once. Its supervisor does the rest.
    pub(crate) fn kill(&self) {
        // A second time changes nothing.
        let _already_doomed = self.doomed.set(());
        if let Some(connection) = self.connection() {
            connection.process.kill();
        }
    }

    /// Waits until it is killed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn doomed(&self) {
        self.doomed.wait().await;
    }

    /// Whether it is killed.
    pub(crate) fn is_doomed(&self) -> bool {
        self.doomed.get().is_some()
    }

    /// Waits until it is reaped and its place is free.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn ended(&self) -> Option<End> {
        *self.end.wait().await
    }

    /// As [`ended`](Self::ended), and no cancel cuts it short, nor is one held up if nobody polls this to its end.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn reaped(self: &Arc<Self>) -> Option<End> {
        if let Some(end) = self.end.get() {
            return *end;
        }
        let worker = Arc::clone(self);
        owed("end of a worker", async move { shield_unbounded(worker.ended()).await }).await
    }

    pub(crate) fn set_end(&self, end: Option<End>) {
        // The supervisor sets it once.
        let _set_once = self.end.set(end);
    }

    /// Its process number; 0 if it never came up.
    pub(crate) fn pid(&self) -> u32 {
        self.connection().map_or(0, |connection| connection.process.pid())
    }

    /// Its death while it had a job, as an error.
    pub(crate) fn died(&self, end: Option<End>, phase: Phase) -> WorkerDied {
        let tail = self.connection().map(|connection| connection.process.stderr_tail()).unwrap_or_default();
        let died = WorkerDied::new(&self.name, self.pid(), phase).with_stderr_tail(tail);
        match end {
            Some(end) => died.with_exit(end.exit),
            None => died,
        }
    }
}
