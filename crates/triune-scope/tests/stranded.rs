//! Futures that are polled once and then by nobody: left behind by `select!`, kept in a variable while the task waits for
//! something else, moved away, forgotten. A cancel must get past them, and none may be lost on the way.

use std::future::{Future, pending, ready};
use std::mem::ManuallyDrop;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::task::yield_now;
use tokio::time::Instant;
use triune_scope::__primitive::owed;
use triune_scope::blocking::{self, Blocking};
use triune_scope::{
    CancelScope, Error, FutureExt as _, Outcome, Result, Run, Started, bracket, current_task_id,
    is_cancelled, nursery, shield, shield_unbounded, sleep, sync,
};

const LIMIT: Duration = Duration::from_secs(if cfg!(miri) { 600 } else { 20 });

/// Polls a future once and leaves it where it is.
async fn strand<F: Future + ?Sized>(mut future: Pin<&mut F>) {
    tokio::select! {
        biased;
        _ = &mut future => panic!("it waits"),
        () = ready(()) => {}
    }
}

/// Ends when the cancel has come through, fails if it does not.
async fn ends<T>(scope: &CancelScope, code: impl Future<Output = T>) -> Outcome<T> {
    tokio::time::timeout(LIMIT, scope.run(code)).await.expect("the cancel got past what is stranded")
}

/// Strands what `make` makes, cancels the scope and waits where only a drop ends it.
async fn is_passed<F: Future>(make: impl FnOnce() -> F) {
    let scope = CancelScope::new();
    let end = ends(&scope, async {
        let mut stranded = Box::pin(make());
        strand(stranded.as_mut()).await;
        scope.cancel("now");
        pending::<()>().await;
        drop(stranded);
    });
    assert!(end.await.is_cancelled());
    Run::current().close().await;
}

/// The cases for both kinds of runtime.
macro_rules! are_passed {
    ($($name:ident: $made:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn current_thread() {
                is_passed(|| $made).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn multi_thread() {
                is_passed(|| $made).await;
            }
        }
    )*};
}

are_passed! {
    a_nursery_with_a_parallel_child: nursery(async |n| {
        n.spawn_task(async { Ok(sleep(Duration::from_secs(5000)).await?) });
        Ok(())
    });
    a_nursery_with_children_of_all_kinds: nursery(async |n| {
        n.spawn(async { Ok(sleep(Duration::from_secs(5000)).await?) });
        n.daemon_task("service", async { Ok(sleep(Duration::from_secs(5000)).await?) });
        n.spawn_task(async {
            let end = sleep(Duration::from_secs(5000)).await;
            shield_unbounded(yield_now()).await;
            Ok(end?)
        });
        pending::<()>().await;
        Ok(())
    });
    a_bounded_shield: shield(Duration::from_millis(20), pending::<()>());
    shields_in_a_bounded_shield: shield(Duration::from_millis(20), shield_unbounded(pending::<()>()));
    a_thread_job: blocking::run(|b: &Blocking| {
        while !b.is_cancelled() {
            std::thread::yield_now();
        }
        Ok(())
    });
    a_wait_for_a_time: sleep(Duration::from_secs(5000));
    a_clean_up: ready(()).finally(pending::<()>()).within(Duration::from_millis(20));
    a_clean_up_in_a_clean_up: {
        let inner = ready(()).finally(shield_unbounded(pending::<()>()));
        ready(()).finally(inner).within(Duration::from_millis(20))
    };
    a_shielded_nursery: nursery(async |n| {
        n.spawn(async { Ok(sleep(Duration::from_secs(5000)).await?) });
        n.spawn_task(async { Ok(sleep(Duration::from_secs(5000)).await?) });
        pending::<()>().await;
        Ok(())
    }).shielded(Duration::from_millis(20));
    a_clean_up_in_a_shielded_nursery: nursery(async |_n| {
        ready(()).finally(pending::<()>()).within(Duration::from_millis(20)).await?;
        Ok(())
    }).shielded(Duration::from_millis(20));
}

/// As [`is_passed`], but the cancel is first, and what is stranded begins in a cancelled scope.
async fn is_passed_by_an_earlier_cancel<F: Future>(future: F) {
    let scope = CancelScope::new();
    let end = ends(&scope, async {
        scope.cancel("before");
        let mut stranded = Box::pin(future);
        strand(stranded.as_mut()).await;
        pending::<()>().await;
        drop(stranded);
    });
    assert!(end.await.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn what_begins_in_a_cancelled_scope_and_is_stranded_ends_in_time() {
    let start = Instant::now();
    let limit = Duration::from_secs(3);
    is_passed_by_an_earlier_cancel(ready(()).finally(pending::<()>()).within(limit)).await;
    assert_eq!(start.elapsed(), limit);
    let release = async |()| shield_unbounded(pending::<Result>()).await;
    is_passed_by_an_earlier_cancel(bracket(async { Ok::<_, Error>(()) }, async |()| Ok(()), release)).await;
    assert_eq!(start.elapsed(), limit + Duration::from_secs(10));
    let open = nursery(async |_n| pending::<Result>().await).shielded(limit);
    is_passed_by_an_earlier_cancel(open).await;
    assert_eq!(start.elapsed(), 2 * limit + Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_clean_up_in_a_child_that_strands_it_ends_in_time_and_so_does_the_nursery() {
    let start = Instant::now();
    let open = nursery(async |n| {
        n.spawn(async {
            let mut stranded = Box::pin(sleep(Duration::from_secs(5000)).finally(pending::<()>()));
            strand(stranded.as_mut()).await;
            // The wait of its own ends with the cancel, and then it is left alone.
            let _cut = sleep(Duration::from_secs(5000)).await;
            strand(stranded.as_mut()).await;
            pending::<Result>().await
        });
        yield_now().await;
        n.cancel("now");
        Ok(())
    });
    tokio::time::timeout(LIMIT, open).await.expect("the nursery ends").unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_stranded_clean_up_begins_once() {
    let start = Instant::now();
    let (outer, inner) = (CancelScope::new(), CancelScope::new());
    let end = ends(&outer, async {
        inner
            .run(async {
                let mut stranded = Box::pin(ready(()).finally(pending::<()>()));
                strand(stranded.as_mut()).await;
                inner.cancel("first");
                shield(Duration::from_secs(5), sleep(Duration::from_secs(4)).map(drop)).await.ok();
                outer.cancel("second");
                pending::<()>().await;
                drop(stranded);
            })
            .await
    });
    assert!(end.await.done().is_some_and(|inner| inner.is_cancelled()));
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_condition_that_is_stranded_while_it_takes_the_lock_again() {
    let start = Instant::now();
    let (scope, mutex, condition) = (CancelScope::new(), sync::Mutex::new(()), sync::Condition::new());
    let end = ends(&scope, async {
        let mut waiting = Box::pin(condition.wait(mutex.lock().await.unwrap()));
        strand(waiting.as_mut()).await;
        let held = mutex.lock().await.unwrap();
        condition.notify_one(&held);
        strand(waiting.as_mut()).await;
        scope.cancel("now");
        pending::<()>().await;
        drop((waiting, held));
    });
    assert!(end.await.is_cancelled());
    assert_eq!(start.elapsed(), Duration::from_secs(10), "as long as a clean-up");
    assert!(mutex.try_lock().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_condition_ends_with_a_cancel_also_if_nobody_lets_go_of_the_lock() {
    let (scope, mutex, condition) = (CancelScope::new(), sync::Mutex::new(()), sync::Condition::new());
    let (waits, seen) = (sync::Event::new(), std::cell::Cell::new(false));
    let waiter = async {
        let (_guard, end) = condition.wait(mutex.lock().await.unwrap()).await;
        seen.set(true);
        end
    };
    let holder = async {
        let held = mutex.lock().await.unwrap();
        waits.set();
        scope.cancel("now");
        pending::<()>().await;
        drop(held);
    };
    let end = ends(&scope, async { tokio::join!(waiter, holder) });
    assert!(end.await.is_cancelled());
    assert!(!seen.get(), "the guard cannot come back");
    assert!(mutex.try_lock().is_ok() && condition.statistics().waiting == 0);
}

#[tokio::test]
async fn a_start_that_is_stranded_while_its_child_cleans_up() {
    let scope = CancelScope::new();
    let cancelled = scope.clone();
    let open = nursery(async |n| {
        let end = ends(&scope, async {
            let mut starting = Box::pin(n.start(async |started: Started<()>| {
                let _cut = sleep(Duration::from_secs(5000)).await;
                shield_unbounded(yield_now()).await;
                drop(started);
                Ok(())
            }));
            strand(starting.as_mut()).await;
            yield_now().await;
            cancelled.cancel("now");
            // It has seen the cancel, and waits for the end of its child.
            strand(starting.as_mut()).await;
            pending::<()>().await;
            drop(starting);
        });
        assert!(end.await.is_cancelled());
        Ok(())
    });
    open.await.unwrap();
}

/// The waits of the crates above for the end of a process.
#[tokio::test]
async fn what_is_owed_holds_up_a_cancel_until_it_is_over_whoever_polls() {
    let (scope, over) = (CancelScope::new(), Arc::new(sync::Event::new()));
    let mut end = Box::pin(ends(&scope, async {
        let awaited = Arc::clone(&over);
        let mut stranded =
            Box::pin(owed("wait", async move { shield_unbounded(async { awaited.wait().await }).await }));
        strand(stranded.as_mut()).await;
        scope.cancel("now");
        pending::<()>().await;
        drop(stranded);
    }));
    for _ in 0..200 {
        assert!(futures_util::poll!(&mut end).is_pending());
        yield_now().await;
    }
    over.set();
    assert!(end.await.is_cancelled());
}

#[tokio::test]
async fn what_is_owed_arrives_in_a_cancelled_scope_and_so_does_its_panic() {
    let scope = CancelScope::new();
    scope.cancel("before");
    let end = scope.run(async {
        let task = current_task_id();
        let owed = owed("value", async move {
            shield_unbounded(yield_now()).await;
            assert_ne!(current_task_id(), task, "it is a task of its own");
            is_cancelled()
        });
        owed.await
    });
    assert_eq!(end.await, Outcome::Done(true), "it sees the cancel");
    let explodes = owed("panic", async { std::panic::resume_unwind(Box::new("boom")) });
    let payload = std::panic::AssertUnwindSafe(explodes).catch_unwind().await.map(|(): ()| ()).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"boom"));
}

#[tokio::test]
async fn what_is_owed_to_nobody_any_more_is_waited_for_by_the_run() {
    let over = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&over);
    let mut dropped = Box::pin(owed("count", async move {
        shield_unbounded(yield_now()).await;
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    strand(dropped.as_mut()).await;
    drop(dropped);
    Run::current().close().await;
    assert_eq!(over.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_shield_that_is_dropped_by_another_thread_holds_nobody_any_longer() {
    let scope = CancelScope::new();
    let canceller = scope.clone();
    let (hand_over, shields) = std::sync::mpsc::channel::<Pin<Box<dyn Future<Output = ()> + Send>>>();
    #[expect(clippy::disallowed_methods, reason = "it stands for a thread that triune does not know")]
    let thread = std::thread::spawn(move || {
        let shielded = shields.recv().expect("the task sends one");
        canceller.cancel("now");
        drop(shielded);
    });
    let end = ends(&scope, async {
        let mut shielded: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(shield_unbounded(pending::<()>()));
        strand(shielded.as_mut()).await;
        hand_over.send(shielded).expect("the thread listens");
        pending::<()>().await;
    });
    assert!(end.await.is_cancelled());
    thread.join().expect("the thread does not panic");
}

#[tokio::test]
#[cfg_attr(miri, ignore = "what is forgotten is a leak, and meant")]
async fn forgotten_futures_do_not_hold_up_a_cancel() {
    let scope = CancelScope::new();
    let end = ends(&scope, async {
        let mut open = Box::pin(nursery(async |n| {
            n.spawn_task(async { Ok(sleep(Duration::from_secs(5000)).await?) });
            n.spawn(async { Ok(sleep(Duration::from_secs(5000)).await?) });
            Ok(())
        }));
        strand(open.as_mut()).await;
        let _forgotten = ManuallyDrop::new(open);
        let mut waiting = Box::pin(sleep(Duration::from_secs(5000)));
        strand(waiting.as_mut()).await;
        let _forgotten = ManuallyDrop::new(waiting);
        scope.cancel("now");
        pending::<()>().await;
    });
    assert!(end.await.is_cancelled());
    Run::current().close().await;
}

/// How many cancels race; `TRIUNE_RACE_ROUNDS` sets the number.
fn rounds() -> u32 {
    let asked = std::env::var("TRIUNE_RACE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    asked.unwrap_or(if cfg!(miri) { 50 } else { 100_000 })
}

/// A cancel from a thread while the task, which has two leaves in a foreign combinator, one in a scope of its own, and a
/// stranded wait, is being polled: before it registers, meanwhile, or after. Both leaves must unwind softly, whatever is
/// stranded, and the foreign await must be dropped. What is lost runs into the limit, or counts too little.
#[tokio::test]
async fn a_hundred_thousand_racing_cancels_are_all_delivered() {
    let (hand_over, scopes) = std::sync::mpsc::channel::<(CancelScope, u32)>();
    #[expect(clippy::disallowed_methods, reason = "it stands for a thread that triune does not know")]
    let canceller = std::thread::spawn(move || {
        for (scope, delay) in scopes {
            for _ in 0..delay {
                std::hint::spin_loop();
            }
            scope.cancel("race");
        }
    });
    let never = sync::Event::new();
    for round in 0..rounds() {
        let (scope, soft) = (CancelScope::new(), AtomicU32::new(0));
        let racing = scope.clone();
        let leaf = async || {
            if never.wait().await.is_err() {
                soft.fetch_add(1, Ordering::Relaxed);
            }
        };
        let waiting = scope.run(async {
            let mut stranded = pin!(never.wait());
            strand(stranded.as_mut()).await;
            hand_over.send((racing, round * 7 % 900)).expect("the thread listens");
            let scoped = async {
                let inner = CancelScope::new().run(leaf()).await;
                assert!(inner.done().is_some(), "the leaf in it unwound softly");
            };
            let mut leaves = FuturesUnordered::<Pin<Box<dyn Future<Output = ()>>>>::new();
            leaves.push(Box::pin(leaf()));
            leaves.push(Box::pin(scoped));
            leaves.push(Box::pin(pending()));
            while leaves.next().await.is_some() {}
        });
        tokio::select! {
            // The limit first: `timeout` would poll the scope once more, which then sees a cancel that woke nobody.
            biased;
            // tidy: allow(sleep) because it is the limit of a wait for an event, and only a failing test gets there.
            () = tokio::time::sleep(LIMIT) => panic!("lost in round {round}"),
            outcome = waiting => assert!(outcome.is_cancelled(), "the foreign branch is dropped"),
        }
        assert_eq!(soft.into_inner(), 2, "round {round}");
    }
    assert_eq!(never.statistics().waiting, 0);
    drop(hand_over);
    canceller.join().expect("the canceller does not panic");
}
