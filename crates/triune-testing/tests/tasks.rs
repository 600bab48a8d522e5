//! Sequencer, hard stops and census, also where they have to fail.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;

use futures_util::FutureExt as _;
use triune_scope::{CancelScope, FutureExt as _, Result, Run, nursery};
use triune_testing::{
    SequenceBroken, Sequencer, census, deny_hard_stop, settle, shuffle_children_with, watch_hard_stops,
};

async fn parked_in_foreign_await() -> Result {
    std::future::pending().await
}

#[tokio::test]
async fn steps_run_in_their_order_whoever_takes_them() {
    let (order, record) = (Sequencer::new(), Mutex::new(Vec::new()));
    nursery(async |n| {
        for numbers in [[4, 5], [0, 3], [1, 2]] {
            let (order, record) = (&order, &record);
            n.spawn(async move {
                for number in numbers {
                    let _step = order.step(number).await?;
                    tokio::task::yield_now().await;
                    record.lock().unwrap().push(number);
                }
                Ok(())
            });
        }
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(*record.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_cancelled_step_breaks_the_sequence_instead_of_stalling_it() {
    let order = Sequencer::new();
    let scope = CancelScope::new();
    nursery(async |n| {
        let later = n.spawn(async { Ok(order.step(2).await.map(drop)) });
        let given_up =
            n.spawn(async { Ok(scope.run(order.step(1)).await.done().map(|step| step.map(drop))) });
        settle().await?;
        scope.cancel("enough");
        assert!(given_up.await?.unwrap().unwrap_err().is_cancelled());
        assert!(later.await?.unwrap_err().is::<SequenceBroken>());
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn only_what_was_cut_off_counts_as_a_hard_stop() {
    let watch = watch_hard_stops();
    nursery(async |n| {
        n.spawn_named("graceful", parked_in_foreign_await().cancellable().map(|end| end?));
        n.spawn_named("in-task", parked_in_foreign_await());
        n.spawn_task(parked_in_foreign_await());
        settle().await?;
        n.cancel("enough");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(watch.count(), 2);
    let seen = watch.seen();
    assert!(seen.iter().any(|stop| stop.task().is_some_and(|task| task.name() == "in-task")));
    assert!(seen.iter().all(|stop| stop.location().unwrap().file().ends_with("tasks.rs")));
    assert!(seen[0].to_string().contains("enough"), "{}", seen[0]);
}

#[tokio::test]
async fn a_denied_hard_stop_panics_after_the_drop_and_names_the_task() {
    let (canary, probe) = triune_testing::Canary::new("the local");
    let denied = deny_hard_stop();
    let cut_off = nursery(async |n| {
        n.spawn_named("careless", async move {
            let _local = canary;
            parked_in_foreign_await().await
        });
        settle().await?;
        n.cancel("enough");
        Ok(())
    });
    let payload = AssertUnwindSafe(cut_off).catch_unwind().await.unwrap_err();
    let message = payload.downcast_ref::<String>().unwrap();
    assert!(message.contains("careless") && message.contains("tasks.rs"), "{message}");
    assert!(message.contains(".cancellable()"), "{message}");
    probe.assert_dead();

    drop(denied);
    let allowed = nursery(async |n| {
        n.spawn(parked_in_foreign_await());
        settle().await?;
        n.cancel("enough");
        Ok(())
    });
    allowed.await.unwrap();
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn the_census_sees_what_lives_and_is_what_it_was_afterwards() {
    let _run = Run::current();
    let before = census().unwrap();
    nursery(async |n| {
        n.spawn(async {
            std::future::pending::<()>().cancellable().await?;
            Ok(())
        });
        n.spawn_blocking(|_| Ok(())).await?;
        settle().await?;
        let during = census().unwrap();
        assert_eq!((during.nurseries - before.nurseries, during.tasks - before.tasks), (1, 1));
        assert!(during.scopes > before.scopes);
        n.cancel("seen");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(census().unwrap(), before);
}

// Trio K13
#[tokio::test]
async fn the_order_of_children_is_that_of_their_starts_unless_a_seed_shuffles_it() {
    async fn trace() -> Vec<(usize, usize)> {
        let record = Mutex::new(Vec::new());
        nursery(async |n| {
            for child in 0..5 {
                let record = &record;
                n.spawn(async move {
                    for turn in 0..50 {
                        record.lock().unwrap().push((child, turn));
                        tokio::task::yield_now().await;
                    }
                    Ok(())
                });
            }
            Ok(())
        })
        .await
        .unwrap();
        record.into_inner().unwrap()
    }
    let plain = trace().await;
    assert!(plain.iter().take(5).map(|(child, _)| *child).eq(0..5));
    let mut different = 0;
    for seed in 0..10 {
        let mut traces = Vec::new();
        for _ in 0..2 {
            let shuffled = shuffle_children_with(seed);
            assert_eq!(shuffled.seed(), seed);
            traces.push(trace().await);
        }
        assert_eq!(traces[0], traces[1], "a seed is a replay");
        different += usize::from(traces[0] != plain);
    }
    assert!(different > 5);
    assert_eq!(trace().await, plain, "the guard has ended it");
}
