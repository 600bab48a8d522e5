//! Death of an actor's process: every wait on it resolves at once, typed, and the nursery reports it once.

use std::path::PathBuf;

use triune::actor::{ActorDied, CallError};
use triune::prelude::*;
use triune_testing::LeakGuard;

use crate::support::{Bell, kill, ring};

#[triune::endpoint]
async fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[triune::endpoint]
async fn hang(bell: PathBuf) {
    ring(&bell, "begun");
    std::future::pending().await
}

#[triune::endpoint]
async fn leave(code: i32) -> Result {
    std::process::exit(code)
}

#[triune::endpoint]
async fn abort() {
    std::process::abort()
}

#[triune::endpoint]
async fn count(cx: Context<Started<u32>, Out<u64>, In<()>>) -> Result {
    let mut dialog = cx.started(std::process::id()).await?;
    for n in 0.. {
        dialog.send(n).await?;
    }
    Ok(())
}

/// Sends what it knows, then dies.
#[triune::endpoint]
async fn last_words(cx: Context<Started<()>, Out<u32>, In<()>>) -> Result {
    let mut dialog = cx.started(()).await?;
    for n in 0..10 {
        dialog.send(n).await?;
    }
    // When the caller has answered, the items are on their way.
    dialog.recv().await?;
    std::process::exit(4)
}

/// All reports of a death in the error of a nursery.
fn deaths(error: &Error) -> Vec<&ActorDied> {
    error.group().expect("a nursery raises a group").downcast_all()
}

#[triune::test]
async fn an_actor_of_a_nursery_over_another_error_serves_and_its_death_is_that_error() {
    type Boxed = Box<dyn std::error::Error + Send + Sync>;
    let guard = LeakGuard::new();
    let error = triune::nursery_with::<Boxed, _, _, _>(async |n| {
        let actor = n.actor("typed").start().await?;
        assert_eq!(actor.call(add::with(2, 3)).await?, 5);
        kill(actor.pid());
        std::future::pending::<Result<(), Boxed>>().await
    })
    .await
    .unwrap_err();
    assert_eq!(deaths(&Error::from_boxed(error)).len(), 1);
    guard.settle().await;
}

#[triune::test]
async fn an_idle_actor_that_is_killed_fails_its_nursery_once() {
    let guard = LeakGuard::new();
    let mut pid = 0;
    let error = nursery(async |n| {
        let actor = n.actor("idle").start().await?;
        pid = actor.pid();
        kill(pid);
        std::future::pending::<Result>().await
    })
    .await
    .unwrap_err();
    let group = error.group().unwrap();
    assert_eq!(group.len(), 1, "{error:?}");
    assert_eq!(group.primary().task().name(), "/idle");
    let died = deaths(&error)[0];
    assert_eq!((died.name(), died.pid()), ("/idle", pid));
    assert_eq!(died.exit().unwrap().signal(), Some(9));
    assert_eq!(died.to_string(), format!("actor `/idle` (pid {pid}) died while idle: killed by SIGKILL"));
    guard.settle().await;
}

#[triune::test]
async fn an_actor_that_is_killed_in_calls_resolves_all_of_them_and_is_reported_once() {
    killed_in_calls().await;
}

#[triune::test(flavor = "multi_thread")]
async fn an_actor_that_is_killed_in_calls_resolves_all_of_them_and_is_reported_once_on_many_threads() {
    killed_in_calls().await;
}

async fn killed_in_calls() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    let error = nursery(async |n| {
        let actor = n.actor("busy").start().await?;
        for _ in 0..3 {
            let (actor, call) = (actor.clone(), hang::with(bell.path()));
            n.spawn(async move { Ok(actor.call(call).await?) });
        }
        for _ in 0..3 {
            assert_eq!(bell.next().await, "begun");
        }
        kill(actor.pid());
        Ok(actor.call(hang::with(bell.path())).await?)
    })
    .await
    .unwrap_err();
    let died = deaths(&error);
    assert_eq!((error.group().unwrap().len(), died.len()), (1, 1), "{error:?}");
    assert_eq!(died[0].to_string().split(") ").nth(1), Some("died while busy: killed by SIGKILL"));
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn a_call_sees_the_death_typed() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    let error = nursery(async |n| {
        let actor = n.actor("victim").start().await?;
        // Shielded from the nursery's cancel, to see the call's own end.
        let seen = triune::shield_unbounded(async {
            let stop = async {
                bell.next().await;
                kill(actor.pid());
            };
            tokio::join!(actor.call(hang::with(bell.path())), stop).0
        });
        let error = seen.await.unwrap_err();
        assert!(error.is_died());
        assert_eq!(error.died().unwrap().exit().unwrap().signal(), Some(9));
        let text = format!("{:#}", Error::from(error));
        assert!(text.starts_with("the call was not answered: actor `/victim` (pid "), "{text}");
        assert!(text.ends_with("died while busy: killed by SIGKILL"), "{text}");

        // And so does every later one, at once.
        let later = triune::shield_unbounded(actor.call(add::with(1, 1))).await.unwrap_err();
        assert!(later.is_died(), "{later:?}");
        let report = triune::shield_unbounded(actor.wait()).await?;
        assert_eq!(report.died().unwrap().exit(), report.exit());
        assert!(!report.is_graceful() && report.stop_reason().is_none());
        Ok(())
    })
    .await
    .unwrap_err();
    assert_eq!(deaths(&error).len(), 1, "{error:?}");
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn an_actor_that_is_killed_while_streaming_ends_the_block() {
    killed_while_streaming().await;
}

#[triune::test(flavor = "multi_thread")]
async fn an_actor_that_is_killed_while_streaming_ends_the_block_on_many_threads() {
    killed_while_streaming().await;
}

async fn killed_while_streaming() {
    let guard = LeakGuard::new();
    for _ in 0..5 {
        let error = nursery(async |n| {
            let actor = n.actor("stream").start().await?;
            actor
                .context(count::with(), async |pid, mut dialog| {
                    let mut seen = 0;
                    while let Some(item) = dialog.recv().await? {
                        assert_eq!(item, seen);
                        seen += 1;
                        if seen == 500 {
                            kill(pid);
                        }
                    }
                    Ok(seen)
                })
                .await?;
            Ok(())
        })
        .await
        .unwrap_err();
        let died = deaths(&error);
        assert_eq!((error.group().unwrap().len(), died.len()), (1, 1), "{error:?}");
        assert_eq!(died[0].exit().unwrap().signal(), Some(9));
    }
    guard.settle().await;
}

#[triune::test]
async fn a_block_that_waits_for_something_else_is_cancelled_by_the_death() {
    let guard = LeakGuard::new();
    let error = nursery(async |n| {
        let actor = n.actor("stream").start().await?;
        let end = triune::shield_unbounded(actor.context(count::with(), async |pid, _dialog| {
            kill(pid);
            let cancelled = std::future::pending::<()>().cancellable().await.unwrap_err();
            let reason = cancelled.reason();
            assert_eq!((reason.cause(), reason.by()), (&triune::Cause::Peer, Some("/stream")));
            assert!(reason.message().contains("died while busy: killed by SIGKILL"), "{reason}");
            Err::<(), _>(cancelled.into())
        }))
        .await;
        let error = end.unwrap_err();
        assert!(error.downcast_ref::<CallError<Error>>().unwrap().is_died(), "{error:?}");
        Err::<(), _>(error)
    })
    .await
    .unwrap_err();
    assert_eq!((error.group().unwrap().len(), deaths(&error).len()), (1, 1), "{error:?}");
    guard.settle().await;
}

#[triune::test]
async fn an_actor_that_exits_by_itself_has_died_with_any_code() {
    let guard = LeakGuard::new();
    for code in [3, 0] {
        let error = nursery(async |n| {
            let actor = n.actor("quitter").start().await?;
            Ok(actor.call(leave::with(code)).await?)
        })
        .await
        .unwrap_err();
        let died = deaths(&error);
        assert_eq!((error.group().unwrap().len(), died.len()), (1, 1), "{error:?}");
        assert_eq!(died[0].exit().unwrap().code(), Some(code));
    }
    guard.settle().await;
}

#[triune::test]
async fn an_abort_is_a_death_by_its_signal() {
    let guard = LeakGuard::new();
    let error = nursery(async |n| {
        let actor = n.actor("aborter").start().await?;
        Ok(actor.call(abort::with()).await?)
    })
    .await
    .unwrap_err();
    assert_eq!(deaths(&error)[0].exit().unwrap().signal(), Some(6));
    guard.settle().await;
}

#[triune::test]
async fn what_an_actor_sent_before_its_death_is_delivered() {
    let guard = LeakGuard::new();
    let error = nursery(async |n| {
        let actor = n.actor("author").start().await?;
        let end = triune::shield_unbounded(actor.context(last_words::with(), async |(), mut dialog| {
            let mut seen = Vec::new();
            for _ in 0..10 {
                seen.extend(dialog.recv().await?);
            }
            assert_eq!(seen, (0..10).collect::<Vec<_>>());
            dialog.send(()).await?;
            Ok(dialog.recv().await?)
        }))
        .await;
        let error = end.unwrap_err();
        let died = error.downcast_ref::<CallError<Error>>().and_then(CallError::died).unwrap();
        assert_eq!(died.exit().unwrap().code(), Some(4));
        Ok(())
    })
    .await
    .unwrap_err();
    assert_eq!(deaths(&error).len(), 1, "{error:?}");
    guard.settle().await;
}

#[triune::test]
async fn the_death_of_one_actor_stops_its_siblings_in_good_order() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    let error = nursery(async |n| {
        let (one, other) = (n.actor("one").start().await?, n.actor("other").start().await?);
        n.spawn({
            let (other, call) = (other.clone(), hang::with(bell.path()));
            async move { Ok(other.call(call).await?) }
        });
        assert_eq!(bell.next().await, "begun");
        kill(one.pid());
        let report = triune::shield_unbounded(other.wait()).await?;
        assert!(report.is_graceful(), "{report}");
        assert!(report.stop_reason().unwrap().message().contains("actor `/one`"), "{report}");
        Ok(())
    })
    .await
    .unwrap_err();
    assert_eq!((error.group().unwrap().len(), deaths(&error).len()), (1, 1), "{error:?}");
    drop(bell);
    guard.settle().await;
}
