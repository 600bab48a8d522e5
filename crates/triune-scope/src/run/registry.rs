//! Which run belongs to which tokio runtime.
//!
//! A runtime that is dropped drops its tasks; a sentinel task takes the run's entry along, so that an implicit run
//! leaves nothing behind.

use std::collections::HashMap;
use std::sync::OnceLock;

use tokio::runtime::{Handle, Id};

use super::Run;
use crate::lock::Mutex;

fn runs() -> &'static Mutex<HashMap<Id, Run>> {
    static RUNS: OnceLock<Mutex<HashMap<Id, Run>>> = OnceLock::new();
    RUNS.get_or_init(Mutex::default)
}

/// The run of a runtime, made with `make` at the first call.
pub(super) fn find_or_insert(runtime: &Handle, make: impl FnOnce(Handle) -> Run) -> Run {
    let id = runtime.id();
    let mut runs = runs().lock();
    if let Some(run) = runs.get(&id) {
        return run.clone();
    }
    let run = make(runtime.clone());
    runs.insert(id, run.clone());
    drop(runs);
    let sentinel = Sentinel(id);
    #[expect(clippy::disallowed_methods, reason = "it never runs, it is only dropped")]
    runtime.spawn(async move {
        let _sentinel = sentinel;
        std::future::pending::<()>().await;
    });
    run
}

/// Forgets a run.
pub(super) fn remove(id: Id) {
    let run = runs().lock().remove(&id);
    drop(run);
}

struct Sentinel(Id);

impl Drop for Sentinel {
    fn drop(&mut self) {
        remove(self.0);
    }
}
