//! Actors of actors: paths, errors and cancels over several processes, and the end of all when one in between dies.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use triune::actor::{CallError, current_path};
use triune::prelude::*;
use triune_testing::{LeakGuard, ProcessInfo, eventually, processes_of_tree};

use crate::support::{Bell, kill, ring};

#[triune::endpoint]
async fn path_at(depth: u32) -> Result<Vec<(String, u32)>> {
    let mut path = vec![(current_path().to_owned(), std::process::id())];
    if depth > 0 {
        let below =
            nursery(async |n| Ok(n.actor(format!("d{depth}")).run(path_at::with(depth - 1)).await?)).await?;
        path.extend(below);
    }
    Ok(path)
}

#[triune::endpoint]
async fn fail_at(depth: u32) -> Result {
    if depth == 0 {
        return Err(Error::msg("the leaf is dry").context("drawing"));
    }
    nursery(async |n| Ok(n.actor("below").run(fail_at::with(depth - 1)).await?)).await
}

/// Starts an actor below that does the same, `depth` times; the last one waits.
#[triune::endpoint]
async fn wait_at(depth: u32, bell: PathBuf) -> Result {
    ring(&bell, &format!("up {}", std::process::id()));
    let waited = if depth > 0 {
        nursery(async |n| {
            let below = n.actor("below").start().await?;
            Ok(below.call(wait_at::with(depth - 1, bell.clone())).await?)
        })
        .await
    } else {
        std::future::pending::<Result>().cancellable().await.unwrap_or_else(|cancelled| Err(cancelled.into()))
    };
    let cancelled = waited.as_ref().err().and_then(Error::as_cancelled);
    if let Some(reason) = cancelled.map(triune::Cancelled::reason) {
        ring(&bell, &format!("{}|{}", reason.message(), reason.by().unwrap_or("?")));
    }
    waited
}

/// Computes for ever, with an actor below it that does the same.
#[triune::endpoint]
async fn spin_at(depth: u32, bell: PathBuf) -> Result {
    if depth == 0 {
        ring(&bell, &format!("up {}", std::process::id()));
        loop {
            std::hint::spin_loop();
        }
    }
    nursery(async |n| {
        let below = n.actor("below").start().await?;
        n.spawn_task({
            let call = spin_at::with(depth - 1, bell.clone());
            async move { Ok(below.call(call).await?) }
        });
        ring(&bell, &format!("up {}", std::process::id()));
        std::future::pending().await
    })
    .await
}

/// Cleans up, when it is cancelled, until somebody closes the gate.
#[triune::endpoint]
async fn clean_up(gate: PathBuf, bell: PathBuf) -> Result {
    ring(&bell, &format!("up {}", std::process::id()));
    let clean_up = async {
        ring(&bell, "cleaning up");
        if let Ok(mut gate) = UnixStream::connect(gate).await {
            // Nobody writes there.
            let _closed = gate.read(&mut [0]).await;
        }
        ring(&bell, "clean");
    };
    let Err(cancelled) = triune::sleep_forever().finally(clean_up).await?;
    Err(cancelled.into())
}

/// Has an actor below it that does this, with so much grace.
#[triune::endpoint]
async fn own_one_that_cleans_up(grace: Duration, gate: PathBuf, bell: PathBuf) -> Result {
    nursery(async |n| {
        let below = n.actor("below").grace(grace).start().await?;
        Ok(below.call(clean_up::with(gate, bell)).await?)
    })
    .await
}

async fn pids(bell: &Bell, count: usize) -> Vec<u32> {
    let mut pids = Vec::new();
    while pids.len() < count {
        if let Some(pid) = bell.next().await.strip_prefix("up ") {
            pids.push(pid.parse().unwrap());
        }
    }
    pids
}

#[triune::test]
async fn an_endpoint_may_start_actors_of_its_own() {
    let guard = LeakGuard::new();
    let path = nursery(async |n| Ok(n.actor("a").run(path_at::with(2)).await?)).await.unwrap();
    let names: Vec<_> = path.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(names, ["/a", "/a/d2", "/a/d2/d1"]);
    assert!(path[0].1 != path[1].1 && path[1].1 != path[2].1);
    guard.settle().await;
}

#[triune::test]
async fn an_error_keeps_its_origin_over_several_processes() {
    let guard = LeakGuard::new();
    let error = nursery(async |n| Ok(n.actor("top").run(fail_at::with(2)).await?)).await.unwrap_err();
    let call = error.downcast_ref::<CallError<Error>>().unwrap();
    let report = call.report().unwrap();
    assert_eq!(report.path.as_deref(), Some("/top/below/below"));
    assert_eq!(report.relays, ["/top/below", "/top"]);
    assert_eq!(report.chain.last().map(String::as_str), Some("the leaf is dry"));
    assert!(format!("{error:#}").contains("drawing: the leaf is dry"), "{error:#}");
    guard.settle().await;
}

#[triune::test]
async fn a_cancel_passes_through_all_processes_with_its_reason_and_author() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    nursery(async |n| {
        let actor = n.actor("top").start().await?;
        let call = n.spawn({
            let (actor, call) = (actor.clone(), wait_at::with(2, bell.path()));
            async move { Ok(actor.call(call).await.unwrap_err().is_peer_cancelled()) }
        });
        pids(&bell, 3).await;
        actor.cancel("all of you");
        assert!(call.await?);
        for _ in 0..3 {
            assert_eq!(bell.next().await, "all of you|/");
        }
        assert!(actor.wait().await?.is_graceful());
        Ok(())
    })
    .await
    .unwrap();
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn actors_below_one_that_is_killed_are_gone_soon() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    let error = nursery(async |n| {
        let actor = n.actor("top").start().await?;
        n.spawn({
            let (actor, call) = (actor.clone(), wait_at::with(2, bell.path()));
            async move { Ok(actor.call(call).await?) }
        });
        pids(&bell, 3).await;
        kill(actor.pid());
        // They had the time to clean up.
        for _ in 0..2 {
            let seen = triune::shield_unbounded(bell.next()).await;
            assert_eq!(seen, "the parent process is gone|/top");
        }
        std::future::pending::<Result>().await
    })
    .await
    .unwrap_err();
    assert_eq!(error.group().unwrap().len(), 1, "{error:?}");
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn a_busy_actor_below_one_that_is_killed_is_gone_soon() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    let error = nursery(async |n| {
        let actor = n.actor("top").start().await?;
        n.spawn({
            let (actor, call) = (actor.clone(), spin_at::with(1, bell.path()));
            async move { Ok(actor.call(call).await?) }
        });
        let pids = pids(&bell, 2).await;
        let busy = pids.into_iter().find(|pid| *pid != actor.pid()).unwrap();
        let busy = ProcessInfo::of(busy).unwrap();
        kill(actor.pid());
        // Its lifeline's grace is 500 ms.
        let gone =
            triune::shield_unbounded(eventually(Duration::from_secs(5), || busy.now().is_none())).await;
        assert!(gone, "{:?}", processes_of_tree());
        std::future::pending::<Result>().await
    })
    .await
    .unwrap_err();
    assert_eq!(error.group().unwrap().len(), 1, "{error:?}");
    drop(bell);
    guard.settle().await;
}

/// Kills the owner of an actor that cleans up. Gives what that one said, and how long it was there afterwards.
async fn clean_up_after_the_owner(grace: Duration, is_let_through: bool) -> (Vec<String>, Duration) {
    let bell = Bell::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate");
    let gate = UnixListener::bind(&path).unwrap();
    let mut said = Vec::new();
    let mut lived = Duration::ZERO;
    let error = nursery(async |n| {
        let actor = n.actor("top").start().await?;
        n.spawn({
            let (actor, call) = (actor.clone(), own_one_that_cleans_up::with(grace, path, bell.path()));
            async move { Ok(actor.call(call).await?) }
        });
        let process = ProcessInfo::of(pids(&bell, 1).await[0]).expect("it waits");
        triune::shield_unbounded(async {
            let killed = Instant::now();
            kill(actor.pid());
            said.push(bell.next().await);
            if is_let_through {
                assert!(process.now().is_some(), "it is in the middle of it");
                drop(gate);
                said.push(bell.next().await);
            }
            assert!(eventually(Duration::from_secs(10), || process.now().is_none()).await, "{process}");
            lived = killed.elapsed();
            said.extend(bell.waiting());
        })
        .await;
        Ok(())
    });
    error.await.unwrap_err();
    (said, lived)
}

#[triune::test]
async fn an_actor_whose_owner_is_killed_has_its_grace_to_clean_up_and_no_more() {
    let guard = LeakGuard::new();
    let (said, _) = clean_up_after_the_owner(Duration::from_secs(60), true).await;
    assert_eq!(said, ["cleaning up", "clean"]);
    let grace = Duration::from_millis(300);
    let (said, lived) = clean_up_after_the_owner(grace, false).await;
    assert_eq!(said, ["cleaning up"]);
    assert!(lived >= grace, "{lived:?}");
    guard.settle().await;
}
