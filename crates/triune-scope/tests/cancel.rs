//! How a cancel is delivered: races, hard stops, depth. The cases of the behaviour list are in `conformance`.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use triune_scope::{
    CancelScope, FutureExt as _, Outcome, is_cancelled, nursery, shield, shield_unbounded, sleep,
};

async fn forever() {
    std::future::pending::<()>().await;
}

/// The scope has told nobody yet how to wake it.
#[tokio::test(start_paused = true)]
async fn a_grace_that_begins_in_the_first_poll_of_a_cancelled_scope_ends() {
    let (scope, start) = (CancelScope::new(), tokio::time::Instant::now());
    let grace = Duration::from_secs(3);
    scope.cancel("before");
    let held = scope.run(shield_unbounded(async {
        scope.cancel_with_grace(grace, "closing");
        forever().await;
    }));
    let ended = tokio::time::timeout(Duration::from_secs(5000), held).await.expect("the grace ends");
    assert!(ended.is_cancelled());
    assert_eq!(start.elapsed(), grace);
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

// Trio C41: a cancel from another thread, while the task is being polled. A lost one runs into the limit.
#[tokio::test]
async fn a_cancel_from_another_thread_is_never_lost() {
    let (hand_over, scopes) = std::sync::mpsc::channel::<(CancelScope, u32)>();
    #[expect(clippy::disallowed_methods, reason = "it stands for a thread that triune does not know")]
    let canceller = std::thread::Builder::new()
        .spawn(move || {
            for (scope, delay) in scopes {
                for _ in 0..delay {
                    std::hint::spin_loop();
                }
                scope.cancel("race");
            }
        })
        .unwrap();
    let rounds: u32 = if cfg!(miri) { 20 } else { 10_000 };
    for round in 0..rounds {
        let scope = CancelScope::new();
        let racing = scope.clone();
        let hand_over = &hand_over;
        let waiting = scope.run(async move {
            // From inside of the poll: the cancel comes before, while and after the scope registers itself.
            hand_over.send((racing, round % 500)).unwrap();
            forever().await;
        });
        tokio::select! {
            // The limit first: `timeout` would poll the scope once more, which then sees a cancel that woke nobody.
            biased;
            // tidy: allow(sleep) because it is the limit of a wait for an event, and only a failing test gets there.
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("lost in round {round}"),
            outcome = waiting => assert!(outcome.is_cancelled()),
        }
    }
    drop(hand_over);
    canceller.join().unwrap();
}

/// Runs `make` in a scope on a task of its own, cancels it from a thread, and tells how many of `leaves` saw it.
async fn race<F>(rounds: u64, leaves: usize, make: impl Fn(Arc<AtomicUsize>) -> F)
where
    F: Future<Output = usize> + Send + 'static,
{
    // The interpreter is slower a thousand times.
    for round in 0..if cfg!(miri) { rounds.min(3) } else { rounds } {
        let scope = CancelScope::new();
        let canceller = scope.clone();
        let started = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&started);
        #[expect(clippy::disallowed_methods, reason = "it stands for a thread that triune does not know")]
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
    #[expect(clippy::disallowed_methods, reason = "a stranger to every scope")]
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
    #[expect(clippy::disallowed_methods, reason = "joined at once")]
    let thread = std::thread::Builder::new().stack_size(512 << 20).spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let top = CancelScope::new();
        let canceller = top.clone();
        let depth = if cfg!(miri) { 100 } else { 5000 };
        assert_eq!(runtime.block_on(top.run(nest(depth, canceller))), Outcome::Done(1));
    });
    thread.unwrap().join().unwrap();
}
