//! Group N: what a nursery does with its body, its children and the scopes around them.
//!
//! The rest of the group is in `tests/nursery.rs`, `nursery_options.rs` and `dropped.rs`.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;
use triune_scope::{
    CancelScope, Outcome, Result, current_task, is_cancelled, move_on_after, nursery, sleep, tree,
};

use super::{block, on_both_runtimes};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn nap(seconds: u64) -> Result {
    Ok(sleep(secs(seconds)).await?)
}

on_both_runtimes! {
    // Trio N02
    async fn an_empty_nursery_in_a_cancelled_scope_ends_as_in_any_other() {
        let scope = CancelScope::new();
        scope.cancel("before");
        let ended = scope.run(async {
            nursery(async |_| Ok(())).await.unwrap();
            is_cancelled()
        });
        assert_eq!(ended.await, Outcome::Done(true));
    }

    // Trio N24
    async fn the_parent_of_a_child_is_the_task_that_opened_the_nursery() {
        nursery(async |n| {
            let opener = n.spawn_named(
                "opener",
                nursery(async |inner| {
                    let me = current_task().unwrap();
                    assert_eq!(me.name(), "opener", "the body is part of the task that awaits the nursery");
                    let parent = inner.spawn(async {
                        let child = current_task().unwrap();
                        let tree = tree();
                        let found = tree.tasks().iter().find(|task| task.info.id() == child.id());
                        Ok(found.expect("a task that runs is in the tree").parent)
                    });
                    Ok((parent.await?, me.id()))
                }),
            );
            let (parent, me) = opener.await?;
            assert_eq!(parent, Some(me));
            Ok(())
        })
        .await
        .unwrap();
    }
}

// Trio N02, where it must be a schedule point as well
#[tokio::test]
async fn a_loop_of_empty_nurseries_lets_others_run() {
    let scope = CancelScope::new();
    scope.cancel("before");
    let done = Cell::new(false);
    let loops = scope.run(async {
        while !done.get() {
            nursery(async |_| Ok(())).await.unwrap();
        }
    });
    let (outcome, ()) = tokio::join!(loops, async { done.set(true) });
    assert_eq!(outcome, Outcome::Done(()));
}

// Trio N19
#[tokio::test(start_paused = true)]
async fn the_value_of_the_body_is_given_when_the_children_have_ended() {
    let start = Instant::now();
    let value = nursery(async |n| {
        n.spawn(nap(3));
        Ok("ret")
    });
    assert_eq!(value.await.unwrap(), "ret");
    assert_eq!(start.elapsed(), secs(3));
}

// Trio N22
#[tokio::test(start_paused = true)]
async fn a_timeout_around_a_spawn_does_not_reach_the_child() {
    let start = Instant::now();
    nursery(async |n| {
        move_on_after(secs(1), async {
            n.spawn(nap(5));
            nap(2).await
        })
        .await;
        assert_eq!(start.elapsed(), secs(1));
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(start.elapsed(), secs(5));
}

// Trio N23
#[tokio::test(start_paused = true)]
async fn a_timeout_of_the_spawning_task_does_not_reach_the_child() {
    let start = Instant::now();
    nursery(async |n| {
        let handle = n.clone();
        n.spawn(async move {
            let parked = move_on_after(secs(1), async {
                handle.spawn(nap(5));
                handle.spawn_task(nap(5));
                block().await
            });
            assert!(parked.await.is_none());
            Ok(())
        });
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(start.elapsed(), secs(5));
}
