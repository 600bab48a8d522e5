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
