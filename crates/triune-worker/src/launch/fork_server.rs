//! Copies of a process that has loaded what all of them share.
//!
//! A pool has at most one fork server at a time, started with its first worker and tended by a system task of the run, which
//! ends it when the pool takes no more jobs and its last worker is gone. Whoever needs a worker meanwhile waits for it.
//!
//! Invariants:
//! 1. A fork server that has ended, or could not be started, is forgotten before anybody is told: who tries again
//!    begins another one.
//! 2. The pool is not empty while there is a fork server.

use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::SetOnce;
use triune_process::{FORK_SERVER, ForkServer, Process, Spec, StartError};
use triune_scope::{FutureExt as _, Run, shield_unbounded};

use super::{Launcher, greet, nesting};
use crate::loan::Lent;
use crate::pool::{Closing, PoolCore};
use crate::setup::Setup;
use crate::supervise::leave;
use crate::worker::{StartFailure, Worker};

/// How often a fork server may die just when it is asked for a worker.
const ATTEMPTS: usize = 5;

/// The launcher of one pool.
#[derive(Debug, Default)]
pub(super) struct Forking {
    current: Arc<Current>,
}

/// The fork server that there is.
#[derive(Debug, Default)]
struct Current(Mutex<Option<Arc<Server>>>);

/// One fork server from the decision to start it.
#[derive(Debug, Default)]
struct Server {
    /// Set when it takes orders, or will never.
    up: SetOnce<Result<ForkServer, StartFailure>>,
}

impl Current {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<Server>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get_or_begin(self: &Arc<Self>, pool: &Arc<PoolCore>) -> Arc<Server> {
        let mut current = self.lock();
        if let Some(server) = &*current {
            return Arc::clone(server);
        }
        let server = Arc::new(Server::default());
        *current = Some(Arc::clone(&server));
        drop(current);
        pool.server_begins();
        Run::current()
            .spawn_system("fork server", tend(Arc::clone(pool), Arc::clone(self), Arc::clone(&server)));
        server
    }

    fn forget(&self, server: &Arc<Server>) {
        let mut current = self.lock();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, server)) {
            *current = None;
        }
    }
}

impl Launcher for Forking {
    fn launch<'a>(
        &'a self,
        pool: &'a Arc<PoolCore>,
        worker: &'a Worker,
        spec: Spec,
    ) -> BoxFuture<'a, Result<(Process, UnixStream), StartFailure>> {
        async move {
            for _ in 0..ATTEMPTS {
                let server = self.current.get_or_begin(pool);
                let up = tokio::select! {
                    biased;
                    () = worker.doomed() => return Err(StartFailure::Doomed),
                    up = server.up.wait() => up.clone()?,
                };
                match up.fork(spec.clone()).await {
                    Ok(Some(forked)) => return Ok(forked),
                    // Nothing of it has run: it is asked again, or another one.
                    Ok(None) if up.process().try_exit().is_some() => self.current.forget(&server),
                    Ok(None) => {}
                    Err(error) => return Err(StartFailure::Failed(error)),
                }
            }
            let why = std::io::Error::other("the fork server dies whenever it is asked for a worker");
            Err(StartFailure::Failed(StartError::spawn(&worker.name, why)))
        }
        .boxed()
    }
}

/// Lives as long as the fork server.
///
/// # Cancel safety
///
/// A cancel closes the pool, and the future returns when the process is reaped. Dropping it kills the process.
async fn tend(pool: Arc<PoolCore>, current: Arc<Current>, server: Arc<Server>) {
    {
        let mut life = pin!(shield_unbounded(live(&pool, &current, &server)));
        let stopped = std::future::pending::<()>().cancellable();
        tokio::select! {
            biased;
            () = &mut life => {}
            _cancelled = stopped => {
                pool.close(Closing::AfterUncancellable);
                life.await;
            }
        }
    }
    pool.server_ended();
}

/// # Cancel safety
///
/// As [`tend`].
async fn live(pool: &PoolCore, current: &Current, server: &Arc<Server>) {
    let up = match start(pool).await {
        Ok(up) => up,
        Err(failure) => {
            current.forget(server);
            // It is set once.
            let _first = server.up.set(Err(failure));
            return;
        }
    };
    let process = up.process().clone();
    // It is set once.
    let _first = server.up.set(Ok(up.clone()));
    tokio::select! {
        biased;
        exit = process.wait() => {
            current.forget(server);
            let (pid, name) = (process.pid(), process.name());
            tracing::warn!(pid, name, %exit, "the fork server has died; the next start begins another one");
            process.wait_gone().await;
        }
        () = pool.needs_no_server() => {
            current.forget(server);
            up.dismiss();
            leave(pool, &process, std::future::pending(), |_| ()).await;
            process.wait_gone().await;
        }
    }
}

/// # Cancel safety
///
/// Dropping it kills the process.
async fn start(pool: &PoolCore) -> Result<ForkServer, StartFailure> {
    // While it loads it does not hear of the end of its owner.
    let spec = Spec::new(FORK_SERVER, FORK_SERVER).stdio(pool.settings.stdio).orphan_grace(Duration::ZERO);
    let spec = nesting::deeper(spec, FORK_SERVER).map_err(StartFailure::Failed)?;
    let (server, stream) = ForkServer::start(spec).await.map_err(StartFailure::Failed)?;
    let process = server.process();
    let greeted = async {
        let (link, mut driver) = greet::shake_hands(
            process,
            stream,
            greet::config(process, &pool.settings),
            pool.needs_no_server(),
        )
        .await?;
        let setup = Setup::of_fork_server(&pool.settings);
        Lent::new(link.clone()).lend(pool.settings.preload.iter().map(|step| &step.kept));
        greet::set_up(process, &link, &mut driver, setup.call(), pool.needs_no_server()).await.map_err(
            |failure| match failure {
                greet::NotSetUp::Failed(report) => StartFailure::Preload(report),
                greet::NotSetUp::Died(died) => StartFailure::PreloadDied(died),
                greet::NotSetUp::Doomed => StartFailure::Doomed,
            },
        )
    };
    match greeted.await {
        // The link is not needed any more; its orders come by another way.
        Ok(()) => Ok(server),
        Err(failure) => {
            greet::end_now(process).await;
            process.wait_gone().await;
            Err(failure)
        }
    }
}
