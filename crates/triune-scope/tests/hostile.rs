//! Code that does not play by the rules: many that unwind at once, tasks that swallow, spin and never stop waking themselves,
//! wakers and destructors that panic, polls after the end.

use std::cell::Cell;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use futures_util::{FutureExt as _, poll};
use tokio::task::yield_now;
use triune_scope::{
    CancelScope, Error, FutureExt as _, Outcome, PanicPolicy, Result, Run, Started, local_nursery, nursery,
    shield_unbounded, sleep, sync,
};

const LIMIT: Duration = Duration::from_secs(if cfg!(miri) { 600 } else { 20 });

/// Panics past the hook, which would print.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            resume_unwind(Box::new("bomb"));
        }
    }
}

async fn caught<F: Future>(future: F) -> std::thread::Result<F::Output> {
    tokio::time::timeout(LIMIT, AssertUnwindSafe(future).catch_unwind()).await.expect("it ends")
}

/// As many as the passes of a cancelled task, many times over: each wait that unwinds wakes its set, and a set lets the task
/// be polled again after a few.
#[tokio::test]
#[cfg_attr(miri, ignore = "thousands")]
async fn thousands_of_waits_in_one_task_all_unwind_softly() {
    const WAITS: usize = 5000;
    let (scope, event, soft) = (CancelScope::new(), sync::Event::new(), Cell::new(0));
    let leaf = || async {
        if event.wait().await.is_err() {
            soft.set(soft.get() + 1);
        }
    };
    let slow: FuturesUnordered<_> = (0..WAITS).map(|_| leaf()).collect();
    let fast: futures_buffered::FuturesUnordered<_> = (0..WAITS).map(|_| leaf()).collect();
    let cancel = async {
        while event.statistics().waiting < 2 * WAITS {
            yield_now().await;
        }
        scope.cancel("now");
    };
    let waits = async { tokio::join!(slow.count(), fast.count(), cancel) };
    let end = tokio::time::timeout(LIMIT, scope.run(waits)).await.expect("it ends");
    assert_eq!(end, Outcome::Done((WAITS, WAITS, ())), "nothing was dropped");
    assert_eq!((soft.get(), event.statistics().waiting), (2 * WAITS, 0));
}

#[tokio::test]
#[cfg_attr(miri, ignore = "thousands")]
async fn thousands_of_children_clean_up_after_a_cancel_from_around() {
    const CHILDREN: usize = 5000;
    let (scope, event, cleaned) = (CancelScope::new(), sync::Event::new(), AtomicUsize::new(0));
    let end = scope.run(nursery(async |n| {
        for _ in 0..CHILDREN {
            n.spawn(async {
                let end = event.wait().await;
                shield_unbounded(yield_now()).await;
                cleaned.fetch_add(1, Ordering::Relaxed);
                Ok(end?)
            });
        }
        while event.statistics().waiting < CHILDREN {
            yield_now().await;
        }
        scope.cancel("now");
        Ok(())
    }));
    let end = tokio::time::timeout(LIMIT, end).await.expect("it ends");
    assert!(matches!(end, Outcome::Done(Ok(()))));
    assert_eq!(cleaned.into_inner(), CHILDREN);
}

/// Never parks: wakes itself in each poll.
async fn restless(polls: &Cell<usize>) {
    std::future::poll_fn(|cx| {
        polls.set(polls.get() + 1);
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    })
    .await;
}

#[tokio::test]
async fn a_task_that_never_stops_waking_itself_is_dropped_after_a_bounded_number_of_polls() {
    let (scope, polls) = (CancelScope::new(), Cell::new(0));
    scope.cancel("now");
    assert!(scope.run(restless(&polls)).await.is_cancelled());
    assert!((2..=200).contains(&polls.get()), "{} polls", polls.get());
}

/// A nursery whose only child is a nursery, and so on, around a child that never stops waking itself.
fn nest(depth: usize, polls: &Cell<usize>) -> Pin<Box<dyn Future<Output = Result> + '_>> {
    Box::pin(local_nursery(async move |n| {
        if depth == 0 {
            n.spawn(async {
                restless(polls).await;
                Ok(())
            });
        } else {
            n.spawn(nest(depth - 1, polls));
        }
        Ok(())
    }))
}

/// Each nursery is polled as often as it polls its children, so a limit in each would be multiplied.
#[tokio::test]
async fn a_restless_child_is_polled_once_per_turn_however_deep_it_is() {
    const TURNS: usize = if cfg!(miri) { 30 } else { 100 };
    for depth in [0, 1, 5, 20] {
        let polls = Cell::new(0);
        let mut nested = nest(depth, &polls);
        for turn in 1..=TURNS {
            assert!(poll!(&mut nested).is_pending());
            assert!(polls.get() <= turn, "{} polls in turn {turn} at depth {depth}", polls.get());
            yield_now().await;
        }
        assert!(polls.get() >= TURNS - depth - 1, "{} polls at depth {depth}", polls.get());
    }
}

#[tokio::test]
async fn a_task_that_swallows_its_cancels_lets_others_run_each_time_and_is_dropped() {
    let (scope, turns, swallowed) = (CancelScope::new(), Cell::new(0), Cell::new(0));
    let others = async {
        loop {
            turns.set(turns.get() + 1);
            yield_now().await;
        }
    };
    let swallower = scope.run(async {
        scope.cancel("now");
        loop {
            let end: std::result::Result<(), _> = pending::<()>().cancellable().await;
            assert!(end.is_err());
            swallowed.set(swallowed.get() + 1);
            // The first comes at once; for each later one the task has given way.
            assert!(turns.get() + 2 >= swallowed.get(), "{} of {}", turns.get(), swallowed.get());
        }
    });
    let end: Outcome<()> = tokio::select! {
        biased;
        () = others => unreachable!("they go on"),
        end = swallower => end,
    };
    assert!(end.is_cancelled());
    assert!((2..=200).contains(&swallowed.get()), "{} swallowed", swallowed.get());
}

#[tokio::test]
async fn nested_nurseries_by_the_hundred_end() {
    fn nest(depth: u32) -> Pin<Box<dyn Future<Output = Result<u32>> + Send>> {
        Box::pin(async move {
            if depth == 0 {
                return Err(Error::msg("at the bottom"));
            }
            nursery(async move |n| n.spawn(nest(depth - 1)).await).await
        })
    }
    let depth = if cfg!(miri) { 10 } else { 150 };
    let failed = tokio::time::timeout(LIMIT, nest(depth)).await.expect("it ends").unwrap_err();
    assert_eq!(failed.group().unwrap().flatten().len(), 1);
}

/// The next in the line of wakers is woken all the same.
#[tokio::test]
async fn a_waker_that_panics_keeps_no_cancel_from_the_others() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            resume_unwind(Box::new("waker"));
        }
    }
    let scope = CancelScope::new();
    let mut first = Box::pin(pending::<()>().bind(&scope));
    let waker = Waker::from(Arc::new(Panics));
    assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let mut others: Vec<_> = (0..3).map(|_| Box::pin(pending::<()>().bind(&scope))).collect();
    let woken: Vec<_> = others.iter().map(|_| Arc::new(Flag::default())).collect();
    for (other, flag) in others.iter_mut().zip(&woken) {
        let waker = Waker::from(Arc::clone(flag));
        assert!(other.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert!(catch_unwind(AssertUnwindSafe(|| scope.cancel("now"))).is_err(), "the panic is not hidden");
    assert!(woken.iter().all(|flag| flag.0.load(Ordering::Relaxed)), "everybody is woken");
    assert!(matches!(poll!(others.pop().unwrap()), Poll::Ready(Err(_))));
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The value of a child whose handle is gone is dropped by the nursery: in its siblings' eyes the child panicked.
async fn a_value_explodes(parallel: bool) {
    let cleaned = Cell::new(false);
    let panicked = caught(nursery(async |n| {
        if parallel {
            drop(n.spawn_task(async { Ok(Bomb) }));
        } else {
            drop(n.spawn(async { Ok(Bomb) }));
        }
        let end = sleep(Duration::from_secs(5000)).await;
        shield_unbounded(yield_now()).await;
        cleaned.set(true);
        Ok(end?)
    }));
    let payload = panicked.await.expect_err("the panic goes on in the parent");
    assert_eq!(payload.downcast_ref(), Some(&"bomb"));
    assert!(cleaned.get(), "the body was cancelled and cleaned up");
}

#[tokio::test]
async fn a_value_that_panics_when_dropped_is_a_panic_of_its_child() {
    a_value_explodes(false).await;
    a_value_explodes(true).await;
}

/// A panic whose payload panics as soon as it is dropped.
fn explode<T>() -> T {
    resume_unwind(Box::new(Bomb));
}

#[tokio::test]
async fn a_payload_that_panics_when_dropped_is_one_panic_and_spares_the_siblings() {
    let cleaned = AtomicUsize::new(0);
    let open = nursery(async |n| {
        n.spawn(async {
            let end = sleep(LIMIT).await;
            cleaned.fetch_add(1, Ordering::Relaxed);
            Ok(end?)
        });
        n.spawn(async {
            yield_now().await;
            explode::<Result>()
        })
        .await
    });
    let failed = caught(open.on_panic(PanicPolicy::AsError)).await.expect("it is an error").unwrap_err();
    assert_eq!(failed.group().unwrap().len(), 1, "{failed:#}");
    assert_eq!(cleaned.load(Ordering::Relaxed), 1);

    let second = nursery(async |n| {
        n.spawn(async { explode::<Result>() });
        n.spawn_task(async { explode::<Result>() });
        // As a panicking future is dropped, so is this.
        let _bomb = Bomb;
        explode::<Result>()
    });
    let payload = caught(second).await.expect_err("the first panic goes on");
    assert!(payload.is::<Bomb>());
    std::mem::drop(catch_unwind(AssertUnwindSafe(|| drop(payload))));

    let started = nursery(async |n| {
        n.start(async |_started: Started<()>| {
            let _bomb = Bomb;
            yield_now().await;
            explode()
        })
        .await
    });
    let payload = caught(started).await.expect_err("the panic goes to the caller, and on");
    assert!(payload.is::<Bomb>());
    std::mem::drop(catch_unwind(AssertUnwindSafe(|| drop(payload))));
}

#[tokio::test]
async fn a_panicking_destructor_in_a_dropped_nursery_spares_the_siblings() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut open = Box::pin(nursery(async |n| {
        for child in 0..5 {
            let counted = Counted(Arc::clone(&dropped));
            n.spawn(async move {
                let _held = (counted, (child == 2).then(|| Bomb));
                pending::<()>().await;
                Ok(())
            });
        }
        let counted = Counted(Arc::clone(&dropped));
        n.spawn_task(async move {
            let _held = counted;
            pending::<()>().await;
            Ok(())
        });
        pending::<()>().await;
        Ok(())
    }));
    assert!(poll!(&mut open).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(move || drop(open))).is_err());
    assert_eq!(dropped.load(Ordering::Relaxed), 5, "those of this task at once");
    Run::current().close().await;
    assert_eq!(dropped.load(Ordering::Relaxed), 6, "the run has waited for the other one");
}

#[tokio::test]
async fn a_nursery_that_has_ended_is_not_polled_again() {
    let mut open = Box::pin(nursery(async |_n| Ok(3)));
    assert_eq!((&mut open).await.unwrap(), 3);
    let again = catch_unwind(AssertUnwindSafe(|| open.now_or_never()));
    assert!(again.unwrap_err().downcast_ref::<&str>().unwrap().contains("not polled after it has ended"));
}

#[tokio::test]
async fn destructors_that_cancel_and_spawn_are_heard() {
    struct OnDrop<F: FnMut()>(F);
    impl<F: FnMut()> Drop for OnDrop<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    let (outer, inner) = (CancelScope::new(), CancelScope::new());
    let end = outer.run(async {
        let cut = inner.run(async {
            let _bye = OnDrop(|| {
                outer.cancel("from a destructor");
                inner.cancel("again");
            });
            inner.cancel("first");
            pending::<()>().await;
        });
        (cut.await, triune_scope::checkpoint().await)
    });
    let Outcome::Done((Outcome::Cancelled(reason), Err(cancelled))) = end.await else {
        panic!("both are cancelled")
    };
    assert_eq!((reason.message(), cancelled.reason().message()), ("first", "from a destructor"));

    let late = AtomicUsize::new(0);
    nursery(async |n| {
        let (handle, late) = (n.clone(), &late);
        n.spawn(async move {
            let _bye = OnDrop(move || {
                drop(handle.spawn(async move {
                    late.fetch_add(1, Ordering::Relaxed);
                    Ok(sleep(Duration::from_secs(5000)).await?)
                }));
            });
            pending::<()>().await;
            Ok(())
        });
        yield_now().await;
        n.cancel("now");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(late.into_inner(), 1, "it began, and ended with its first await");
}

/// Three threads wake the same waits all the time while they are cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(miri, ignore = "a storm of seconds")]
async fn a_storm_of_wakes_loses_no_cancel() {
    for round in 0..100 {
        let (scope, stop) = (CancelScope::new(), Arc::new(AtomicBool::new(false)));
        let wakers = Arc::new(std::sync::Mutex::new(Vec::<Waker>::new()));
        let (storm, stopped, canceller) = (Arc::clone(&wakers), Arc::clone(&stop), scope.clone());
        #[expect(clippy::disallowed_methods, reason = "it stands for a thread that triune does not know")]
        let thread = std::thread::spawn(move || {
            for turn in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                storm.lock().unwrap().iter().for_each(Waker::wake_by_ref);
                if turn == 20 {
                    canceller.cancel("now");
                }
            }
        });
        let soft = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&soft);
        let waits = scope.run(async move {
            let set: FuturesUnordered<_> = (0..20)
                .map(|_| async {
                    let parked = std::future::poll_fn(|cx| {
                        let mut wakers = wakers.lock().unwrap();
                        if wakers.len() < 200 {
                            wakers.push(cx.waker().clone());
                        }
                        Poll::<()>::Pending
                    });
                    if parked.cancellable().await.is_err() {
                        seen.fetch_add(1, Ordering::Relaxed);
                    }
                })
                .collect();
            set.count().await
        });
        let end = nursery(async |n| n.spawn_task(async move { Ok(waits.await) }).await);
        let end = tokio::time::timeout(LIMIT, end).await.expect("it ends").unwrap();
        stop.store(true, Ordering::Relaxed);
        thread.join().unwrap();
        assert_eq!((end, soft.load(Ordering::Relaxed)), (Outcome::Done(20), 20), "round {round}");
    }
}
