//! How the process of a worker comes to be: one launcher for each [`WorkerKind`](crate::WorkerKind).
//!
//! Owns everything from "a worker is wanted" to "it can be given jobs": the process, the handshake, the first call. Does not
//! own: what becomes of the worker from then on (`supervise`), nor the processes themselves (`triune-process`).
//!
//! * `spawn`: this program, started again;
//! * `fork_server`: a copy of a process that has loaded what all of them share;
//! * `greet`: handshake and set-up, the same for all.

mod fork_server;
mod greet;
mod spawn;

use std::fmt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
pub(crate) use greet::end_now;
use triune_ipc::{Driver, Heartbeat};
use triune_process::{Process, Spec};

use crate::config::{Settings, WorkerKind};
use crate::pool::PoolCore;
use crate::serve::ROLE;
use crate::setup::{self, Setup};
use crate::worker::{Connection, StartFailure, Worker};

/// A way to make the process of a worker.
pub(crate) trait Launcher: fmt::Debug + Send + Sync {
    /// Makes the process that `spec` names, and gives its handle and the pool's end of its link.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves no process behind.
    fn launch<'a>(
        &'a self,
        pool: &'a Arc<PoolCore>,
        worker: &'a Worker,
        spec: Spec,
    ) -> BoxFuture<'a, Result<(Process, UnixStream), StartFailure>>;
}

/// The launcher of a pool.
pub(crate) fn of(settings: &Settings) -> Box<dyn Launcher> {
    match settings.kind {
        WorkerKind::Spawn => Box::new(spawn::Spawn),
        WorkerKind::ForkServer => Box::new(fork_server::Forking::default()),
    }
}

/// Brings a worker to the point where it can be given jobs.
///
/// # Cancel safety
///
/// Dropping it kills the process.
pub(crate) async fn start(
    pool: &Arc<PoolCore>,
    worker: &Worker,
) -> Result<(Connection, Driver), StartFailure> {
    let setup = Setup::of(&pool.settings);
    let mark = if setup.is_some() { setup::COMES } else { setup::COMES_NOT };
    let spec = pool.limited.put_on(Spec::new(ROLE, worker.name.as_str()).env(setup::VARIABLE, mark));
    // Nobody is left who could want its results.
    let spec = spec.stdio(pool.settings.stdio).orphan_grace(Duration::ZERO);
    let (process, stream) = pool.launcher.launch(pool, worker, spec).await?;
    let greeted = async {
        let mut config = greet::config(&process);
        config.spin = pool.settings.spin;
        config.heartbeat = pool.settings.stall_timeout.map(Heartbeat::listening);
        let (link, mut driver) = greet::shake_hands(&process, stream, config, worker.doomed()).await?;
        pool.limited.judge(process.name(), link.peer()).map_err(StartFailure::Failed)?;
        if let Some(setup) = setup {
            worker.lent.lend(&link, pool.settings.init.iter().map(|step| &step.kept));
            greet::set_up(&process, &link, &mut driver, &setup, worker.doomed()).await.map_err(
                |failure| match failure {
                    greet::NotSetUp::Failed(report) => StartFailure::Init(report),
                    greet::NotSetUp::Died(died) => StartFailure::InitDied(died),
                    greet::NotSetUp::Doomed => StartFailure::Doomed,
                },
            )?;
        }
        Ok((link, driver))
    };
    match greeted.await {
        Ok((link, driver)) => Ok((Connection { process, link }, driver)),
        Err(failure) => {
            greet::end_now(&process).await;
            process.wait_gone().await;
            Err(failure)
        }
    }
}
