//! Group H: shields, and the grace after which they are void.
//!
//! H04 and the second half of H08 are left out: a shield is a block, it cannot be taken away from around running code.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;
use triune_scope::{
    CancelScope, Outcome, checkpoint, fail_after, is_cancelled, move_on_after, nursery, shield,
    shield_unbounded, sleep,
};

use super::{block, forever, on_both_runtimes};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

on_both_runtimes! {
    // Trio H02
    async fn a_scope_inside_a_shield_can_be_cancelled_itself() {
        let (outer, inner) = (CancelScope::new(), CancelScope::new());
        let handle = inner.clone();
        let ended = outer.run(shield_unbounded(inner.run(async move {
            handle.cancel("inner");
            assert!(checkpoint().await.is_err());
            forever().await;
        })));
        assert!(ended.await.done().unwrap().is_cancelled());
        assert!(!outer.cancel_called());
    }

    // Trio H05
    async fn a_shield_is_in_force_at_its_entry() {
        let outer = CancelScope::new();
        outer.cancel("before");
        let ended = outer.run(shield_unbounded(async { (is_cancelled(), checkpoint().await.is_ok()) }));
        assert_eq!(ended.await, Outcome::Done((false, true)));
    }

    // Trio H07
    async fn the_first_checkpoint_after_a_shield_is_cancelled() {
        let outer = CancelScope::new();
        outer.cancel("before");
        let ended = outer.run(async {
            let shielded = shield_unbounded(async { checkpoint().await.is_ok() }).await;
            (shielded, checkpoint().await.is_err())
        });
        assert_eq!(ended.await, Outcome::Done((true, true)));
    }

    // Trio H08
    async fn a_shielded_timeout_is_not_cancelled_from_outside() {
        let outer = CancelScope::new();
        outer.cancel("before");
        let ended = outer.run(async {
            let moved = shield_unbounded(move_on_after(secs(60), async { checkpoint().await.is_ok() })).await;
            let failed = shield_unbounded(fail_after(secs(60), async { checkpoint().await.is_ok() })).await;
            (moved, failed.is_ok_and(|fine| fine), checkpoint().await.is_err())
        });
        assert_eq!(ended.await, Outcome::Done((Some(true), true, true)));
    }

    async fn a_grace_of_zero_drops_at_once_through_shields_and_in_all_tasks() {
        let scope = CancelScope::new();
        let canceller = scope.clone();
        let (up, mut all_up) = tokio::sync::mpsc::channel::<()>(1);
        let ended = nursery(async |n| {
            let work = n.spawn_task(async move {
                let inner = nursery(async |n| {
                    for _ in 0..3 {
                        let up = up.clone();
                        n.spawn_task(shield_unbounded(async move {
                            drop(up);
                            forever().await;
                            Ok(())
                        }));
                    }
                    drop(up);
                    shield_unbounded(shield_unbounded(forever())).await;
                    Ok(())
                });
                Ok(scope.run(inner).await)
            });
            assert!(all_up.recv().await.is_none(), "all three have begun");
            canceller.cancel_with_grace(Duration::ZERO, "hard");
            work.await
        });
        match ended.await.unwrap() {
            Outcome::Cancelled(reason) => assert_eq!(reason.message(), "hard"),
            Outcome::Done(end) => assert!(end.unwrap_err().is_cancelled()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_grace_nested_shields_are_dropped() {
    let start = Instant::now();
    let scope = CancelScope::new();
    scope.cancel_with_grace(secs(5), "closing");
    let (softly, dropped) = (Cell::new(false), Cell::new(false));
    let ended = scope.run(async {
        struct OnDrop<'a>(&'a Cell<bool>);
        impl Drop for OnDrop<'_> {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        softly.set(block().await.is_err());
        shield(secs(60), async {
            let _canary = OnDrop(&dropped);
            shield_unbounded(forever()).await;
        })
        .await
    });
    let Outcome::Cancelled(reason) = ended.await else { panic!("it was cut off") };
    assert_eq!(reason.message(), "closing");
    assert!(softly.get() && dropped.get());
    assert_eq!(start.elapsed(), secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_grace_can_only_be_shortened() {
    for (first, second, expected) in [(5, 60, 5), (60, 5, 5)] {
        let start = Instant::now();
        let scope = CancelScope::new();
        let handle = scope.clone();
        let ended = nursery(async |n| {
            let work = n.spawn_task(async move { Ok(scope.run(shield_unbounded(forever())).await) });
            handle.cancel_with_grace(secs(first), "first");
            checkpoint().await?;
            handle.cancel_with_grace(secs(second), "second");
            work.await
        });
        let Ok(Outcome::Cancelled(reason)) = ended.await else { panic!("it was cut off") };
        assert_eq!((reason.message(), start.elapsed()), ("first", secs(expected)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_grace_is_void_for_what_ends_within_it() {
    let scope = CancelScope::new();
    scope.cancel_with_grace(secs(5), "closing");
    let ended = scope.run(async {
        shield_unbounded(sleep(secs(4))).await.unwrap();
        7
    });
    assert_eq!(ended.await, Outcome::Done(7));
}

#[tokio::test(start_paused = true)]
async fn the_grace_of_a_nursery_ends_its_parallel_children_too_and_is_waited_for() {
    let start = Instant::now();
    let gone = std::sync::Arc::new(());
    let ended = nursery(async |n| {
        for _ in 0..3 {
            let here = std::sync::Arc::clone(&gone);
            n.spawn_task(shield_unbounded(async move {
                forever().await;
                drop(here);
                Ok(())
            }));
        }
        n.spawn(shield_unbounded(async {
            forever().await;
            Ok(())
        }));
        n.scope().cancel_with_grace(secs(5), "closing");
        shield_unbounded(forever()).await;
        Ok(())
    });
    assert!(ended.await.unwrap_err().is_cancelled());
    assert_eq!((std::sync::Arc::strong_count(&gone), start.elapsed()), (1, secs(5)));
}

#[tokio::test(start_paused = true)]
async fn what_enters_after_the_grace_does_not_begin() {
    let scope = CancelScope::new();
    scope.cancel_with_grace(secs(1), "closing");
    sleep(secs(2)).await.unwrap();
    let began = Cell::new(false);
    let ended = scope.run(async { began.set(true) });
    assert!(ended.await.is_cancelled() && !began.get());
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_shield_ends_the_shields_inside_and_waits_for_parallel_children() {
    let start = Instant::now();
    let gone = std::sync::Arc::new(());
    let here = std::sync::Arc::clone(&gone);
    let ended = shield(secs(3), async {
        nursery(async |n| {
            n.spawn_task(shield_unbounded(async move {
                forever().await;
                drop(here);
                Ok(())
            }));
            shield_unbounded(forever()).await;
            Ok(())
        })
        .await
    });
    let ended = ended.await;
    assert!(ended.is_err() || ended.is_ok_and(|end| end.is_err()));
    assert_eq!((std::sync::Arc::strong_count(&gone), start.elapsed()), (1, secs(3)));
}
