//! The end of an actor: with its nursery, by its portal, by force; and starts that come to nothing.

use std::path::PathBuf;
use std::time::Duration;

use triune::actor::{ActorDied, CallError, Ladder, StartError};
use triune::prelude::*;
use triune::{CancelScope, Outcome, shield_unbounded};
use triune_testing::{LeakGuard, processes_of_tree};

use crate::support::{Bell, freeze, ring};

#[triune::endpoint]
async fn add(a: i64, b: i64) -> i64 {
    a + b
}

/// Cleans up when it is cancelled, over several turns of the event loop, and tells why.
#[triune::endpoint]
async fn wait_and_clean_up(bell: PathBuf) -> Result {
    ring(&bell, "begun");
    let cancelled = std::future::pending::<()>().cancellable().await.unwrap_err();
    shield_unbounded(async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let reason = cancelled.reason();
        ring(&bell, &format!("{:?}|{}|{}", reason.cause(), reason.message(), reason.by().unwrap_or("?")));
    })
    .await;
    Err(cancelled.into())
}

/// Never returns from its poll.
#[triune::endpoint]
async fn spin(bell: PathBuf) {
    ring(&bell, "begun");
    loop {
        std::hint::spin_loop();
    }
}

/// Holds a shield for ever.
#[triune::endpoint]
async fn never_lets_go(bell: PathBuf) {
    shield_unbounded(async {
        ring(&bell, "begun");
        std::future::pending::<()>().await
    })
    .await
}

/// Fails while it cleans up, for the whole process.
#[triune::endpoint]
async fn exit_in_cleanup(bell: PathBuf) -> Result {
    ring(&bell, "begun");
    drop(std::future::pending::<()>().cancellable().await);
    std::process::exit(5)
}

#[triune::test]
async fn an_actor_ends_in_good_order_when_its_nursery_has_nothing_else_to_do() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    let portal = nursery(async |n| {
        let actor = n.actor("service").start().await?;
        assert_eq!(actor.call(add::with(1, 2)).await?, 3);
        Ok(actor)
    })
    .await
    .unwrap();
    let report = portal.wait().await.unwrap();
    assert!(report.is_graceful(), "{report}");
    assert_eq!(*report.stop_reason().unwrap().cause(), triune::Cause::Finished);
    assert!(report.exit().unwrap().is_success() && report.died().is_none());
    // A portal that outlives its actor says so.
    let error = portal.call(add::with(1, 2)).await.unwrap_err();
    assert!(error.is_closed(), "{error:?}");
    assert!(error.to_string().starts_with("actor `/service` was stopped: "), "{error}");
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn requests_that_run_when_the_nursery_is_cancelled_clean_up_first() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    let scope = CancelScope::new();
    let end = scope
        .run(nursery(async |n| {
            let actor = n.actor("service").start().await?;
            for _ in 0..3 {
                let (actor, call) = (actor.clone(), wait_and_clean_up::with(bell.path()));
                n.spawn(async move { Ok(actor.call(call).await?) });
            }
            for _ in 0..3 {
                assert_eq!(bell.next().await, "begun");
            }
            scope.cancel("closing time");
            std::future::pending::<Result>().await
        }))
        .await;
    assert!(
        matches!(&end, Outcome::Done(Err(error)) if error.is_cancelled()) || end.is_cancelled(),
        "{end:?}"
    );
    for _ in 0..3 {
        assert_eq!(bell.waiting().as_deref(), Some("Peer|closing time|/"));
    }
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn a_portal_stops_its_actor_alone() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    nursery(async |n| {
        let (actor, other) = (n.actor("one").start().await?, n.actor("other").start().await?);
        let call = n.spawn({
            let (actor, call) = (actor.clone(), wait_and_clean_up::with(bell.path()));
            async move { Ok(actor.call(call).await.unwrap_err()) }
        });
        assert_eq!(bell.next().await, "begun");
        actor.cancel("you are done");
        actor.cancel("a second reason does not count");
        let refused = actor.call(add::with(1, 1)).await.unwrap_err();
        assert!(refused.is_closed(), "{refused:?}");
        let report = actor.wait().await?;
        assert!(report.is_graceful(), "{report}");
        assert_eq!(report.stop_reason().unwrap().message(), "you are done");
        assert_eq!(bell.next().await, "Peer|you are done|/");
        // It was not this caller's scope that was cancelled.
        let error = call.await?;
        let CallError::PeerCancelled(peer) = &error else { panic!("{error:?}") };
        assert_eq!((peer.reason().message(), peer.reason().by()), ("you are done", Some("/")));
        assert!(!Error::from(error).is_cancelled());
        assert_eq!(other.call(add::with(1, 1)).await?, 2);
        Ok(())
    })
    .await
    .unwrap();
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn a_busy_endpoint_is_ended_by_the_ladder_and_its_caller_hears_of_a_death() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    nursery(async |n| {
        // SIGTERM ends it, however long that takes on a busy machine.
        let ladder = Ladder::new(Duration::from_millis(20), Duration::from_secs(60));
        for endpoint in ["spin", "shield"] {
            let actor = n.actor(endpoint).ladder(ladder).start().await?;
            let call = n.spawn({
                let (actor, bell) = (actor.clone(), bell.path());
                let call = if endpoint == "spin" { spin::with(bell) } else { never_lets_go::with(bell) };
                async move { Ok(actor.call(call).await.unwrap_err()) }
            });
            assert_eq!(bell.next().await, "begun");
            actor.cancel("time is up");
            let report = actor.wait().await?;
            // SIGTERM has its default action.
            assert_eq!(report.exit().unwrap().signal(), Some(15), "{report}");
            assert!(report.died().is_none() && !report.is_graceful(), "{report}");
            let error = call.await?;
            assert_eq!(error.died().unwrap().phase(), triune::actor::Phase::Closing);
        }
        Ok(())
    })
    .await
    .unwrap();
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn a_stopped_process_is_killed_at_the_end_of_the_ladder() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let ladder = Ladder::new(Duration::from_millis(20), Duration::from_millis(20));
        let actor = n.actor("frozen").ladder(ladder).start().await?;
        freeze(actor.pid());
        actor.cancel("time is up");
        // It cannot take the SIGTERM.
        assert_eq!(actor.wait().await?.exit().unwrap().signal(), Some(9));
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn a_nursery_with_a_busy_actor_ends_within_the_ladder() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    let error = nursery(async |n| {
        let actor = n.actor("spinner").grace(Duration::from_millis(20)).start().await?;
        n.spawn({
            let (actor, call) = (actor.clone(), spin::with(bell.path()));
            async move { Ok(actor.call(call).await?) }
        });
        assert_eq!(bell.next().await, "begun");
        Err::<(), _>(Error::msg("the body's own"))
    })
    .await
    .unwrap_err();
    assert_eq!(error.group().unwrap().primary().error().to_string(), "the body's own");
    let left = processes_of_tree();
    assert!(left.is_empty(), "gone when the nursery returns, though it never cooperated: {left:?}");
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn a_clean_up_that_ends_the_process_otherwise_is_reported() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    let error = nursery(async |n| {
        let actor = n.actor("clumsy").start().await?;
        n.spawn({
            let (actor, call) = (actor.clone(), exit_in_cleanup::with(bell.path()));
            async move {
                let error = actor.call(call).await.unwrap_err();
                assert!(error.is_died(), "{error:?}");
                Ok(())
            }
        });
        assert_eq!(bell.next().await, "begun");
        actor.cancel("please end");
        Ok(())
    })
    .await
    .unwrap_err();
    let group = error.group().unwrap();
    assert_eq!(group.len(), 1, "{error:?}");
    assert!(group.primary().error().to_string().ends_with("died while closing: exit code 5"), "{error:?}");
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn names_that_would_break_a_path_are_refused_before_a_process_exists() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let long = "x".repeat(200);
        for name in ["", "a/b", "a\nb", "a\0b", long.as_str()] {
            let error = n.actor(name).start().await.unwrap_err();
            assert!(matches!(error, StartError::Name { .. }), "{error:?}");
        }
        n.actor("größe mit leerzeichen").start().await?;
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn a_cancelled_start_leaves_no_process() {
    cancelled_starts().await;
}

#[triune::test(flavor = "multi_thread")]
async fn a_cancelled_start_leaves_no_process_on_many_threads() {
    cancelled_starts().await;
}

async fn cancelled_starts() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        // Cancelled at every turn of the event loop, then at every tenth or so, until a start comes through: on many threads
        // there are thousands of turns in one.
        for turns in std::iter::successors(Some(0_u32), |turns| Some(turns + 1 + turns / 10)) {
            let scope = CancelScope::new();
            let handle = scope.clone();
            let cancel = async move {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                handle.cancel("changed my mind");
            };
            let (end, ()) = tokio::join!(scope.run(n.actor("maybe").start()), cancel);
            match end {
                Outcome::Done(Ok(actor)) => {
                    actor.cancel("enough");
                    assert!(actor.wait().await?.is_graceful());
                    break;
                }
                Outcome::Done(Err(error)) => assert!(error.is_cancelled(), "{error:?}"),
                Outcome::Cancelled(_) => {}
            }
            guard.check().expect("it is reaped before the start returns");
        }
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn a_dropped_start_leaves_no_process() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        for turns in 0..40 {
            let mut start = std::pin::pin!(n.actor("maybe").start());
            for _ in 0..turns {
                if std::future::poll_fn(|cx| std::task::Poll::Ready(start.as_mut().poll(cx))).await.is_ready()
                {
                    return Ok(());
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn a_nursery_dropped_by_foreign_code_leaves_no_actor() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    let work = nursery(async |n| {
        let actor = n.actor("orphan").start().await?;
        Ok(actor.call(wait_and_clean_up::with(bell.path())).await?)
    });
    tokio::select! {
        end = work => panic!("{end:?}"),
        begun = bell.next() => assert_eq!(begun, "begun"),
    }
    assert!(bell.next().await.starts_with("Peer|"));
    drop(bell);
    guard.settle().await;
}

/// Nobody asks it for anything: the watch alone finds out.
#[triune::test]
async fn an_actor_that_gives_no_sign_of_life_is_ended_and_its_death_says_why() {
    let guard = LeakGuard::new();
    let error = nursery(async |n| {
        let ladder = Ladder::new(Duration::from_millis(20), Duration::from_millis(20));
        let actor =
            n.actor("frozen").ladder(ladder).stall_timeout(Duration::from_millis(200)).start().await?;
        freeze(actor.pid());
        std::future::pending::<Result>().await
    })
    .await
    .unwrap_err();
    let deaths = error.group().unwrap().downcast_all::<ActorDied>();
    let why = std::error::Error::source(deaths[0]).unwrap().to_string();
    assert!(why.contains("gave no sign of life"), "{why}");
    guard.settle().await;
}

#[triune::test]
async fn an_actor_in_latency_mode_serves_as_before() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("quick").spin(Duration::from_micros(200)).start().await?;
        for number in 0..200 {
            assert_eq!(actor.call(add::with(number, 1)).await?, number + 1);
        }
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

/// The sibling is in the same task: it gets its turn only when the calls give it away.
#[triune::test]
async fn calls_to_an_actor_that_has_ended_let_siblings_run() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("ended").start().await?;
        actor.cancel("not needed any more");
        actor.wait().await?;
        let stop = std::cell::Cell::new(false);
        let retry = async {
            while !stop.get() {
                assert!(matches!(actor.call(add::with(1, 2)).await, Err(CallError::Closed(_))));
            }
        };
        let sibling = async {
            tokio::task::yield_now().await;
            stop.set(true);
        };
        tokio::join!(retry, sibling);
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}
