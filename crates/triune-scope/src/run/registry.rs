//! Which run belongs to which tokio runtime.
//!
//! A runtime that is dropped drops its tasks; a sentinel task takes the run's entry along, so that an implicit run
//! leaves nothing behind.
//!
//! Each thread remembers the run that it asked for last, weakly: nurseries ask whenever they open.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::{Handle, Id};

use super::handle::{Run, WeakRun};
use crate::lock::Mutex;

fn runs() -> &'static Mutex<HashMap<Id, Run>> {
    static RUNS: OnceLock<Mutex<HashMap<Id, Run>>> = OnceLock::new();
    RUNS.get_or_init(Mutex::default)
}

/// How many runs were forgotten: what a thread remembers from before that may be one of them.
static FORGOTTEN: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The run that this thread asked for last, which it hardly ever changes, and [`FORGOTTEN`] at that time.
    static LAST: RefCell<Option<(Id, u64, WeakRun)>> = const { RefCell::new(None) };
}

/// The run of a runtime, made with `make` at the first call.
pub(super) fn find_or_insert(runtime: &Handle, make: impl FnOnce(Handle) -> Run) -> Run {
    let id = runtime.id();
    // Before the look, so that what is forgotten meanwhile is not remembered.
    let forgotten = FORGOTTEN.load(Ordering::Acquire);
    let last = LAST.try_with(|last| match &*last.borrow() {
        Some((of, before, run)) if *of == id && *before == forgotten => run.upgrade(),
        _ => None,
    });
    if let Ok(Some(run)) = last {
        return run;
    }
    let run = look_up(runtime, make);
    let old = LAST.try_with(|last| last.borrow_mut().replace((id, forgotten, run.downgrade())));
    drop(old);
    run
}

fn look_up(runtime: &Handle, make: impl FnOnce(Handle) -> Run) -> Run {
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
    FORGOTTEN.fetch_add(1, Ordering::AcqRel);
    drop(run);
}

struct Sentinel(Id);

impl Drop for Sentinel {
    fn drop(&mut self) {
        remove(self.0);
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use crate::run::Run;

    #[tokio::test]
    async fn a_run_that_was_closed_is_not_found_again() {
        let closed = Run::current();
        closed.cancel("over");
        closed.close().await;
        assert!(Run::current().cancel_reason().is_none(), "this is another run");
    }

    #[test]
    fn a_thread_that_goes_from_runtime_to_runtime_finds_the_run_of_each() {
        let [one, two] = [(); 2].map(|()| Builder::new_current_thread().build().unwrap());
        one.block_on(async { Run::current().cancel("one") });
        for _ in 0..2 {
            assert!(two.block_on(async { Run::current().cancel_reason() }).is_none());
            assert!(one.block_on(async { Run::current().cancel_reason() }).is_some());
        }
    }
}
