//! Another program.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use triune_process::{Process, Program, Spec};

use super::Launcher;
use crate::pool::PoolCore;
use crate::worker::{StartFailure, Worker};

#[derive(Debug)]
pub(super) struct Another(pub(super) Program);

impl Launcher for Another {
    fn launch<'a>(
        &'a self,
        _pool: &'a Arc<PoolCore>,
        _worker: &'a Worker,
        spec: Spec,
    ) -> BoxFuture<'a, Result<(Process, UnixStream), StartFailure>> {
        let spec = spec.program(self.0.clone());
        async {
            let started = triune_process::spawn(spec).await;
            started.map_err(|error| StartFailure::Failed(error.of_program(&self.0, String::new())))
        }
        .boxed()
    }
}
