//! Group D: deadlines and timeouts.
//!
//! D18's toggled shields are left out: a shield is a block in triune and cannot be taken away from around running
//! code; the deadlines through fixed shields are tested. D22's negative and NaN times do not exist in `Duration`.

use std::cell::Cell;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::{Instant, advance};
use triune_scope::{
    CancelScope, Cause, FutureExt as _, Outcome, cancel_reason, check_cancelled, checkpoint,
    effective_deadline, fail_after, fail_at, is_cancelled, move_on_after, move_on_at, nursery, shield,
    shield_unbounded, sleep,
};

use super::{block, forever};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Computes for so long: the clock moves within the very poll that calls this.
fn compute(time: Duration) {
    let mut jump = std::pin::pin!(advance(time));
    let _moved = jump.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

// Trio D01
#[tokio::test(start_paused = true)]
async fn a_deadline_after_the_end_of_its_scope_is_void() {
    let scope = CancelScope::with_deadline(Instant::now() + secs(1));
    assert_eq!(scope.run(async { 1 }).await, Outcome::Done(1));
    sleep(secs(2)).await.unwrap();
    assert!(checkpoint().await.is_ok() && checkpoint().await.is_ok());
}

// Trio D02
#[tokio::test(start_paused = true)]
async fn a_passed_deadline_cancels_what_blocks() {
    let start = Instant::now();
    let scope = CancelScope::with_deadline(start + secs(1));
    let ended = scope
        .run(async {
            sleep(secs(2)).await.unwrap_err();
            forever().await;
        })
        .await;
    let Outcome::Cancelled(reason) = ended else { panic!("the scope was cut off") };
    assert_eq!(*reason.cause(), Cause::Deadline);
    assert!(reason.location().is_some_and(|place| place.contains("deadlines.rs")), "{reason:?}");
    assert!(scope.cancel_called() && start.elapsed() == secs(1));
}

// Trio D03
#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_moved_into_the_past_cancels_the_next_checkpoint() {
    let start = Instant::now();
    let scope = CancelScope::with_deadline(start + secs(10));
    let handle = scope.clone();
    let ended = scope.run(async move {
        sleep(secs(5)).await.unwrap();
        handle.set_deadline(start + secs(1));
        (checkpoint().await.is_err(), checkpoint().await.is_err())
    });
    assert_eq!(ended.await, Outcome::Done((true, true)));
}

// Trio D04
#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_fired_stays_fired() {
    let scope = CancelScope::with_timeout(secs(1));
    let handle = scope.clone();
    let ended = scope.run(async move {
        sleep(secs(2)).await.unwrap_err();
        handle.set_deadline(Instant::now() + secs(100));
        let extended = block().await.is_err();
        handle.set_deadline(None);
        extended && block().await.is_err()
    });
    assert_eq!(ended.await, Outcome::Done(true));
}

// Trio D05, C29
#[tokio::test(start_paused = true)]
async fn a_scope_that_is_entered_too_late_is_cancelled_at_its_first_checkpoint() {
    sleep(secs(5)).await.unwrap();
    let past = Instant::now().checked_sub(secs(1)).unwrap();
    for scope in [CancelScope::with_deadline(past), CancelScope::with_timeout(Duration::ZERO)] {
        let ran = Cell::new(false);
        let ended = scope.run(async {
            ran.set(true);
            let reason = block().await.unwrap_err().reason().clone();
            assert!(checkpoint().await.is_err());
            reason
        });
        let reason = ended.await.done().unwrap();
        assert_eq!((*reason.cause(), reason.message()), (Cause::Deadline, ""));
        assert!(ran.get(), "code before the first checkpoint runs");
    }
    assert!(move_on_after(Duration::ZERO, sleep(Duration::ZERO)).await.is_none());
    assert!(move_on_at(past, block()).await.is_none());
    assert!(fail_after(Duration::ZERO, checkpoint()).await.unwrap_err().is_timeout());
    assert!(fail_at(past, forever()).await.unwrap_err().is_timeout());
}

// Trio D07
#[tokio::test(start_paused = true)]
async fn spans_count_from_the_first_poll_and_then_from_the_call() {
    let scope = CancelScope::with_timeout(secs(3));
    let handle = scope.clone();
    let run = scope.run(async move {
        let now = Instant::now();
        assert_eq!((handle.deadline(), handle.time_left()), (Some(now + secs(3)), Some(secs(3))));
        handle.set_timeout(secs(4));
        assert_eq!(handle.deadline(), Some(now + secs(4)));
        handle.set_deadline(now + secs(7));
        assert_eq!(handle.time_left(), Some(secs(7)));
        handle.set_deadline(None);
        assert_eq!((handle.deadline(), handle.time_left()), (None, None));
    });
    assert_eq!((scope.deadline(), scope.time_left()), (None, Some(secs(3))), "not begun");
    sleep(secs(10)).await.unwrap();
    assert_eq!(run.await, Outcome::Done(()));

    let late = move_on_after(secs(1), async { 1 });
    sleep(secs(10)).await.unwrap();
    assert_eq!(late.await, Some(1), "the time before the first poll does not count");
}

// Trio D10
#[tokio::test(start_paused = true)]
async fn the_earlier_deadline_around_cuts_and_only_its_own_block_is_moved_on_from() {
    let start = Instant::now();
    let after_inner = Cell::new(false);
    let inner = CancelScope::with_timeout(secs(10));
    let outer = move_on_after(secs(5), async {
        let ended = inner.run(sleep(secs(20))).await;
        assert!(matches!(ended, Outcome::Done(Err(_))));
        after_inner.set(true);
        checkpoint().await
    });
    assert!(outer.await.is_none());
    assert_eq!(start.elapsed(), secs(5));
    assert!(after_inner.get() && !inner.cancel_called());

    let outer = move_on_after(secs(5), move_on_after(secs(10), sleep(secs(20))));
    assert!(outer.await.is_none(), "the cancel of the outer one is not absorbed by the inner one");
}

// Trio D12, D13
#[tokio::test(start_paused = true)]
async fn a_passed_deadline_counts_as_called_before_anything_was_delivered() {
    let scope = CancelScope::with_deadline(Instant::now() + secs(1));
    compute(secs(2));
    assert!(scope.cancel_called(), "also when it was never entered");
    scope.set_deadline(Instant::now() + secs(100));
    assert!(scope.cancel_called());

    let scope = CancelScope::new();
    let handle = scope.clone();
    let ended = scope.run(async move {
        assert!(!handle.cancel_called());
        handle.set_deadline(Instant::now());
        handle.cancel_called()
    });
    assert_eq!(ended.await, Outcome::Done(true));
}

// Trio D15 (triune's choice: only a passed deadline is a timeout), D17
#[tokio::test(start_paused = true)]
async fn only_a_passed_deadline_is_a_timeout() {
    let outer = CancelScope::new();
    let handle = outer.clone();
    let inner = outer.run(fail_after(secs(10), async move {
        handle.cancel("by hand");
        forever().await;
    }));
    let error = inner.await.done().unwrap().unwrap_err();
    assert!(error.is_cancelled() && !error.is_timeout(), "{error:?}");

    let outer = CancelScope::new();
    outer.cancel("now");
    let start = Instant::now();
    let shielded = outer.run(shield_unbounded(fail_after(secs(1), forever())));
    let error = shielded.await.done().unwrap().unwrap_err();
    assert!(error.is_timeout() && start.elapsed() == secs(1));
    assert_eq!(error.downcast_ref::<triune_scope::Timeout>().unwrap().limit(), Some(secs(1)));
    assert_eq!(error.to_string(), "did not end within 1s");
}

// Trio D16
#[tokio::test(start_paused = true)]
async fn a_shielded_timeout_ends_by_its_own_clock() {
    let outer = CancelScope::new();
    outer.cancel("now");
    let start = Instant::now();
    let ended = outer.run(async {
        assert!(shield_unbounded(move_on_after(secs(1), block())).await.is_none());
        assert!(shield(secs(1), forever()).await.is_err());
        assert_eq!(start.elapsed(), secs(2));
        checkpoint().await.is_err()
    });
    assert_eq!(ended.await, Outcome::Done(true));
}

// Trio D18
#[tokio::test(start_paused = true)]
async fn the_effective_deadline_is_the_earliest_up_to_the_innermost_shield() {
    let start = Instant::now();
    let at = |seconds| Some(start + secs(seconds));
    assert_eq!(effective_deadline(), None);
    let (outer, inner) = (CancelScope::with_deadline(start + secs(5)), CancelScope::new());
    let (in_outer, in_inner) = (outer.clone(), inner.clone());
    let ended = outer.run(async {
        inner.set_deadline(start + secs(10));
        let innermost = inner.run(async {
            assert_eq!((effective_deadline(), in_inner.effective_deadline()), (at(5), at(5)));
            in_inner.set_deadline(start + secs(3));
            assert_eq!(effective_deadline(), at(3));
            in_inner.set_deadline(start + secs(10));
            assert_eq!(effective_deadline(), at(5));
            shield_unbounded(async {
                assert_eq!(effective_deadline(), None);
                let within = CancelScope::with_deadline(start + secs(20));
                assert_eq!(within.run(async { effective_deadline() }).await, Outcome::Done(at(20)));
                in_outer.cancel("now");
                assert_eq!(effective_deadline(), None);
            })
            .await;
            assert_eq!(effective_deadline(), Some(Instant::now()), "no time is left");
        });
        assert_eq!(innermost.await, Outcome::Done(()));
    });
    assert_eq!(ended.await, Outcome::Done(()));
    assert_eq!(effective_deadline(), None);
    assert_eq!(shield(secs(4), async { effective_deadline() }).await, Ok(at(4)));
}

// Trio D19
#[tokio::test(start_paused = true)]
async fn children_of_both_kinds_see_and_obey_the_deadline_around_their_nursery() {
    let start = Instant::now();
    let deadline = start + secs(50);
    let ended = move_on_at(
        deadline,
        nursery(async |n| {
            let mine = n.spawn(async { Ok(effective_deadline()) });
            let parallel = n.spawn_task(async { Ok(effective_deadline()) });
            assert_eq!((mine.await?, parallel.await?), (Some(deadline), Some(deadline)));
            n.spawn(async { Ok(block().await?) });
            n.spawn_task(async { Ok(block().await?) });
            n.spawn_task(async {
                forever().await;
                Ok(())
            });
            Ok(())
        }),
    );
    assert!(matches!(ended.await, Some(Ok(()))));
    assert_eq!(start.elapsed(), secs(50));
}

// Trio D20
#[tokio::test(start_paused = true)]
async fn a_deadline_may_be_moved_thousands_of_times() {
    let start = Instant::now();
    let scope = CancelScope::new();
    let handle = scope.clone();
    let ended = scope.run(async move {
        for round in 0..2_000u64 {
            handle.set_deadline(start + secs(1_000 + round % 2));
            if round % 100 == 0 {
                checkpoint().await.unwrap();
            }
        }
        sleep(secs(1)).await.is_ok()
    });
    assert_eq!(ended.await, Outcome::Done(true));
    assert_eq!(start.elapsed(), secs(1));
}

// Trio D21
#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_while_code_computes_is_seen_at_the_very_next_checkpoint() {
    let scope = CancelScope::with_timeout(secs(1));
    let ended = scope.run(async {
        compute(secs(2));
        checkpoint().await.is_err()
    });
    assert_eq!(ended.await, Outcome::Done(true));

    let scope = CancelScope::with_timeout(secs(1));
    let ended = scope.run(async {
        assert!(!is_cancelled());
        compute(secs(2));
        assert_eq!(cancel_reason().map(|reason| *reason.cause()), Some(Cause::Deadline));
        is_cancelled() && check_cancelled().is_err()
    });
    assert_eq!(ended.await, Outcome::Done(true), "a loop without awaits can ask");
}

// Trio D22
#[tokio::test(start_paused = true)]
async fn a_sleep_of_no_time_does_not_wait() {
    let start = Instant::now();
    sleep(Duration::ZERO).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(
        move_on_after(Duration::MAX, async { 1 }).await,
        Some(1),
        "too long for the clock is no deadline"
    );
}

// Trio D24
#[tokio::test(start_paused = true)]
async fn a_child_may_move_the_deadline_of_its_nursery() {
    let start = Instant::now();
    let ended = nursery(async |n| {
        n.scope().set_deadline(start + secs(2));
        n.spawn_with(async |n| {
            sleep(secs(1)).await?;
            n.scope().set_deadline(start + secs(6));
            Ok(())
        });
        n.spawn_task(async { Ok(block().await?) });
        Ok(block().await?)
    });
    assert!(ended.await.unwrap_err().is_cancelled());
    assert_eq!(start.elapsed(), secs(6));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_may_be_moved_earlier_by_another_task() {
    let start = Instant::now();
    let scope = CancelScope::with_timeout(secs(100));
    let handle = scope.clone();
    let ended = nursery(async |n| {
        let waiting = n.spawn_task(async move { Ok(scope.run(forever()).await.is_cancelled()) });
        n.spawn_task(async move {
            sleep(secs(1)).await?;
            handle.set_timeout(secs(2));
            Ok(())
        });
        waiting.await
    });
    assert!(ended.await.unwrap());
    assert_eq!(start.elapsed(), secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_future_that_uses_up_its_budget_cannot_delay_a_deadline() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let ended = move_on_after(secs(1), async {
        for round in 0u64.. {
            sender.send(round).unwrap();
            receiver.recv().await.unwrap();
            if round % 100 == 0 {
                compute(Duration::from_millis(100));
            }
        }
    });
    assert!(ended.await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_value_counts_if_the_code_handled_its_deadline() {
    let partial = move_on_after(secs(1), async {
        let mut seen = 0;
        while sleep(Duration::from_millis(300)).await.is_ok() {
            seen += 1;
        }
        seen
    });
    assert_eq!(partial.await, Some(3));
    let committed = fail_after(secs(1), async {
        shield_unbounded(sleep(secs(2))).await?;
        Ok::<_, triune_scope::Error>(5)
    });
    assert_eq!(committed.await.unwrap().unwrap(), 5);
    let left_by_error = move_on_after(secs(1), async {
        block().await?;
        Ok::<_, triune_scope::Error>(())
    });
    assert!(left_by_error.await.is_none(), "its own cancel does not get out of the block");
    let foreign = fail_after(secs(1), forever().cancellable());
    assert!(foreign.await.unwrap_err().is_timeout());
}
