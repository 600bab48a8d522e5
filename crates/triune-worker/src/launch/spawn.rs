//! This program, started again.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use triune_process::{Process, Spec};

use super::Launcher;
use crate::pool::PoolCore;
use crate::worker::{StartFailure, Worker};

/// The default.
#[derive(Debug)]
pub(super) struct Spawn;

impl Launcher for Spawn {
    fn launch<'a>(
        &'a self,
        _pool: &'a Arc<PoolCore>,
        _worker: &'a Worker,
        spec: Spec,
    ) -> BoxFuture<'a, Result<(Process, UnixStream), StartFailure>> {
        async { triune_process::spawn(spec).await.map_err(StartFailure::Failed) }.boxed()
    }
}
