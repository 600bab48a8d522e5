//! Group C: cancel scopes.
//!
//! *caught* is [`Outcome::Cancelled`]. A scope made by hand leaves it to its code what to return, so a code that left by
//! `?` gives `Done(Err(Cancelled))`; `move_on_*` and `fail_*` absorb that as well.
//!
//! Left out: C21 to C23 belong to the primitives, and are tested there. C14: a nursery's group never holds a
//! `Cancelled`, so there is nothing to filter from it (C12, C13). C36 is with the examples that
//! must not compile.
//! C37: a scope is a function call, so it cannot be left while an inner one is open. C42 is with the delivery.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use triune_scope::{
    CancelReason, CancelScope, Cause, Error, FutureExt as _, Outcome, cancel_reason, check_cancelled,
    checkpoint, is_cancelled, move_on_after, nursery, shield_unbounded,
};

use super::{block, forever, on_both_runtimes};

#[derive(Debug, PartialEq)]
struct Mine(&'static str);

impl fmt::Display for Mine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Mine {}

fn members(error: &Error) -> Vec<&'static str> {
    let group = error.group().unwrap();
    group.flatten().into_iter().map(|error| error.downcast_ref::<Mine>().unwrap().0).collect()
}

on_both_runtimes! {
    // Trio C02, C20
    async fn a_cancel_holds_until_the_scope_ends_and_only_at_awaits() {
        let scope = CancelScope::new();
        let inside = scope.clone();
        let outcome = scope.run(async move {
            inside.cancel("stop");
            assert!(is_cancelled(), "code without an await runs on");
            assert!(block().await.is_err());
            assert!(block().await.is_err());
            3
        });
        assert_eq!(outcome.await, Outcome::Done(3));
    }

    // Trio C03
    async fn a_cancel_that_nothing_saw_ends_with_its_scope() {
        let scope = CancelScope::new();
        let inside = scope.clone();
        assert_eq!(scope.run(async move { inside.cancel("unseen") }).await, Outcome::Done(()));
        assert!(!is_cancelled() && checkpoint().await.is_ok());
    }

    // Trio C04
    async fn a_scope_that_was_cancelled_before_it_is_entered_cancels_the_first_await() {
        let scope = CancelScope::new();
        scope.cancel("early");
        let began = Cell::new(false);
        let foreign = scope.run(async {
            began.set(true);
            forever().await;
        });
        assert!(foreign.await.is_cancelled() && began.get());
        let scope = CancelScope::new();
        scope.cancel("early");
        assert!(scope.run(block()).await.done().unwrap().is_err());
    }

    // Trio C05
    async fn a_scope_is_cancelled_from_another_task_while_it_blocks() {
        let scope = CancelScope::new();
        let canceller = scope.clone();
        let (up, is_up) = tokio::sync::oneshot::channel();
        let ended = nursery(async |n| {
            let blocked = n.spawn_task(async move {
                let soft = scope.run(async {
                    up.send(()).unwrap();
                    block().await.map_err(|cancelled| cancelled.reason().message().to_owned())
                });
                let soft = soft.await;
                assert!(!is_cancelled() && checkpoint().await.is_ok(), "its cancel ends with it");
                Ok(soft)
            });
            n.spawn_task(async move {
                is_up.cancellable().await?.unwrap();
                canceller.cancel("from B");
                Ok(())
            });
            blocked.await
        });
        assert_eq!(ended.await.unwrap(), Outcome::Done(Err("from B".to_owned())));
    }

    // Trio C06
    async fn a_scope_is_entered_once_and_a_second_entry_does_not_disturb_the_first() {
        let scope = CancelScope::new();
        let again = scope.clone();
        let enter = |scope: CancelScope| {
            let entered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(scope.run(async {}))));
            let payload = entered.unwrap_err();
            payload.downcast_ref::<&str>().unwrap().contains("entered once")
        };
        let outcome = scope.run(async {
            assert!(enter(again.clone()), "inside");
            let elsewhere = again.clone();
            let other = nursery(async |n| n.spawn_task(async move { Ok(enter(elsewhere)) }).await);
            assert!(other.await.unwrap(), "from another task");
            checkpoint().await.is_ok()
        });
        assert_eq!(outcome.await, Outcome::Done(true));
        assert!(enter(scope), "after its end");
    }

    // Trio C07
    async fn a_cancel_after_the_end_is_called_and_has_no_effect() {
        let scope = CancelScope::new();
        assert_eq!(scope.run(async { 1 }).await, Outcome::Done(1));
        scope.cancel("late");
        assert!(scope.cancel_called() && !is_cancelled() && checkpoint().await.is_ok());
    }

    // Trio C08
    async fn each_cancelled_scope_ends_at_its_own_border() {
        let (one, two, three) = (CancelScope::new(), CancelScope::new(), CancelScope::new());
        let (cancel_two, cancel_three) = (two.clone(), three.clone());
        let after_three = Cell::new(false);
        let outcome = one.run(async {
            let inner = two.run(async {
                let innermost = three.run(async {
                    cancel_three.cancel("three");
                    cancel_two.cancel("two");
                    forever().await;
                });
                assert!(innermost.await.is_cancelled());
                after_three.set(true);
                forever().await;
            });
            assert!(matches!(inner.await, Outcome::Cancelled(reason) if reason.message() == "two"));
            checkpoint().await
        });
        assert_eq!(outcome.await, Outcome::Done(Ok(())), "the outer scope was not cancelled");
        assert!(after_three.get() && three.cancel_called() && !one.cancel_called());
    }

    // Trio C10
    async fn an_error_made_of_a_cancel_comes_out() {
        let scope = CancelScope::new();
        scope.cancel("now");
        let outcome = scope.run(async { block().await.map_err(|_| Mine("instead")) });
        assert_eq!(outcome.await, Outcome::Done(Err(Mine("instead"))));
        assert!(scope.cancel_called());
    }

    // Trio C11
    async fn errors_without_a_cancel_among_them_come_out_of_a_cancelled_scope() {
        let scope = CancelScope::new();
        scope.cancel("now");
        let outcome = scope.run(nursery(async |n| {
            n.spawn(async { Err::<(), _>(Mine("one").into()) });
            n.spawn(async { Err::<(), _>(Mine("two").into()) });
            Ok(())
        }));
        let error = outcome.await.done().unwrap().unwrap_err();
        assert_eq!(members(&error), ["one", "two"]);
    }

    // Trio C12, C15
    async fn what_fails_beside_cancels_comes_out_alone() {
        let outer = CancelScope::new();
        let canceller = outer.clone();
        let outcome = outer.run(nursery(async |n| {
            for _ in 0..2 {
                n.spawn(async { Ok(block().await?) });
            }
            n.spawn_task(async { Ok(block().await?) });
            n.spawn(async {
                canceller.cancel("outer");
                Err::<(), _>(Mine("beside").into())
            });
            Ok(block().await?)
        }));
        let error = outcome.await.done().unwrap().unwrap_err();
        assert_eq!(members(&error), ["beside"]);
        assert!(outer.cancel_called());
    }

    // Trio C13
    async fn nothing_comes_out_where_only_cancels_were() {
        let deep = || nursery(async |n| {
            n.spawn(nursery(async |n| {
                n.spawn(async { Ok(block().await?) });
                n.spawn_task(async { Ok(block().await?) });
                Ok(block().await?)
            }));
            Ok(block().await?)
        });
        assert!(move_on_after(Duration::from_millis(1), deep()).await.is_none());
        let scope = CancelScope::new();
        scope.cancel("now");
        let error = scope.run(deep()).await.done().unwrap().unwrap_err();
        assert!(error.is_cancelled() && error.group().is_none(), "by hand: told, but not as a failure");
    }

    // Trio C24
    async fn check_cancelled_does_not_wait() {
        let scope = CancelScope::new();
        let inside = scope.clone();
        let mut run = std::pin::pin!(scope.run(async {
            assert!(check_cancelled().is_ok());
            inside.cancel("now");
            check_cancelled().is_err()
        }));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(run.as_mut().poll(&mut cx).is_ready(), "in one poll");
    }

    // Trio C25
    async fn shielded_checkpoints_in_a_cancelled_scope_are_fine() {
        let scope = CancelScope::new();
        scope.cancel("now");
        let outcome = scope.run(async {
            let first = shield_unbounded(checkpoint()).await.is_ok();
            let second = shield_unbounded(checkpoint()).await.is_ok();
            (first, second, checkpoint().await.is_err())
        });
        assert_eq!(outcome.await, Outcome::Done((true, true, true)));
    }

    // Trio C31
    async fn a_child_sees_who_failed() {
        let failed = nursery(async |n| {
            n.spawn_named("other", async {
                let reason = block().await.unwrap_err().reason().clone();
                assert_eq!((reason.cause(), reason.message()), (&Cause::Sibling, "mine"));
                assert!(reason.by().is_some_and(|by| by.contains("body")), "{reason:?}");
                Ok(())
            });
            checkpoint().await?;
            Err::<(), _>(Mine("mine").into())
        });
        assert_eq!(members(&failed.await.unwrap_err()), ["mine"]);
    }

    // Trio C33
    async fn the_first_reason_wins() {
        let scope = CancelScope::new();
        scope.cancel("a");
        scope.cancel("b");
        scope.set_timeout(Duration::ZERO);
        assert_eq!(scope.run(async { cancel_reason() }).await.done().unwrap().unwrap().message(), "a");

        let scope = CancelScope::with_deadline(tokio::time::Instant::now());
        scope.cancel("too late");
        assert_eq!(*scope.reason().unwrap().cause(), Cause::Deadline);
    }

    // Trio C34
    async fn a_leaf_sees_the_reason_of_whatever_is_cancelled_above() {
        let scope = CancelScope::new();
        let line = line!() + 1;
        scope.cancel("x");
        let seen = scope.run(CancelScope::new().run(nursery(async |n| {
            let parallel = n.spawn_task(async { Ok(()) });
            let leaf = block().await.unwrap_err().reason().clone();
            drop(parallel);
            Ok(leaf)
        })));
        let reason = seen.await.done().unwrap().done().unwrap().unwrap();
        assert_eq!((reason.cause(), reason.message()), (&Cause::Explicit, "x"));
        let place = reason.location().unwrap();
        assert!(place.contains(&format!("cancel.rs:{line}:")), "{place}");
    }
}

// Trio C27
#[tokio::test]
async fn after_a_cancel_everything_blocked_is_runnable_and_nothing_has_run() {
    let scope = CancelScope::new();
    let canceller = scope.clone();
    let ran = Cell::new(0);
    let waiting = scope.run(async {
        let leaf = || async {
            assert!(block().await.is_err());
            ran.set(ran.get() + 1);
        };
        tokio::join!(leaf(), leaf(), leaf());
    });
    let mut waiting = std::pin::pin!(waiting);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    canceller.cancel("now");
    assert_eq!(ran.get(), 0);
    assert!(waiting.as_mut().poll(&mut cx).is_ready(), "one poll is enough for all three");
    assert_eq!(ran.get(), 3);
}

// Trio C35
#[test]
fn a_reason_survives_being_taken_apart() {
    let scope = CancelScope::new();
    scope.cancel(CancelReason::new(Cause::Signal(15), "stop").with_by("init"));
    let reason = scope.reason().unwrap();
    let again = CancelReason::from_parts(reason.to_parts()).unwrap();
    assert_eq!((&again, again.location()), (&reason, reason.location()));
    assert_eq!(format!("{again:?}"), format!("{reason:?}"));
    for cause in [
        Cause::Explicit,
        Cause::Sibling,
        Cause::Panic,
        Cause::Parent,
        Cause::Deadline,
        Cause::Shutdown,
        Cause::Signal(-1),
        Cause::Peer,
        Cause::Finished,
        Cause::Dropped,
    ] {
        assert_eq!(cause.code().parse(), Ok(cause));
    }
    assert!("signal:x".parse::<Cause>().is_err() && "".parse::<Cause>().is_err());
}
