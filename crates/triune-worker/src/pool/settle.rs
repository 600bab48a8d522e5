//! What happens to a worker between a job's result and its next job: it is looked at, and asked, if its pool says so.
//!
//! Its resident memory is read at once, which takes some microseconds. Asking takes as long as the job that is asked: the
//! caller has its result before, and the worker keeps its place under the limiter meanwhile, because it is at work.

use std::sync::Arc;

use triune_ipc::CallEnd;
use triune_scope::sync::Token;
use triune_scope::{Run, shield_unbounded};

use super::state::Next;
use super::{PoolCore, dismiss};
use crate::config::Step;
use crate::error::Failure;
use crate::failure::WorkerFailureKind;
use crate::resident;
use crate::worker::{Connection, Worker};

impl PoolCore {
    /// The worker has answered its job.
    pub(super) fn done(self: &Arc<Self>, worker: &Arc<Worker>, token: Option<Token>) {
        let too_large = self.is_too_large(worker);
        let next = self.state().done(worker.id, too_large, token);
        match next {
            Next::Idle(rest) => drop(rest),
            Next::Leave => dismiss(worker),
            Next::Check(token) => {
                let (pool, worker) = (Arc::clone(self), Arc::clone(worker));
                // Shielded: a closing pool kills the worker, which ends this too.
                Run::current().spawn_system("retire", async move {
                    let retires = shield_unbounded(pool.check(&worker)).await;
                    let settled = pool.state().settled(worker.id, retires, token);
                    match settled {
                        Ok(rest) => drop(rest),
                        Err(()) => dismiss(&worker),
                    }
                });
            }
        }
    }

    /// Whether the worker is to be replaced for its memory.
    fn is_too_large(&self, worker: &Worker) -> bool {
        let Some(limit) = self.settings.rss_limit else { return false };
        let resident = worker.connection().and_then(|connection| resident::of(connection.process.pid()));
        let too_large = resident.is_some_and(|resident| resident > limit);
        if too_large {
            tracing::debug!(
                name = worker.name,
                resident,
                limit,
                "worker retires: too much of it is resident"
            );
        }
        too_large
    }

    /// Whether the worker wants to be replaced.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the worker with a question that nobody hears the answer of.
    async fn check(&self, worker: &Worker) -> bool {
        let Some(connection) = worker.connection() else { return false };
        for step in &self.settings.ask {
            if self.ask(worker, connection, step).await {
                return true;
            }
        }
        false
    }

    /// # Cancel safety
    ///
    /// As [`check`](Self::check).
    async fn ask(&self, worker: &Worker, connection: &Connection, step: &Step) -> bool {
        let answer = match step.target(&connection.targets) {
            Ok(target) => {
                connection.lent.lend([&step.kept]);
                connection.link.call(target, step.arguments.clone()).await
            }
            Err(report) => Err(CallEnd::Failed(report)),
        };
        let failure = match answer {
            // The type is that of the job, so only bytes of a broken worker can fail to be decoded.
            Ok(bytes) => match self.settings.format().decode(&bytes) {
                Ok(retires) => return retires,
                Err(_) => None,
            },
            Err(CallEnd::Failed(report)) => Some(Failure::new(report)),
            Err(_) => None,
        };
        // A pool that closes at once kills it, and then the answer is missed by nobody.
        if failure.is_some() || !worker.is_doomed() {
            self.note(&connection.process, WorkerFailureKind::Retire { job: step.name, failure });
        }
        true
    }
}
