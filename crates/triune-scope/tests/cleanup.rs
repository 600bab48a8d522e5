//! Async clean-up that a cancel cannot skip: `finally` and `bracket`.

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;
use triune_scope::{
    CancelScope, Elapsed, Error, FutureExt as _, Outcome, Result, bracket, checkpoint, is_cancelled,
    move_on_after, nursery, sleep,
};

async fn forever() {
    std::future::pending::<()>().await;
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn the_clean_up_follows_a_value_and_an_error() {
    let log = RefCell::new(Vec::new());
    let value = async {
        log.borrow_mut().push("work");
        5
    };
    assert_eq!(value.finally(async { log.borrow_mut().push("clean") }).await, Ok(5));
    let error = async { Err::<(), _>("broken") };
    assert_eq!(error.finally(async { log.borrow_mut().push("clean") }).await, Ok(Err("broken")));
    assert_eq!(*log.borrow(), ["work", "clean", "clean"]);
}

#[test]
fn a_clean_up_in_a_cancelled_scope_needs_no_runtime() {
    let scope = CancelScope::new();
    scope.cancel("before");
    let ended = scope.run(std::future::ready(5).finally(async {})).now_or_never();
    assert_eq!(ended, Some(Outcome::Done(Ok(5))), "there is no timer to bound it");
}

#[tokio::test]
async fn the_clean_up_follows_a_panic_which_then_goes_on() {
    let cleaned = Cell::new(false);
    let work = async { panic!("half-way") }.finally(async {
        checkpoint().await.unwrap();
        cleaned.set(true);
    });
    let payload = AssertUnwindSafe(work).catch_unwind().await.unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"half-way"));
    assert!(cleaned.get());
}

// The clock stands still, so that a slow machine does not cut them off.
#[tokio::test(start_paused = true)]
async fn a_cancel_skips_no_clean_up_wherever_the_work_waits() {
    let cleaned = Cell::new(0);
    let clean = || async {
        assert!(!is_cancelled());
        checkpoint().await.unwrap();
        tokio::task::yield_now().await;
        cleaned.set(cleaned.get() + 1);
    };
    let scope = CancelScope::new();
    let canceller = scope.clone();
    let ended = scope.run(async {
        let soft = async { forever().cancellable().await }.finally(clean());
        let hard = forever().finally(clean());
        let nested = async { forever().finally(clean()).await.map(|()| forever()) }.finally(clean());
        let mut set: FuturesUnordered<_> = (0..10).map(|_| forever().finally(clean())).collect();
        let unordered = async { while set.next().await.is_some() {} };
        let (soft, hard, nested, (), ()) = tokio::join!(soft, hard, nested, unordered, async {
            tokio::task::yield_now().await;
            canceller.cancel("now");
        });
        assert!(soft.unwrap().is_err() && hard.is_err() && nested.unwrap().is_err());
    });
    assert_eq!(ended.await, Outcome::Done(()));
    assert_eq!(cleaned.get(), 14);
}

#[tokio::test]
async fn a_clean_up_that_began_is_not_cut_off() {
    let scope = CancelScope::new();
    let canceller = scope.clone();
    let cleaned = Cell::new(false);
    let ended = scope.run(async { 1 }.finally(async {
        canceller.cancel("in the middle");
        checkpoint().await.unwrap();
        tokio::task::yield_now().await;
        cleaned.set(true);
    }));
    assert_eq!(ended.await, Outcome::Done(Ok(1)));
    assert!(cleaned.get());
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_clean_up_begins_with_the_cancel() {
    let start = Instant::now();
    let slow = || sleep(secs(60)).map(drop);
    assert_eq!(async { 1 }.finally(slow()).await, Ok(1));
    assert_eq!(start.elapsed(), secs(60), "nobody is in a hurry");

    let start = Instant::now();
    let ended = move_on_after(secs(5), async { 1 }.finally(slow()));
    assert_eq!(ended.await, Some(Ok(1)), "the value is there, whatever the clean-up does");
    assert_eq!(start.elapsed(), secs(15));

    let start = Instant::now();
    let ended = move_on_after(secs(5), forever().finally(slow()).within(secs(2)));
    assert!(ended.await.is_none());
    assert_eq!(start.elapsed(), secs(7));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_grace_ends_a_clean_up() {
    let start = Instant::now();
    let scope = CancelScope::new();
    scope.cancel_with_grace(secs(3), "closing");
    assert!(scope.run(forever().finally(forever())).await.is_cancelled());
    assert_eq!(start.elapsed(), secs(3));
}

#[tokio::test(start_paused = true)]
async fn foreign_code_that_drops_the_future_skips_the_clean_up() {
    let cleaned = Cell::new(false);
    let work = forever().finally(async { cleaned.set(true) });
    assert!(tokio::time::timeout(secs(1), work).await.is_err());
    assert!(!cleaned.get());
}

#[tokio::test]
async fn a_work_that_is_moved_out_of_its_cancelled_scope_still_ends() {
    let cleaned = Cell::new(false);
    let mut work = Box::pin(forever().finally(async { cleaned.set(true) }));
    let scope = CancelScope::new();
    let canceller = scope.clone();
    let polled = scope.run(async {
        assert!(futures_util::poll!(&mut work).is_pending());
        canceller.cancel("now");
    });
    assert_eq!(polled.await, Outcome::Done(()));
    assert!(work.await.is_err() && cleaned.get());
}

#[tokio::test]
async fn a_bracket_releases_in_a_parallel_child_before_its_nursery_returns() {
    let released = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = std::sync::Arc::clone(&released);
    let ended: Result = nursery(async |n| {
        n.spawn_task(bracket(
            async { Ok::<_, Error>(flag) },
            async |_flag| {
                forever().await;
                Ok(())
            },
            async |flag| {
                checkpoint().await?;
                flag.store(true, std::sync::atomic::Ordering::Release);
                Ok(())
            },
        ));
        checkpoint().await?;
        checkpoint().await?;
        n.cancel("enough");
        Ok(())
    })
    .await;
    assert!(ended.is_ok());
    // Whether it had begun is up to the scheduler; if it had, it is released.
    assert!(std::sync::Arc::strong_count(&released) == 1);
    assert!(released.load(std::sync::atomic::Ordering::Acquire));
}

/// A bracket whose parts end as told; and whether it was released.
async fn bracket_of(acquire: Result<u32>, use_: Result<u32>, release: Result) -> (Result<u32>, Option<u32>) {
    let released = Cell::new(None);
    let ended = bracket(
        async { acquire },
        async |_resource| use_,
        async |resource| {
            released.set(Some(resource));
            release
        },
    );
    (ended.await, released.get())
}

#[tokio::test]
async fn a_bracket_tells_the_first_error_and_releases_only_what_it_has() {
    let (ended, released) = bracket_of(Ok(7), Ok(1), Ok(())).await;
    assert_eq!((ended.unwrap(), released), (1, Some(7)));
    let (ended, released) = bracket_of(Err(Error::msg("none")), Ok(1), Ok(())).await;
    assert_eq!((ended.unwrap_err().to_string().as_str(), released), ("none", None));
    let (ended, released) = bracket_of(Ok(7), Err(Error::msg("use")), Err(Error::msg("release"))).await;
    assert_eq!((ended.unwrap_err().to_string().as_str(), released), ("use", Some(7)));
    let (ended, released) = bracket_of(Ok(7), Ok(1), Err(Error::msg("release"))).await;
    assert_eq!((ended.unwrap_err().to_string().as_str(), released), ("release", Some(7)));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_release_is_not_hidden_by_a_cancel_nor_its_being_late() {
    let scope = CancelScope::new();
    scope.cancel("now");
    let failing = bracket(
        async { Ok::<_, Error>(()) },
        async |()| Ok(forever().cancellable().await?),
        async |()| Err(Error::msg("not closed")),
    );
    assert_eq!(scope.run(failing).await.done().unwrap().unwrap_err().to_string(), "not closed");

    let scope = CancelScope::new();
    scope.cancel("now");
    let late = bracket(
        async { Ok::<_, Error>(()) },
        async |()| {
            forever().await;
            Ok(())
        },
        async |()| {
            forever().await;
            Ok(())
        },
    );
    assert!(scope.run(late).await.done().unwrap().unwrap_err().is::<Elapsed>());
}
