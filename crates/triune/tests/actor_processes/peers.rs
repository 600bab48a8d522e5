//! Siblings that their parent has introduced to each other, and the end of such a link in all ways.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use triune::actor::{CallError, current_path, introduce, peer, peers};
use triune::prelude::*;
use triune_testing::LeakGuard;

use crate::support::{Bell, freeze, kill, ring};

#[triune::endpoint]
async fn who() -> (String, u32) {
    (current_path().to_owned(), std::process::id())
}

/// Asks a sibling who it is.
#[triune::endpoint]
async fn ask(name: String) -> Result<(String, u32)> {
    Ok(peer(&name)?.call(who::with()).await?)
}

/// Asks a sibling so often, then rings.
#[triune::endpoint]
async fn ask_often(name: String, times: u32, bell: PathBuf) -> Result {
    let sibling = peer(&name)?;
    for _ in 0..times {
        sibling.call(who::with()).await?;
    }
    ring(&bell, "asked");
    Ok(())
}

#[triune::endpoint]
async fn hang(bell: PathBuf) -> Result {
    ring(&bell, "begun");
    let cancelled = std::future::pending::<()>().cancellable().await.unwrap_err();
    ring(&bell, &format!("{}|{}", cancelled.reason().message(), cancelled.reason().by().unwrap_or("?")));
    Err(cancelled.into())
}

/// Has a sibling hang, and tells how that ended.
#[triune::endpoint]
async fn have_hang(name: String, bell: PathBuf) -> Result<String> {
    match peer(&name)?.call(hang::with(bell)).await {
        Err(CallError::Cancelled(cancelled)) => Err(cancelled.into()),
        Err(CallError::Died(died)) => Ok(died.to_string()),
        Err(error) if error.is_peer_cancelled() => Ok("cancelled over there".to_owned()),
        other => Ok(format!("{other:?}")),
    }
}

#[triune::endpoint]
async fn double(cx: Context<Started<String>, Out<u64>, In<u32>>) -> Result<u64> {
    let mut dialog = cx.started(current_path().to_owned()).await?;
    let mut sum = 0;
    while let Some(number) = dialog.recv().await? {
        sum += u64::from(number);
        dialog.send(u64::from(number) * 2).await?;
    }
    Ok(sum)
}

/// Has a dialog with a sibling.
#[triune::endpoint]
async fn converse(name: String) -> Result<(String, u64)> {
    let (first, sum) = peer(&name)?
        .context(double::with(), async |first, mut dialog| {
            for number in 1..=100 {
                dialog.send(number).await?;
                assert_eq!(dialog.recv().await?, Some(u64::from(number) * 2));
            }
            Ok(first)
        })
        .await?;
    Ok((first, sum))
}

#[triune::endpoint]
async fn known() -> Vec<String> {
    peers().iter().map(|peer| peer.path().to_owned()).collect()
}

/// Waits until this actor knows nobody. Whoever has ended has said so; what it said may be read after a call that was sent later.
async fn is_alone(actor: &Portal) -> Result {
    while !actor.call(known::with()).await?.is_empty() {
        triune::checkpoint().await?;
    }
    Ok(())
}

#[triune::endpoint]
async fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[triune::test]
async fn siblings_call_each_other_and_their_parent_has_no_part_in_it() {
    let guard = LeakGuard::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bell");
    let bell = UnixDatagram::bind(&path).unwrap();
    bell.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    nursery(async |n| {
        let (a, b) = (n.actor("a").start().await?, n.actor("b").start().await?);
        introduce(&a, &b).await?;
        assert_eq!(a.call(ask::with("b".to_owned())).await?, ("/b".to_owned(), b.pid()));
        assert_eq!(b.call(ask::with("a".to_owned())).await?, ("/a".to_owned(), a.pid()));
        assert_eq!(a.call(known::with()).await?, ["/b"]);
        assert_eq!(a.call(converse::with("b".to_owned())).await?, ("/b".to_owned(), 5050));
        let asking = n.spawn({
            let (a, call) = (a.clone(), ask_often::with("b".to_owned(), 100, path));
            async move { Ok(a.call(call).await?) }
        });
        triune::checkpoint().await?;
        // The one thread of this process sleeps here, and moves nothing.
        let mut word = [0; 16];
        let len = bell.recv(&mut word).unwrap();
        assert_eq!(&word[..len], b"asked");
        asking.await
    })
    .await
    .unwrap();
    drop((bell, folder));
    guard.settle().await;
}

#[triune::test]
async fn an_actor_that_was_not_introduced_is_not_found_and_the_error_names_the_remedy() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let (a, b) = (n.actor("a").start().await?, n.actor("b").start().await?);
        let error = a.call(ask::with("b".to_owned())).await.unwrap_err();
        let report = error.report().unwrap();
        assert_eq!(
            report.message,
            "`/a` knows no living actor `b`: their parent introduces two actors by `introduce`"
        );
        // What is asked of the actor itself is in no registry.
        assert!(b.call(known::with()).await?.is_empty());
        let error = introduce(&a, &a.clone()).await.unwrap_err();
        assert!(error.to_string().contains("cannot be introduced to itself"), "{error}");
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn a_cancel_reaches_the_sibling_that_works_for_the_cancelled_one() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    nursery(async |n| {
        let (a, b) = (n.actor("a").start().await?, n.actor("b").start().await?);
        introduce(&a, &b).await?;
        let call = n.spawn({
            let (a, call) = (a.clone(), have_hang::with("b".to_owned(), bell.path()));
            async move { Ok(a.call(call).await.unwrap_err().is_peer_cancelled()) }
        });
        assert_eq!(bell.next().await, "begun");
        a.cancel("enough");
        assert_eq!(bell.next().await, "enough|/");
        assert!(call.await?);
        assert!(a.wait().await?.is_graceful());
        is_alone(&b).await
    })
    .await
    .unwrap();
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn the_death_of_a_sibling_is_told_to_the_calls_to_it_at_once_and_typed() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    nursery(async |n| {
        let a = n.actor("a").start().await?;
        // In a nursery of its own, so that its death does not concern the other one.
        let error = nursery(async |n| {
            let b = n.actor("b").start().await?;
            introduce(&a, &b).await?;
            let call = a.call(have_hang::with("b".to_owned(), bell.path()));
            let seen = Box::pin(triune::shield_unbounded(async {
                let die = async {
                    bell.next().await;
                    kill(b.pid());
                };
                tokio::join!(call, die).0
            }));
            let expected = format!("actor `/b` (pid {}) died while busy: its link is gone", b.pid());
            assert_eq!(seen.await?, expected);
            std::future::pending::<Result>().await
        })
        .await
        .unwrap_err();
        let group = error.group().unwrap();
        assert_eq!((group.len(), group.primary().task().name()), (1, "/b"), "{error:?}");
        // The one that is left serves on, and knows it no more.
        assert!(a.call(known::with()).await?.is_empty());
        Ok(())
    })
    .await
    .unwrap();
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn a_sibling_that_was_stopped_is_known_no_more_and_leaves_no_descriptor() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let a = n.actor("a").start().await?;
        let before = a.call(open_files::with()).await?;
        for _ in 0..3 {
            let b = n.actor("b").start().await?;
            introduce(&a, &b).await?;
            introduce(&b, &a).await?;
            assert_eq!(a.call(open_files::with()).await?, before + 1);
            assert_eq!(a.call(ask::with("b".to_owned())).await?.1, b.pid());
            b.cancel("enough of it");
            b.wait().await?;
            let error = introduce(&a, &b).await.unwrap_err();
            assert!(error.is_closed(), "{error:?}");
            is_alone(&a).await?;
            assert_eq!(a.call(open_files::with()).await?, before);
        }
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn an_introduction_to_one_that_dies_is_an_error_that_says_so() {
    let guard = LeakGuard::new();
    let error = nursery(async |n| {
        let (a, b) = (n.actor("a").start().await?, n.actor("b").start().await?);
        // It cannot answer any more.
        freeze(b.pid());
        triune::shield_unbounded(async {
            let die = async {
                triune::checkpoint().await.unwrap();
                kill(b.pid());
            };
            let (met, ()) = tokio::join!(introduce(&a, &b), die);
            let error = met.unwrap_err();
            assert_eq!(error.died().map(|died| died.name()), Some("/b"), "{error:?}");
            assert_eq!(introduce(&b, &a).await.unwrap_err().died().map(|died| died.pid()), Some(b.pid()));
        })
        .await;
        std::future::pending::<Result>().await
    })
    .await
    .unwrap_err();
    assert_eq!(error.group().unwrap().len(), 1, "{error:?}");
    guard.settle().await;
}

#[triune::test]
async fn an_introduction_to_one_that_does_not_answer_can_be_given_up() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let (a, b) =
            (n.actor("a").start().await?, n.actor("b").grace(Duration::from_millis(10)).start().await?);
        freeze(b.pid());
        let met = triune::fail_after(Duration::from_millis(50), async {
            introduce(&a, &b).await?;
            Ok::<_, Error>(())
        });
        assert!(met.await.unwrap_err().is_timeout());
        assert!(a.call(known::with()).await?.is_empty());
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn introductions_by_the_hundred_at_once_are_taken_in_turns() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let mut actors = Vec::new();
        for name in ["a", "b", "c", "d"] {
            actors.push(n.actor(name).start().await?);
        }
        nursery(async |n| {
            for _ in 0..40 {
                for (k, one) in actors.iter().enumerate() {
                    for other in &actors[k + 1..] {
                        let (one, other) = (one.clone(), other.clone());
                        n.spawn(async move { Ok(introduce(&other, &one).await?) });
                    }
                }
            }
            Ok(())
        })
        .await?;
        for actor in &actors {
            for name in ["a", "b", "c", "d"] {
                if actor.name() != name {
                    assert_eq!(actor.call(ask::with(name.to_owned())).await?.0, format!("/{name}"));
                }
            }
        }
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}
