//! `settle` and the virtual clock: Trio's cases K01, K03, K07 to K10, K14.
//!
//! Not ported: K02 (no rate), K04 to K06 (no threshold, no second clock): tokio's clock has none of them.

use std::cell::{Cell, RefCell};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use triune_scope::{CancelScope, Error, Result, blocking, checkpoint, nursery, sleep};
use triune_testing::{VirtualClock, settle, settle_for};

const SECOND: Duration = Duration::from_secs(1);

// Trio K01
#[tokio::test]
async fn the_clock_starts_at_zero_and_moves_when_told() {
    let clock = VirtualClock::start();
    assert_eq!(clock.elapsed(), Duration::ZERO);
    clock.jump(Duration::from_millis(1200)).await;
    assert_eq!(clock.elapsed(), Duration::from_millis(1200));
}

// Trio K03
#[tokio::test(start_paused = true)]
async fn sleeps_end_at_their_exact_times_and_take_none() {
    let real = Instant::now();
    let clock = VirtualClock::running();
    nursery(async |n| {
        for seconds in (0..100).step_by(10) {
            n.spawn(async move {
                let nap = Duration::from_secs(seconds);
                sleep(nap).await?;
                assert_eq!(clock.elapsed(), nap);
                tokio::time::sleep(SECOND).await;
                assert_eq!(clock.elapsed(), nap + SECOND);
                Ok(())
            });
        }
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(clock.elapsed(), 91 * SECOND);
    assert!(real.elapsed() < 60 * SECOND);
}

// Trio K07
#[tokio::test(start_paused = true)]
async fn settling_comes_before_the_clock_jumps() {
    let record = RefCell::new(Vec::new());
    tokio::join!(
        async {
            sleep(100 * SECOND).await.unwrap();
            record.borrow_mut().push("yawn");
        },
        async {
            settle().await.unwrap();
            record.borrow_mut().push("waiter woke");
            sleep(1000 * SECOND).await.unwrap();
            record.borrow_mut().push("waiter done");
        },
    );
    assert_eq!(*record.borrow(), ["waiter woke", "yawn", "waiter done"]);
}

// Trio K08
#[tokio::test(start_paused = true)]
async fn settling_takes_no_virtual_time() {
    let clock = VirtualClock::running();
    nursery(async |n| {
        let sleeper = n.spawn(async { Ok(sleep(5 * SECOND).await?) });
        settle().await?;
        assert_eq!(clock.elapsed(), Duration::ZERO);
        sleeper.await?;
        assert_eq!(clock.elapsed(), 5 * SECOND);
        Ok(())
    })
    .await
    .unwrap();
}

// Trio K09
#[tokio::test]
async fn settling_waits_for_whoever_still_has_work() {
    for parallel in [false, true] {
        let (steps, seen) = mpsc::channel();
        let settled = Cell::new(0);
        nursery(async |n| {
            let busy = async move {
                for step in 0..10 {
                    checkpoint().await?;
                    steps.send(step).map_err(Error::new)?;
                }
                std::future::pending::<Result>().await
            };
            let busy = if parallel { n.spawn_task(busy) } else { n.spawn(busy) };
            let two = || async {
                settle().await?;
                assert!(seen.try_iter().count() == 10 || settled.get() > 0);
                settled.set(settled.get() + 1);
                Ok::<_, Error>(())
            };
            let (first, second) = tokio::join!(two(), two());
            first?;
            second?;
            assert_eq!(settled.get(), 2);
            busy.cancel("seen");
            Ok(())
        })
        .await
        .unwrap();
    }
}

// Trio K10
#[tokio::test]
async fn settling_with_a_cushion_waits_for_whoever_wakes_again_within_it() {
    let record = RefCell::new(Vec::new());
    let blink = Duration::from_millis(10);
    let settles = async |cushion, name| {
        settle_for(cushion).await.unwrap();
        record.borrow_mut().push(name);
    };
    let blinks = async {
        for _ in 0..3 {
            sleep(blink).await.unwrap();
        }
        record.borrow_mut().push("blinked");
    };
    tokio::join!(
        settles(Duration::ZERO, "none"),
        settles(30 * blink, "small"),
        settles(30 * blink, "small"),
        settles(60 * blink, "big"),
        blinks,
    );
    assert_eq!(*record.borrow(), ["none", "blinked", "small", "small", "big"]);
}

// Trio K09
#[tokio::test]
async fn a_cancelled_settle_says_so() {
    let scope = CancelScope::new();
    scope.cancel("no time");
    assert!(scope.run(settle()).await.done().unwrap().is_err());

    let scope = CancelScope::new();
    let handle = scope.clone();
    // Somebody is always busy, so it cannot settle.
    let busy = async {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        handle.cancel("no time");
    };
    let (outcome, ()) = tokio::join!(scope.run(settle()), busy);
    assert!(outcome.done().unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settling_works_with_several_threads() {
    nursery(async |n| {
        let (steps, seen) = mpsc::channel();
        for _ in 0..4 {
            let steps = steps.clone();
            n.spawn_task(async move {
                for step in 0..100 {
                    checkpoint().await?;
                    steps.send(step)?;
                }
                std::future::pending::<Result>().await
            });
        }
        settle().await?;
        assert_eq!(seen.try_iter().count(), 400);
        n.cancel("seen");
        Ok(())
    })
    .await
    .unwrap();
}

// Trio K14
#[tokio::test(start_paused = true)]
async fn a_deadline_does_not_pass_a_thread_that_works() {
    let clock = VirtualClock::running();
    let (running, runs) = oneshot::channel();
    let (release, released) = mpsc::channel::<()>();
    let job = blocking::run(move |_| {
        running.send(()).unwrap();
        released.recv()?;
        Ok(())
    });
    let (in_time, ()) = tokio::join!(tokio::time::timeout(SECOND, job), async {
        runs.await.unwrap();
        for _ in 0..3 {
            settle().await.unwrap();
        }
        assert_eq!(clock.elapsed(), Duration::ZERO);
        release.send(()).unwrap();
    });
    in_time.expect("the thread was in time").unwrap();
}
