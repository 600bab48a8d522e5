//! `#[triune::test]` takes a census at its end: objects of the runtime that outlive the test fail it, in debug builds.

#![cfg(debug_assertions)]

use std::sync::OnceLock;

use triune::prelude::*;
use triune::{CancelScope, Run};

#[triune::test]
#[should_panic(expected = "there live 1 scopes")]
async fn a_scope_that_outlives_its_test_fails_it() {
    static LEAK: OnceLock<CancelScope> = OnceLock::new();
    LEAK.get_or_init(CancelScope::new);
}

// Trio Z14
#[triune::test(worker_threads = 2)]
async fn nothing_lives_after_errors_threads_and_a_dropped_nursery() -> Result {
    let failed = nursery(async |n| {
        n.spawn_task(async { Ok(std::future::pending::<()>().cancellable().await?) });
        n.spawn_blocking(|b| {
            while !b.is_cancelled() {
                std::thread::yield_now();
            }
            Ok(())
        });
        n.spawn(async { Err::<(), _>(Error::msg("no")) });
        Ok(())
    });
    assert!(failed.await.is_err());

    let (started, running) = tokio::sync::oneshot::channel();
    let mut dropped = Box::pin(nursery(async |n| {
        n.spawn_task(async move {
            let _nobody_asks = started.send(());
            std::future::pending::<Result>().await
        });
        Ok(())
    }));
    tokio::select! {
        biased;
        _ = &mut dropped => unreachable!("its child is parked"),
        started = running => started?,
    }
    drop(dropped);
    Run::current().spawn_system("parked", std::future::pending());
    Ok(())
}
