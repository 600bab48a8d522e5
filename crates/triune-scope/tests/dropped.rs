//! A nursery that foreign code drops: in-task children go with it, parallel ones are cancelled, the run waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use triune_scope::{
    CancelScope, Cause, ChildError, ChildErrorKind, FutureExt as _, Run, cancel_reason, nursery,
    shield_unbounded,
};

// Trio N35
#[tokio::test]
async fn the_run_waits_for_the_parallel_children_of_a_dropped_nursery() {
    let cleaned = Arc::new(AtomicUsize::new(0));
    let started = Arc::new(tokio::sync::Semaphore::new(0));
    let open = nursery(async |n| {
        for _ in 0..3 {
            let (cleaned, started) = (Arc::clone(&cleaned), Arc::clone(&started));
            n.spawn_task(async move {
                started.add_permits(1);
                let end = std::future::pending::<()>().cancellable().await.unwrap_err();
                assert_eq!(end.reason().cause(), &Cause::Dropped);
                shield_unbounded(tokio::task::yield_now()).await;
                cleaned.fetch_add(1, Ordering::Relaxed);
                Err::<(), _>(end.into())
            });
        }
        std::future::pending::<()>().await;
        Ok(())
    });
    tokio::select! {
        biased;
        _ = open => unreachable!("it never ends by itself"),
        _ = started.acquire_many(3) => {}
    }
    Run::current().close().await;
    assert_eq!(cleaned.load(Ordering::Relaxed), 3);
}

/// The run waits for its child, not the scope around it.
#[tokio::test]
async fn a_dropped_nursery_holds_up_no_cancel() {
    let (scope, over) = (CancelScope::new(), Arc::new(tokio::sync::Semaphore::new(0)));
    let awaited = Arc::clone(&over);
    let end = scope.run(async {
        let mut open = Box::pin(nursery(async |n| {
            n.spawn_task(async move {
                drop(shield_unbounded(awaited.acquire()).await);
                Ok(())
            });
            Ok(())
        }));
        assert!(futures_util::poll!(&mut open).is_pending());
        tokio::task::yield_now().await;
        drop(open);
        scope.cancel("now");
        std::future::pending::<()>().await;
    });
    let end = tokio::time::timeout(std::time::Duration::from_secs(20), end).await;
    assert!(end.expect("nobody is held").is_cancelled());
    over.add_permits(1);
    Run::current().close().await;
}

#[tokio::test]
async fn children_in_this_task_are_dropped_with_the_nursery() {
    let canary = Arc::new(());
    let open = nursery(async |n| {
        let held = Arc::clone(&canary);
        let child = n.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
            Ok(())
        });
        child.await
    });
    let mut open = Box::pin(open);
    assert!(futures_util::poll!(&mut open).is_pending());
    assert_eq!(Arc::strong_count(&canary), 2);
    drop(open);
    assert_eq!(Arc::strong_count(&canary), 1);
}

#[tokio::test]
async fn a_child_that_never_ran_is_told_to_its_waiter() {
    let slot = std::sync::Mutex::new(None);
    let open = nursery(async |n| {
        *slot.lock().unwrap() = Some(n.spawn(async { Ok(()) }));
        std::future::pending::<()>().await;
        Ok(())
    });
    drop(open);
    assert!(slot.into_inner().unwrap().is_none(), "a nursery that is never polled runs no body");

    let slot = std::sync::Mutex::new(None);
    let mut open = Box::pin(nursery(async |n| {
        *slot.lock().unwrap() = Some(n.spawn(async {
            std::future::pending::<()>().await;
            Ok(())
        }));
        std::future::pending::<()>().await;
        Ok(())
    }));
    assert!(futures_util::poll!(&mut open).is_pending());
    drop(open);
    let child = slot.into_inner().unwrap().unwrap();
    let error = child.await.unwrap_err();
    assert_eq!(error.downcast_ref::<ChildError>().unwrap().kind(), &ChildErrorKind::Abandoned);
}

// Trio R04
#[tokio::test]
async fn system_tasks_end_with_the_run() {
    let run = Run::current();
    let reason = Arc::new(std::sync::Mutex::new(None));
    let seen = Arc::clone(&reason);
    run.spawn_system("service", async move {
        let _cancelled = std::future::pending::<()>().cancellable().await;
        *seen.lock().unwrap() = cancel_reason();
    });
    tokio::task::yield_now().await;
    run.close().await;
    assert_eq!(reason.lock().unwrap().as_ref().unwrap().cause(), &Cause::Shutdown);
}

#[tokio::test]
async fn an_extension_is_made_once_per_run() {
    let run = Run::current();
    let first = run.extension(|| AtomicUsize::new(1));
    let second = run.extension(|| AtomicUsize::new(2));
    assert!(Arc::ptr_eq(&first, &second));
    run.close().await;
    assert!(Run::current().find_extension::<AtomicUsize>().is_none());
}

#[test]
fn an_implicit_run_goes_with_its_runtime() {
    let canary = Arc::new(());
    let held = Arc::clone(&canary);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        Run::current().extension(|| held);
    });
    assert_eq!(Arc::strong_count(&canary), 2);
    drop(runtime);
    assert_eq!(Arc::strong_count(&canary), 1);
}
