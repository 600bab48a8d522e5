//! How the process of a worker comes to be: one launcher for each [`WorkerKind`](crate::WorkerKind).
//!
//! Owns everything from "a worker is wanted" to "it can be given jobs": the process, the handshake, the first call. Does not
//! own: what becomes of the worker from then on (`supervise`), nor the processes themselves (`triune-process`).
//!
//! * `spawn`: this program, started again;
//! * `fork_server`: a copy of a process that has loaded what all of them share;
//! * `program`: another program, which says in its hello what it serves;
//! * `greet`: handshake and set-up, the same for all;
//! * `nesting`: how deep pools may be nested.

mod fork_server;
mod greet;
mod nesting;
mod program;
mod spawn;

use std::fmt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
pub(crate) use greet::end_now;
use triune_ipc::{Driver, Heartbeat, Link};
use triune_process::{OomKills, PROGRAM, Process, Spec};

use crate::by_name::Targets;
use crate::config::{Settings, WorkerKind};
use crate::loan::Lent;
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
    match &settings.kind {
        WorkerKind::Spawn => Box::new(spawn::Spawn),
        WorkerKind::ForkServer => Box::new(fork_server::Forking::default()),
        WorkerKind::Program(program) => Box::new(program::Another(program.clone())),
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
    let setup = match pool.settings.kind {
        WorkerKind::Program(_) => None,
        _ => Setup::of(&pool.settings),
    };
    let spec = nesting::deeper(spec(pool, worker, setup.is_some()), &worker.name);
    let spec = spec.map_err(StartFailure::Failed)?;
    let (process, stream) = pool.launcher.launch(pool, worker, spec).await?;
    // While it boots.
    let oom_kills = OomKills::note();
    match greet(pool, worker, &process, stream, setup).await {
        Ok(Greeted { link, lent, targets, driver }) => {
            Ok((Connection { process, link, lent, targets, oom_kills }, driver))
        }
        Err(failure) => {
            greet::end_now(&process).await;
            process.wait_gone().await;
            Err(match (failure, &pool.settings.kind) {
                // Now everything is read that it has written.
                (StartFailure::Failed(error), WorkerKind::Program(program)) => {
                    StartFailure::Failed(error.of_program(program, process.stderr_tail()))
                }
                (failure, _) => failure,
            })
        }
    }
}

/// What process to start.
fn spec(pool: &PoolCore, worker: &Worker, is_set_up: bool) -> Spec {
    let role = if matches!(pool.settings.kind, WorkerKind::Program(_)) { PROGRAM } else { ROLE };
    let mark = if is_set_up { setup::COMES } else { setup::COMES_NOT };
    let spec = Spec::new(role, worker.name.as_str()).env(setup::VARIABLE, mark);
    // Nobody is left who could want its results.
    pool.limited.put_on(spec).stdio(pool.settings.stdio).orphan_grace(Duration::ZERO)
}

/// A worker that can be given jobs.
struct Greeted {
    link: Link,
    lent: Arc<Lent>,
    targets: Targets,
    driver: Driver,
}

/// # Cancel safety
///
/// Dropping it leaves the process to its owner.
async fn greet(
    pool: &PoolCore,
    worker: &Worker,
    process: &Process,
    stream: UnixStream,
    setup: Option<Setup>,
) -> Result<Greeted, StartFailure> {
    let settings = &pool.settings;
    let mut config = greet::config(process, settings);
    config.spin = settings.spin;
    config.heartbeat = settings.stall_timeout.map(Heartbeat::listening);
    let (link, mut driver) = greet::shake_hands(process, stream, config, worker.doomed()).await?;
    pool.limited.judge(process.name(), link.peer()).map_err(StartFailure::Failed)?;
    let targets = match &settings.kind {
        WorkerKind::Program(program) => {
            Targets::by_name(format!("{}, which is `{program}`", worker.name), link.peer())
        }
        _ => Targets::ByPlace,
    };
    let first = match (setup, &settings.init) {
        (Some(setup), _) => Some(setup.call()),
        (None, Some(init)) => {
            let target = init.target(&targets).map_err(StartFailure::Init)?;
            Some((target, init.arguments.clone()))
        }
        (None, None) => None,
    };
    let lent = Lent::new(link.clone());
    if let Some(call) = first {
        lent.lend(settings.init.iter().map(|step| &step.kept));
        greet::set_up(process, &link, &mut driver, call, worker.doomed()).await.map_err(|failure| {
            match failure {
                greet::NotSetUp::Failed(report) => StartFailure::Init(report),
                greet::NotSetUp::Died(died) => StartFailure::InitDied(died),
                greet::NotSetUp::Doomed => StartFailure::Doomed,
            }
        })?;
    }
    Ok(Greeted { link, lent, targets, driver })
}
