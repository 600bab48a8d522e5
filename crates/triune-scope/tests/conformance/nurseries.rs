//! Group N: what a nursery does with its body, its children and the scopes around them.
//!
//! The rest of the group is in `tests/nursery.rs`, `nursery_options.rs` and `dropped.rs`.

use std::borrow::Cow;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use triune_scope::{
    CancelScope, Error, NurseryMoved, NurseryState, Outcome, Result, current_task, is_cancelled,
    move_on_after, nursery, sleep, tree,
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

/// What the tree shows of the nurseries of the task `opener`.
fn nurseries() -> Vec<String> {
    let tree = tree();
    let opener = tree.tasks().iter().find(|task| task.info.name() == "opener").unwrap();
    let name = |nursery: &NurseryState| nursery.name.clone().map_or_else(String::new, Cow::into_owned);
    opener.nurseries.iter().map(name).collect()
}

on_both_runtimes! {
    // Trio N25
    async fn the_open_nurseries_of_a_task_are_shown_from_the_outermost_in() {
        let opener = async {
            assert_eq!(nurseries(), [""; 0]);
            nursery(async |_| {
                assert_eq!(nurseries(), ["first"]);
                let failing = nursery(async |n| {
                    assert_eq!(nurseries(), ["first", "second"]);
                    n.cancel("enough");
                    let tree = tree();
                    let opener = tree.tasks().iter().find(|task| task.info.name() == "opener").unwrap();
                    assert_eq!(opener.nurseries[1].location, n.location());
                    assert_eq!(opener.nurseries.iter().filter(|nursery| nursery.cancelled.is_some()).count(), 1);
                    Err::<(), _>(Error::msg("no"))
                });
                assert!(failing.named("second").await.is_err());
                assert_eq!(nurseries(), ["first"]);
                Ok(())
            })
            .named("first")
            .await?;
            assert_eq!(nurseries(), [""; 0]);
            nursery(async |_| {
                assert_eq!(nurseries(), [""]);
                Ok(())
            })
            .await
        };
        nursery(async |n| n.spawn_named("opener", opener).await).await.unwrap();
    }
}

/// Polls a future once.
async fn strand<F: Future + Unpin>(future: &mut F) {
    assert!(futures_util::poll!(future).is_pending());
}

/// A nursery that waits, and says how it ended.
fn waiting(
    cleaned: &Arc<AtomicUsize>,
) -> Pin<Box<dyn Future<Output = triune_scope::Result> + Send + 'static>> {
    let cleaned = Arc::clone(cleaned);
    Box::pin(nursery(async move |n| {
        n.spawn(async move {
            let end = block().await;
            cleaned.fetch_add(1, Ordering::Relaxed);
            Ok(end?)
        });
        Ok(())
    }))
}

on_both_runtimes! {
    // Trio N36
    #[expect(clippy::disallowed_methods, reason = "the tasks of others are what this is about")]
    async fn a_nursery_that_is_moved_to_another_task_cancels_its_children_and_says_so() {
        let cleaned = Arc::new(AtomicUsize::new(0));
        let is_refused = |end: triune_scope::Result| {
            let error = end.unwrap_err();
            let moved = error.downcast_ref::<NurseryMoved>().expect("it says so");
            assert!(moved.to_string().contains("moved to another task"), "{error:#}");
            moved.first_task().map(|task| task.name().to_owned())
        };
        // From one child to another.
        let (give, take) = tokio::sync::oneshot::channel();
        let moved = cleaned.clone();
        let first = nursery(async |n| {
            n.spawn_named("first", async move {
                let mut open = waiting(&moved);
                strand(&mut open).await;
                let _sent = give.send(open);
                Ok(block().await?)
            });
            let end = n.spawn_task(async { Ok(take.await?.await) }).await?;
            n.cancel("seen");
            Ok(is_refused(end))
        });
        assert_eq!(first.await.unwrap().as_deref(), Some("first"));
        // Out of a scope into a plain task of tokio.
        let mut open = waiting(&cleaned);
        let _done = CancelScope::new().run(strand(&mut open)).await;
        assert_eq!(is_refused(tokio::spawn(open).await.unwrap()), None);
        assert_eq!(cleaned.load(Ordering::Relaxed), 2, "the children may clean up");
    }

    #[expect(clippy::disallowed_methods, reason = "the tasks of others are what this is about")]
    async fn a_nursery_may_move_with_its_scope_and_where_there_is_none() {
        let cleaned = Arc::new(AtomicUsize::new(0));
        let scope = CancelScope::new();
        let mut with_scope = Box::pin(scope.run(waiting(&cleaned)));
        strand(&mut with_scope).await;
        let moved = tokio::spawn(with_scope);
        tokio::task::yield_now().await;
        scope.cancel("enough");
        assert!(moved.await.unwrap().done().unwrap().is_ok(), "a cancel is no error where the body was done");

        let (open, handle) = tokio::sync::oneshot::channel();
        let mut free = Box::pin(nursery(async move |n| {
            let _sent = open.send(n.scope().clone());
            Ok(block().await?)
        }));
        strand(&mut free).await;
        let moved = tokio::spawn(free);
        handle.await.unwrap().cancel("enough");
        assert!(moved.await.unwrap().unwrap_err().is_cancelled());
        assert_eq!(cleaned.load(Ordering::Relaxed), 1);
    }
}
