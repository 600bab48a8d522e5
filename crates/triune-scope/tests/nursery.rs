//! What a nursery promises: values, errors, the order of ends. Ids name the cases of the conformance list.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use triune_scope::{
    Cause, ChildError, ChildErrorKind, Error, FutureExt, Result, cancel_reason, checkpoint, current_task,
    nursery, shield_unbounded,
};

#[derive(Debug, PartialEq, Eq)]
struct Failure(&'static str);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Failure {}

async fn fail(text: &'static str) -> Result {
    Err(Failure(text).into())
}

async fn block() -> Result {
    std::future::pending::<()>().cancellable().await?;
    Ok(())
}

fn leaves(error: &Error) -> Vec<&'static str> {
    error
        .group()
        .expect("a nursery fails with a group")
        .downcast_all::<Failure>()
        .iter()
        .map(|f| f.0)
        .collect()
}

// Trio N01
#[tokio::test]
async fn the_value_of_the_body_is_the_value_of_the_nursery() {
    assert_eq!(nursery(async |_| Ok(5)).await.unwrap(), 5);
}

// Trio N04, N05, N07
#[tokio::test]
async fn every_failure_is_raised_in_a_group() {
    let body = nursery(async |_| fail("body").await).await.unwrap_err();
    assert_eq!(leaves(&body), ["body"]);
    assert_eq!(body.group().unwrap().primary().task().name(), "body");

    let child = nursery(async |n| {
        n.spawn(fail("child"));
        Ok(())
    })
    .await
    .unwrap_err();
    assert_eq!(leaves(&child), ["child"]);

    let two = nursery(async |n| {
        n.spawn(fail("one"));
        n.spawn(fail("two"));
        Ok(())
    })
    .await
    .unwrap_err();
    assert_eq!(leaves(&two), ["one", "two"]);
    assert_eq!(two.downcast_ref::<Failure>(), Some(&Failure("one")), "the primary is the source");
}

// Trio N06
#[tokio::test]
async fn body_and_child_may_both_fail() {
    let error = nursery(async |n| {
        n.spawn(fail("child"));
        fail("body").await
    })
    .await
    .unwrap_err();
    assert_eq!(leaves(&error), ["body", "child"]);
    let members: Vec<bool> = error.group().unwrap().iter().map(|m| m.is_secondary()).collect();
    assert_eq!(members, [false, true]);
}

// Trio N08, C31
#[tokio::test]
async fn a_failing_child_cancels_the_body_and_the_cancel_is_no_member() {
    let seen = AtomicBool::new(false);
    let error = nursery(async |n| {
        n.spawn_named("worker", fail("child"));
        let cancelled = std::future::pending::<()>().cancellable().await.unwrap_err();
        assert_eq!(cancelled.reason().cause(), &Cause::Sibling);
        assert!(cancelled.reason().by().unwrap().starts_with("worker"));
        seen.store(true, Ordering::Relaxed);
        Err::<(), _>(cancelled.into())
    })
    .await
    .unwrap_err();
    assert!(seen.into_inner());
    assert_eq!(leaves(&error), ["child"]);
    assert_eq!(error.group().unwrap().len(), 1);
}

// Trio N09, N11
#[tokio::test(start_paused = true)]
async fn siblings_clean_up_before_the_nursery_returns() {
    let cleaned = AtomicBool::new(false);
    let start = tokio::time::Instant::now();
    let error = nursery(async |n| {
        n.spawn(async {
            let cut = block().await;
            shield_unbounded(tokio::time::sleep(std::time::Duration::from_secs(2))).await;
            cleaned.store(true, Ordering::Relaxed);
            cut
        });
        n.spawn(fail("first"));
        Ok(())
    })
    .await
    .unwrap_err();
    assert!(cleaned.into_inner());
    assert_eq!(start.elapsed().as_secs(), 2);
    assert_eq!(leaves(&error), ["first"]);
}

// Trio N12, N13
#[tokio::test]
async fn a_cancelled_nursery_is_no_error_unless_the_body_is_cut() {
    nursery(async |n| {
        n.spawn(block());
        n.cancel("enough");
        Ok(())
    })
    .await
    .unwrap();

    let cut = nursery(async |n| {
        n.cancel("enough");
        std::future::pending::<()>().await;
        Ok(())
    })
    .await
    .unwrap_err();
    assert_eq!(cut.as_cancelled().unwrap().reason().message(), "enough");
    assert!(cut.group().is_none());
}

// Trio N14
#[tokio::test]
async fn a_child_of_a_cancelled_nursery_runs_to_its_first_checkpoint() {
    let started = AtomicBool::new(false);
    nursery(async |n| {
        n.cancel("before");
        n.spawn(async {
            started.store(true, Ordering::Relaxed);
            block().await
        });
        Ok(())
    })
    .await
    .unwrap();
    assert!(started.into_inner());
}

// Trio N16
#[tokio::test]
async fn a_child_may_start_a_sibling_after_the_body_has_ended() {
    let count = AtomicUsize::new(0);
    nursery(async |n| {
        let count = &count;
        n.spawn_with(async move |n| {
            checkpoint().await?;
            n.spawn(async move {
                count.fetch_add(1, Ordering::Relaxed);
                Ok(())
            });
            Ok(())
        });
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(count.into_inner(), 1);
}

// Trio N20
#[tokio::test]
async fn groups_keep_the_levels_of_nurseries() {
    let error = nursery(async |n| {
        n.spawn(nursery(async |inner| {
            inner.spawn(fail("deep"));
            Ok(())
        }));
        Ok(())
    })
    .await
    .unwrap_err();
    let outer = error.group().unwrap();
    assert_eq!(outer.primary().error().group().unwrap().len(), 1);
    assert_eq!(leaves(&error), ["deep"]);
    let report = format!("{error:?}");
    assert!(report.contains("deep") && report.contains("nursery.rs"), "{report}");
}

// Trio N21
#[tokio::test]
async fn a_cancel_reaches_the_leaves_of_inner_nurseries() {
    let cancelled = AtomicUsize::new(0);
    nursery(async |n| {
        for _ in 0..2 {
            n.spawn(nursery(async |inner| {
                for _ in 0..2 {
                    inner.spawn(async {
                        let end = block().await;
                        cancelled.fetch_add(1, Ordering::Relaxed);
                        end
                    });
                }
                Ok(())
            }));
        }
        checkpoint().await?;
        n.cancel("all");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(cancelled.into_inner(), 4);
}

// Trio N27
#[tokio::test]
async fn a_child_is_named_after_its_function_or_as_told() {
    nursery(async |n| {
        let by_type = n.spawn(block());
        let by_name = n.spawn_named("feeder", async { Ok(current_task().unwrap().name().to_owned()) });
        assert!(by_type.name().ends_with("block"), "{}", by_type.name());
        assert_eq!(by_name.name(), "feeder");
        assert_eq!(by_name.await?, "feeder");
        by_type.cancel("seen");
        Ok(())
    })
    .await
    .unwrap();
}

// Trio N28
#[tokio::test]
async fn children_take_turns() {
    let log = std::sync::Mutex::new(Vec::new());
    nursery(async |n| {
        for name in ["a", "b"] {
            let log = &log;
            n.spawn(async move {
                for turn in 0..3 {
                    log.lock().unwrap().push((turn, name));
                    checkpoint().await?;
                }
                Ok(())
            });
        }
        Ok(())
    })
    .await
    .unwrap();
    let turns: Vec<i32> = log.into_inner().unwrap().into_iter().map(|(turn, _)| turn).collect();
    assert_eq!(turns, [0, 0, 1, 1, 2, 2]);
}

// Trio N31, N32
#[tokio::test]
async fn one_child_can_be_cancelled_alone_and_a_swallowed_cancel_is_success() {
    nursery(async |n| {
        let cut = n.spawn(block());
        let swallowing = n.spawn(async {
            let _swallowed = block().await;
            Ok(7)
        });
        cut.cancel("one");
        swallowing.cancel("two");
        assert_eq!(swallowing.await?, 7);
        let error = cut.await.unwrap_err();
        let kind = error.downcast_ref::<ChildError>().unwrap().kind();
        assert!(matches!(kind, ChildErrorKind::Cancelled(why) if why.contains("one")));
        assert!(cancel_reason().is_none(), "the nursery is not cancelled");
        Ok(())
    })
    .await
    .unwrap();
}

// Trio N39
/// Before its first poll a child has no place in the tree yet; its handle keeps the cancel, and may be gone by then.
#[tokio::test]
async fn a_child_that_is_cancelled_before_its_first_poll_sees_it_whether_its_handle_is_kept_or_not() {
    let seen = AtomicUsize::new(0);
    nursery(async |n| {
        let child = || async {
            assert_eq!(cancel_reason().expect("it was cancelled").message(), "early");
            assert!(block().await.is_err());
            seen.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let (kept, gone, untouched) = (n.spawn(child()), n.spawn(child()), n.spawn(async { Ok(()) }));
        kept.cancel("early");
        gone.cancel("early");
        drop(gone);
        untouched.await?;
        kept.await
    })
    .await
    .unwrap();
    assert_eq!(seen.into_inner(), 2);
}

#[tokio::test]
async fn a_cancel_does_not_hide_an_error() {
    let error = nursery(async |n| {
        n.cancel("first");
        fail("second").await
    })
    .await
    .unwrap_err();
    assert_eq!(leaves(&error), ["second"]);
    assert!(error.group().unwrap().primary().is_secondary());
}

#[tokio::test]
async fn daemons_end_when_nothing_else_is_left() {
    let ended = AtomicUsize::new(0);
    let parallel = Arc::new(AtomicUsize::new(0));
    nursery(async |n| {
        let ended = &ended;
        n.daemon(async move {
            let end = std::future::pending::<()>().cancellable().await.unwrap_err();
            assert_eq!(end.reason().cause(), &Cause::Finished);
            ended.fetch_add(1, Ordering::Relaxed);
            Err(end.into())
        });
        let count = Arc::clone(&parallel);
        n.daemon_task("service", async move {
            let end = block().await;
            count.fetch_add(1, Ordering::Relaxed);
            end
        });
        n.spawn(async move {
            for _ in 0..5 {
                checkpoint().await?;
            }
            assert_eq!(ended.load(Ordering::Relaxed), 0, "a daemon outlives the ordinary children");
            Ok(())
        });
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!((ended.into_inner(), parallel.load(Ordering::Relaxed)), (1, 1));
}

#[tokio::test]
async fn a_failing_daemon_fails_the_nursery() {
    let error = nursery(async |n| {
        n.daemon_task("service", fail("service"));
        block().await
    })
    .await
    .unwrap_err();
    assert_eq!(leaves(&error), ["service"]);
    assert_eq!(error.group().unwrap().primary().task().name(), "service");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_children_are_supervised_like_the_others() {
    let error = nursery(async |n| {
        let value = n.spawn_task(async { Ok(3) });
        assert_eq!(value.await?, 3);
        for _ in 0..8 {
            n.spawn_task(block());
        }
        n.spawn_task(fail("parallel"));
        block().await
    })
    .await
    .unwrap_err();
    assert_eq!(leaves(&error), ["parallel"]);
}

// Trio N38
#[tokio::test]
#[cfg_attr(miri, ignore = "a hundred thousand children")]
async fn many_short_children_pass_through_one_nursery() {
    let sum = nursery(async |n| {
        let mut sum = 0u64;
        for i in 0..100_000u64 {
            sum += n.spawn(async move { Ok(i) }).await?;
        }
        Ok(sum)
    })
    .await
    .unwrap();
    assert_eq!(sum, 4_999_950_000);
}

#[tokio::test]
async fn a_handle_that_outlives_its_nursery_says_so() {
    let escaped = nursery(async |n| Ok(n.clone())).await.unwrap();
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| escaped.spawn(async { Ok(()) })));
    let message = *refused.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("has ended") && message.contains("nursery.rs"), "{message}");
}

#[tokio::test]
async fn a_child_can_be_awaited_after_its_nursery() {
    let child = nursery(async |n| Ok(n.spawn(async { Ok(9) }))).await.unwrap();
    assert!(child.is_finished());
    assert_eq!(child.await.unwrap(), 9);
}
