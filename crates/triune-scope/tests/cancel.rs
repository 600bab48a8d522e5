//! Scopes and delivery. Ids name the cases of the conformance list.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use triune_scope::{
    CancelScope, Cause, FutureExt as _, Outcome, cancel_reason, checkpoint, is_cancelled, nursery, shield,
    shield_unbounded, sleep,
};

async fn forever() {
    std::future::pending::<()>().await;
}

// Trio C02, C20, C25
#[tokio::test]
async fn a_cancel_holds_until_the_scope_ends_and_only_at_awaits() {
    let scope = CancelScope::new();
    let inside = scope.clone();
    let outcome = scope
        .run(async move {
            inside.cancel("stop");
            assert!(is_cancelled(), "code without an await runs on");
            assert!(forever().cancellable().await.is_err());
            assert!(forever().cancellable().await.is_err());
            shield_unbounded(async { assert!(checkpoint().await.is_ok()) }).await;
            assert!(checkpoint().await.is_err());
            3
        })
        .await;
    assert_eq!(outcome, Outcome::Done(3));
    assert!(!is_cancelled() && checkpoint().await.is_ok(), "nothing leaks out");
}

// Trio C03, C04, C07
#[tokio::test]
async fn a_scope_may_be_cancelled_before_it_is_entered_and_after_it_ended() {
    let scope = CancelScope::new();
    scope.cancel("early");
    assert!(scope.run(forever()).await.is_cancelled());
    let scope = CancelScope::new();
    assert_eq!(scope.run(async { 1 }).await, Outcome::Done(1));
    scope.cancel("late");
    assert!(scope.cancel_called() && checkpoint().await.is_ok());
}

// Trio C06
#[tokio::test]
#[should_panic(expected = "entered once")]
async fn a_scope_is_entered_once() {
    let scope = CancelScope::new();
    let _first = scope.run(async {}).await;
    let _second = scope.run(async {}).await;
}

// Trio C08
#[tokio::test]
async fn the_outermost_cancelled_scope_ends_first_what_is_inside_cannot_go_on() {
    let (one, two, three) = (CancelScope::new(), CancelScope::new(), CancelScope::new());
    let (cancel_two, cancel_three) = (two.clone(), three.clone());
    let after_three = Cell::new(false);
    let outcome = one
        .run(async {
            let inner = two
                .run(async {
                    let innermost = three
                        .run(async {
                            cancel_three.cancel("three");
                            cancel_two.cancel("two");
                            forever().await;
                        })
                        .await;
                    assert!(innermost.is_cancelled());
                    after_three.set(true);
                    forever().await;
                })
                .await;
            assert!(matches!(inner, Outcome::Cancelled(reason) if reason.message() == "two"));
            checkpoint().await
        })
        .await;
    assert_eq!(outcome, Outcome::Done(Ok(())), "the outer scope was not cancelled");
    assert!(after_three.get());
}

// Trio C33, C34
#[tokio::test]
async fn the_first_reason_wins_and_is_seen_beneath() {
    let scope = CancelScope::new();
    scope.cancel("a");
    scope.cancel("b");
    assert_eq!(scope.reason().unwrap().message(), "a");
    let seen = scope
        .run(nursery(async |_| {
            let reason = cancel_reason().unwrap();
            assert_eq!((reason.cause(), reason.message()), (&Cause::Explicit, "a"));
            Ok(())
        }))
        .await;
    assert!(matches!(seen, Outcome::Done(Ok(()))));
}

#[tokio::test]
async fn a_foreign_await_is_dropped_and_its_destructor_sees_the_scope() {
    struct Canary<'a>(&'a Cell<bool>);
    impl Drop for Canary<'_> {
        fn drop(&mut self) {
            self.0.set(is_cancelled());
        }
    }
    let dropped = Cell::new(false);
    let scope = CancelScope::new();
    scope.cancel("now");
    let outcome = scope
        .run(async {
            let _canary = Canary(&dropped);
            forever().await;
        })
        .await;
    assert!(outcome.is_cancelled() && dropped.get());
}

// Trio C41: a cancel from another thread, while the task is being polled.
#[tokio::test]
async fn a_cancel_from_another_thread_is_never_lost() {
    for round in 0..2_000u32 {
        let scope = CancelScope::new();
        let canceller = scope.clone();
        let (go, ready) = std::sync::mpsc::channel();
        std::thread::scope(|threads| {
            threads.spawn(move || {
                ready.recv().unwrap();
                for _ in 0..round % 300 {
                    std::hint::spin_loop();
                }
                canceller.cancel("race");
            });
            let outcome = futures_util::future::FutureExt::now_or_never(tokio::time::timeout(
                Duration::from_secs(20),
                async {
                    go.send(()).unwrap();
                    tokio::task::yield_now().await;
                },
            ));
            assert!(outcome.is_none(), "it waits for its second poll");
        });
        assert!(scope.run(forever()).await.is_cancelled());
    }
}

/// Runs `make` in a scope on a task of its own, cancels it from a thread, and tells how many of `leaves` saw it.
async fn race<F>(rounds: u64, leaves: usize, make: impl Fn(Arc<AtomicUsize>) -> F)
where
    F: Future<Output = usize> + Send + 'static,
{
    for round in 0..rounds {
        let scope = CancelScope::new();
        let canceller = scope.clone();
        let started = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&started);
        let thread = std::thread::Builder::new()
            .spawn(move || {
                while seen.load(Ordering::Acquire) < leaves {
                    std::thread::yield_now();
                }
                for _ in 0..(round * 37) % 2_000 {
                    std::hint::spin_loop();
                }
                canceller.cancel("race");
            })
            .expect("the system gives a thread");
        let task = make(started);
        let outcome = nursery(async |n| n.spawn_task(async move { Ok(scope.run(task).await) }).await).await;
        thread.join().expect("the canceller does not panic");
        let outcome = outcome.expect("the task does not fail");
        assert_eq!(outcome, Outcome::Done(leaves), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_leaf_beneath_futures_unordered_unwinds_softly() {
    race(1_500, 100, |started| async move {
        let inner = |started: Arc<AtomicUsize>| async move {
            let mut set: FuturesUnordered<_> = (0..25)
                .map(|_| {
                    let started = Arc::clone(&started);
                    async move {
                        started.fetch_add(1, Ordering::Release);
                        sleep(Duration::from_secs(5000)).await.is_err()
                    }
                })
                .collect();
            let mut unwound = 0;
            while let Some(saw_it) = set.next().await {
                unwound += usize::from(saw_it);
            }
            unwound
        };
        let mut outer: FuturesUnordered<_> =
            (0..4).map(|_| inner(Arc::clone(&started)).cancellable()).collect();
        let mut unwound = 0;
        while let Some(count) = outer.next().await {
            unwound += count.unwrap_or(0);
        }
        unwound
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_child_of_nested_nurseries_unwinds_softly() {
    race(500, 40, |started| async move {
        let unwound = AtomicUsize::new(0);
        let end = nursery(async |n| {
            for _ in 0..4 {
                let (started, unwound) = (&started, &unwound);
                n.spawn(nursery(async move |n| {
                    for _ in 0..10 {
                        n.spawn(async move {
                            started.fetch_add(1, Ordering::Release);
                            let end = sleep(Duration::from_secs(5000)).await;
                            unwound.fetch_add(1, Ordering::Relaxed);
                            Ok(end?)
                        });
                    }
                    Ok(())
                }));
            }
            Ok(())
        })
        .await;
        assert!(end.is_ok());
        unwound.into_inner()
    })
    .await;
}

#[tokio::test]
async fn join_and_select_around_ours_and_foreign_awaits_end() {
    let scope = CancelScope::new();
    let canceller = scope.clone();
    let soft = Cell::new(0);
    let ((), outcome) = tokio::join!(
        async {
            tokio::task::yield_now().await;
            canceller.cancel("now");
        },
        scope.run(async {
            tokio::join!(
                async {
                    if forever().cancellable().await.is_err() {
                        shield_unbounded(tokio::task::yield_now()).await;
                        soft.set(soft.get() + 1);
                    }
                },
                forever(),
            );
        })
    );
    assert!(outcome.is_cancelled(), "the foreign branch is dropped");
    assert_eq!(soft.get(), 1, "ours unwound before, with its clean-up");
}

#[tokio::test]
async fn a_stranded_future_does_not_hold_up_the_cancel() {
    let scope = CancelScope::new();
    let canceller = scope.clone();
    let outcome = scope
        .run(async move {
            let mut stranded = Box::pin(sleep(Duration::from_secs(5000)));
            tokio::select! { _ = &mut stranded => {}, () = tokio::task::yield_now() => {} }
            canceller.cancel("now");
            forever().await;
            drop(stranded);
        })
        .await;
    assert!(outcome.is_cancelled());
}

#[tokio::test]
async fn a_task_that_never_stops_yielding_is_dropped_and_one_that_swallows_cannot_spin() {
    let scope = CancelScope::new();
    scope.cancel("now");
    let polls = Cell::new(0u32);
    let outcome = scope
        .run(async {
            loop {
                polls.set(polls.get() + 1);
                tokio::task::yield_now().await;
            }
        })
        .await;
    assert!(Outcome::<()>::is_cancelled(&outcome) && polls.get() < 1000);

    let scope = CancelScope::new();
    scope.cancel("now");
    let swallowed = Cell::new(0u32);
    let outcome = scope
        .run(async {
            loop {
                if sleep(Duration::from_secs(1)).await.is_err() {
                    swallowed.set(swallowed.get() + 1);
                }
            }
        })
        .await;
    assert!(Outcome::<()>::is_cancelled(&outcome) && swallowed.get() < 1000, "{}", swallowed.get());
}

#[tokio::test]
async fn a_local_set_polled_inside_a_scope_keeps_its_own_tasks_out_of_it() {
    let scope = CancelScope::new();
    scope.cancel("now");
    let local = tokio::task::LocalSet::new();
    let stranger = local.spawn_local(async { is_cancelled() });
    let seen = scope.run(local.run_until(stranger)).await;
    assert!(!seen.done().unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_bounded_shield_ends() {
    let scope = CancelScope::new();
    scope.cancel("now");
    let outcome = scope.run(shield(Duration::from_secs(3), forever())).await;
    assert!(outcome.done().unwrap().is_err());
}

// Trio H07
#[tokio::test]
async fn the_first_checkpoint_after_a_shield_is_cancelled() {
    let scope = CancelScope::new();
    scope.cancel("now");
    let outcome = scope
        .run(async {
            assert!(shield_unbounded(checkpoint()).await.is_ok());
            checkpoint().await.is_err()
        })
        .await;
    assert_eq!(outcome, Outcome::Done(true));
}

#[test]
fn scopes_nest_thousands_deep() {
    fn nest(depth: usize, innermost: CancelScope) -> std::pin::Pin<Box<dyn Future<Output = usize> + Send>> {
        Box::pin(async move {
            if depth == 0 {
                innermost.cancel("from below");
                return usize::from(sleep(Duration::from_secs(1)).await.is_err());
            }
            CancelScope::new().run(nest(depth - 1, innermost)).await.done().unwrap_or(0)
        })
    }
    // Nested scopes nest the stack of polls: so many need more than a default thread's.
    let thread = std::thread::Builder::new().stack_size(512 << 20).spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let top = CancelScope::new();
        let canceller = top.clone();
        assert_eq!(runtime.block_on(top.run(nest(5000, canceller))), Outcome::Done(1));
    });
    thread.unwrap().join().unwrap();
}
