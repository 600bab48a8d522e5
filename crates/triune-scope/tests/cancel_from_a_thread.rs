//! A cancel that comes from another thread while the cancelled task is in the middle of a poll.

use std::time::Duration;

use triune_scope::{CancelScope, FutureExt, Outcome, Result, nursery};

/// The canceller walks down the tree of scopes, and the task, which sees the flag of its topmost scope already, walks down
/// as well and may be faster. A parallel child beneath hangs from the task's own scopes: neither walk may leave it to the
/// other.
#[test]
fn a_parallel_child_hears_of_a_cancel_that_its_parent_saw_first() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for _ in 0..1_000 {
        let scope = CancelScope::new();
        let busy = nested(8, async {
            nursery(async |n| {
                n.spawn_task(async { Ok(std::future::pending::<()>().cancellable().await?) });
                loop {
                    tokio::task::yield_now().cancellable().await?;
                }
            })
            .await
        });
        let handle = scope.clone();
        let (ready, go) = std::sync::mpsc::channel();
        #[expect(clippy::disallowed_methods, reason = "it stands for a thread that triune does not know")]
        let canceller = std::thread::spawn(move || {
            go.recv().expect("the runtime's thread says when");
            handle.cancel("from elsewhere");
        });
        let end = runtime.block_on(async {
            ready.send(()).expect("the thread waits");
            tokio::time::timeout(Duration::from_secs(20), scope.run(busy)).await
        });
        canceller.join().expect("the canceller does not panic");
        let end = end.expect("the parallel child has heard of the cancel");
        assert!(matches!(&end, Outcome::Done(Err(error)) if error.is_cancelled()) || end.is_cancelled());
    }
}

/// The timer is armed by the task and the deadline is moved by a thread: neither order may leave the old one in force.
#[test]
fn a_deadline_that_is_moved_earlier_while_its_scope_is_polled_is_not_lost() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for round in 0..1_000u32 {
        let scope = CancelScope::new();
        if round % 2 == 0 {
            scope.set_timeout(Duration::from_secs(5_000));
        }
        let handle = scope.clone();
        let (ready, go) = std::sync::mpsc::channel();
        #[expect(clippy::disallowed_methods, reason = "it stands for a thread that triune does not know")]
        let mover = std::thread::spawn(move || {
            go.recv().expect("the runtime's thread says when");
            for _ in 0..(round * 37) % 3_000 {
                std::hint::spin_loop();
            }
            handle.set_timeout(Duration::from_micros(u64::from(round % 3) * 300));
        });
        let end = runtime.block_on(async {
            ready.send(()).expect("the thread waits");
            for _ in 0..(round * 53) % 3_000 {
                std::hint::spin_loop();
            }
            tokio::time::timeout(Duration::from_secs(20), scope.run(std::future::pending::<()>())).await
        });
        mover.join().expect("the thread does not panic");
        assert!(end.expect("the deadline has fired").is_cancelled());
    }
}

/// The future within so many scopes that nobody cancels.
fn nested(
    depth: u32,
    future: impl Future<Output = Result> + Send + 'static,
) -> std::pin::Pin<Box<dyn Future<Output = Result> + Send>> {
    if depth == 0 {
        return Box::pin(future);
    }
    let inner = nested(depth - 1, future);
    Box::pin(async move {
        match CancelScope::new().run(inner).await {
            Outcome::Done(result) => result,
            Outcome::Cancelled(_) => Ok(triune_scope::checkpoint().await?),
        }
    })
}
