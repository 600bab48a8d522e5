//! `start`: a child that says when it is ready. Ids name the cases of the conformance list.
//!
//! T03 is beside the other examples that must not compile. Left out: T23 cannot be written, because there is no hidden
//! nursery; T20 starts a process as a task, and there is no `run_process`: what a nursery starts are actors and worker jobs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use triune_scope::sync::Event;
use triune_scope::{
    CancelScope, ChildInfo, Error, FutureExt as _, NotStarted, Outcome, Result, Started, checkpoint,
    current_task, local_nursery, nursery, shield_unbounded, sleep,
};

/// The same case on one thread and on two.
macro_rules! on_both_runtimes {
    ($($(#[$doc:meta])* async fn $name:ident() $body:block)*) => {$(
        $(#[$doc])*
        #[cfg(test)]
        mod $name {
            use super::*;

            async fn case() $body

            #[tokio::test]
            async fn current_thread() {
                case().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn multi_thread() {
                // On a worker, not on the thread that blocks.
                nursery(async |n| {
                    n.spawn_task(async {
                        case().await;
                        Ok(())
                    });
                    Ok(())
                })
                .await
                .unwrap();
            }
        }
    )*};
}

async fn block() -> Result {
    std::future::pending::<()>().cancellable().await?;
    Ok(())
}

async fn seconds(seconds: u64) -> Result {
    Ok(sleep(Duration::from_secs(seconds)).await?)
}

async fn sleep_then_start(started: Started<u64>, length: u64) -> Result {
    seconds(length).await?;
    started.started(length)?;
    seconds(length).await
}

// Trio T01
#[tokio::test(start_paused = true)]
async fn start_gives_the_value_and_leaves_the_child_in_the_nursery() {
    for length in [1, 2] {
        let begin = Instant::now();
        nursery(async |n| {
            assert_eq!(n.start(|started| sleep_then_start(started, length)).await?, length);
            assert_eq!(begin.elapsed().as_secs(), length);
            let children = n.children();
            assert_eq!(children.len(), 1);
            assert!(children[0].name().ends_with("sleep_then_start"), "{}", children[0].name());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(begin.elapsed().as_secs(), 2 * length);
    }
}

// Trio T02
#[tokio::test(start_paused = true)]
async fn the_same_function_serves_where_nobody_waits() {
    let begin = Instant::now();
    nursery(async |n| {
        n.spawn_with(async move |n| n.start(|started| sleep_then_start(started, 3)).await);
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(begin.elapsed().as_secs(), 6);
}

on_both_runtimes! {
    // Trio T06
    async fn a_child_that_ends_first_fails_the_start_and_not_the_nursery() {
        nursery(async |n| {
            let error = n.start(async |_started: Started<()>| Ok(())).await.unwrap_err();
            assert!(error.is::<NotStarted>() && error.to_string().contains("without calling"), "{error}");
            assert!(!n.scope().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
    }

    // Trio T05: a failure before `started` is the caller's, also when a cleanup follows the drop of `Started`
    async fn a_failure_before_started_is_the_callers() {
        nursery(async |n| {
            let error = n
                .start(async |started: Started<()>| {
                    checkpoint().await?;
                    let _unused = started;
                    Err(Error::msg("address in use"))
                })
                .await
                .unwrap_err();
            assert_eq!(error.to_string(), "address in use");
            assert!(n.children().is_empty());
            Ok(())
        })
        .await
        .unwrap();
    }

    async fn a_panic_before_started_is_the_callers() {
        let panicked = nursery(async |n| {
            let start = n.start(async |_started: Started<()>| panic!("no port"));
            let caught = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(start)).await;
            assert!(!n.scope().is_cancelled());
            Ok(caught.unwrap_err().downcast_ref::<&str>().copied())
        });
        assert_eq!(panicked.await.unwrap(), Some("no port"));
    }

    // Trio T07
    async fn a_failure_after_started_is_the_nurserys() {
        let reached = AtomicBool::new(false);
        let error = nursery(async |n| {
            let value = n.start(async |started| {
                started.started(5)?;
                Err(Error::msg("later"))
            });
            assert_eq!(value.await?, 5);
            reached.store(true, Ordering::Relaxed);
            Ok(())
        })
        .await
        .unwrap_err();
        assert!(reached.into_inner());
        let group = error.group().unwrap();
        assert_eq!((group.len(), group.primary().error().to_string().as_str()), (1, "later"));
    }

    // Trio T08
    async fn a_cancelled_caller_gets_its_cancel_even_if_the_child_started() {
        nursery(async |n| {
            let scope = CancelScope::new();
            scope.cancel("caller");
            let outcome = scope
                .run(n.start(async |started| {
                    started.started(())?;
                    checkpoint().await?;
                    Ok(())
                }))
                .await;
            assert!(outcome.done().expect("drained").unwrap_err().is_cancelled());
            assert!(n.children().is_empty() && !n.scope().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
    }

    // Trio T09
    async fn a_cancelled_caller_gets_the_value_of_a_child_that_never_waits() {
        nursery(async |n| {
            let scope = CancelScope::new();
            scope.cancel("caller");
            let outcome = scope
                .run(n.start(async |started| {
                    started.started(7)?;
                    Ok(())
                }))
                .await;
            assert_eq!(outcome.done().unwrap()?, 7);
            Ok(())
        })
        .await
        .unwrap();
    }

    // Trio T11
    async fn the_callers_cancel_ends_only_the_child_and_waits_for_its_clean_up() {
        let cleaned = AtomicBool::new(false);
        nursery(async |n| {
            let scope = CancelScope::new();
            let other = n.spawn(block());
            let canceller = scope.clone();
            n.spawn(async move {
                checkpoint().await?;
                canceller.cancel("caller");
                Ok(())
            });
            let outcome = scope
                .run(n.start(async |_started: Started<()>| {
                    let cut = block().await;
                    shield_unbounded(tokio::task::yield_now()).await;
                    cleaned.store(true, Ordering::Relaxed);
                    cut
                }))
                .await;
            assert!(outcome.done().expect("held until the child has ended").unwrap_err().is_cancelled());
            assert!(cleaned.load(Ordering::Relaxed), "the child has ended");
            assert!(!n.scope().is_cancelled() && !other.is_finished());
            assert_eq!(n.spawn(async { Ok(3) }).await?, 3, "the nursery is usable");
            n.cancel("seen");
            Ok(())
        })
        .await
        .unwrap();
    }

    // Trio T12
    async fn a_child_may_cancel_the_nursery_and_then_start() {
        let (cut, value) = (AtomicUsize::new(0), Mutex::new(None));
        let end = nursery(async |n| {
            let (target, cut) = (n.clone(), &cut);
            let start = n.start(async move |started| {
                nursery(async |inner| {
                    for _ in 0..2 {
                        inner.spawn(async {
                            let end = block().await;
                            cut.fetch_add(1, Ordering::Relaxed);
                            end
                        });
                    }
                    checkpoint().await?;
                    target.cancel("from within");
                    started.started(1)?;
                    block().await
                })
                .await
            });
            *value.lock().unwrap() = Some(start.await);
            block().await
        })
        .or_cancelled()
        .await;
        assert!(end.unwrap().is_none());
        assert_eq!(value.into_inner().unwrap().unwrap().unwrap(), 1);
        assert_eq!(cut.into_inner(), 2);
    }

    // Trio T21
    async fn a_dropped_started_fails_the_start_at_once_and_cancels_the_child() {
        let cut = AtomicBool::new(false);
        nursery(async |n| {
            let error = n
                .start(async |started: Started<()>| {
                    drop(started);
                    let end = block().await;
                    cut.store(true, Ordering::Relaxed);
                    end
                })
                .await
                .unwrap_err();
            assert!(error.is::<NotStarted>() && error.to_string().contains("dropped"), "{error}");
            Ok(())
        })
        .await
        .unwrap();
        assert!(cut.into_inner());
    }

    // Trio T21, when the `Started` was given away
    async fn a_started_that_is_dropped_elsewhere_fails_the_start() {
        nursery(async |n| {
            let elsewhere = Arc::new(Mutex::new(None));
            let shelf = Arc::clone(&elsewhere);
            n.spawn(async move {
                checkpoint().await?;
                drop(elsewhere.lock().unwrap().take());
                Ok(())
            });
            let error = n
                .start(async move |started: Started<()>| {
                    *shelf.lock().unwrap() = Some(started);
                    block().await
                })
                .await
                .unwrap_err();
            assert!(error.is::<NotStarted>());
            Ok(())
        })
        .await
        .unwrap();
    }

    // Trio T22
    async fn a_value_that_nobody_waits_for_is_dropped_once() {
        struct Counted(Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let drops = Arc::new(AtomicUsize::new(0));
        nursery(async |n| {
            // Cancelled, and waiting for the end.
            let scope = CancelScope::new();
            let canceller = scope.clone();
            let value = Counted(Arc::clone(&drops));
            let outcome = scope
                .run(n.start(async move |started| {
                    canceller.cancel("caller");
                    let cut = block().await;
                    started.started(value)?;
                    cut
                }))
                .await;
            assert!(matches!(outcome, Outcome::Done(Err(_))));
            assert_eq!(drops.load(Ordering::Relaxed), 1);

            // Gone.
            let value = Counted(Arc::clone(&drops));
            let refused = Arc::new(AtomicBool::new(false));
            let seen = Arc::clone(&refused);
            let mut start = Box::pin(n.start(async move |started| {
                let _cut = block().await;
                seen.store(started.started(value).is_err(), Ordering::Relaxed);
                Ok(())
            }));
            assert!(futures_util::poll!(&mut start).is_pending());
            for _ in 0..3 {
                checkpoint().await?;
            }
            drop(start);
            while !n.children().is_empty() {
                checkpoint().await?;
            }
            assert!(refused.load(Ordering::Relaxed));
            assert_eq!(drops.load(Ordering::Relaxed), 2);

            // On its way when the caller went.
            let value = Counted(Arc::clone(&drops));
            let mut start = Box::pin(n.start(async move |started| {
                started.started(value)?;
                block().await
            }));
            assert!(futures_util::poll!(&mut start).is_pending());
            for _ in 0..3 {
                checkpoint().await?;
            }
            assert_eq!(drops.load(Ordering::Relaxed), 2);
            drop(start);
            assert_eq!(drops.load(Ordering::Relaxed), 3);
            Ok(())
        })
        .await
        .unwrap();
    }

    async fn a_failure_that_the_gone_caller_does_not_hear_is_the_nurserys() {
        let error = nursery(async |n| {
            let mut start = Box::pin(n.start(async |_started: Started<()>| {
                let _cut = block().await;
                Err(Error::msg("clean-up failed"))
            }));
            assert!(futures_util::poll!(&mut start).is_pending());
            for _ in 0..3 {
                checkpoint().await?;
            }
            drop(start);
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(error.group().unwrap().primary().error().to_string(), "clean-up failed");
    }
}

// Trio T14: triune ends the start at once
#[tokio::test(start_paused = true)]
async fn the_cancel_of_the_nursery_ends_a_pending_start_at_once() {
    let begin = Instant::now();
    let (failed_at, cleaned_at) = (Mutex::new(None), Mutex::new(None));
    nursery(async |outside| {
        nursery(async |n| {
            let target = n.clone();
            let (failed_at, cleaned_at) = (&failed_at, &cleaned_at);
            outside.spawn(async move {
                let start = target.start(async move |_started: Started<()>| {
                    let cut = seconds(5).await;
                    shield_unbounded(tokio::time::sleep(Duration::from_secs(2))).await;
                    *cleaned_at.lock().unwrap() = Some(begin.elapsed().as_secs());
                    cut
                });
                let error = start.await.unwrap_err();
                assert!(error.is_cancelled());
                *failed_at.lock().unwrap() = Some(begin.elapsed().as_secs());
                Ok(())
            });
            seconds(1).await?;
            n.cancel("target");
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
    assert_eq!(*failed_at.lock().unwrap(), Some(1));
    assert_eq!(*cleaned_at.lock().unwrap(), Some(3), "the nursery waited for the clean-up");
}

#[tokio::test]
async fn a_start_into_a_cancelled_nursery_starts_nothing() {
    let began = AtomicBool::new(false);
    let scope = CancelScope::new();
    nursery(async |n| {
        n.cancel("before");
        let start = n.start(async |_started: Started<()>| {
            began.store(true, Ordering::Relaxed);
            Ok(())
        });
        let end = shield_unbounded(scope.run(start)).await;
        assert!(end.done().unwrap().unwrap_err().is_cancelled());
        Ok(())
    })
    .await
    .unwrap();
    assert!(!began.into_inner());
}

// Trio T17: in triune the child is in its nursery from the beginning
#[tokio::test]
async fn a_child_is_in_its_nursery_before_and_after_it_has_started() {
    let go = Event::new();
    let ended = nursery(async |target| {
        let children = || target.children().iter().map(ChildInfo::id).collect::<Vec<_>>();
        let start = target.start(async |started| {
            go.wait().await?;
            started.started(current_task().map(|task| task.id()))?;
            block().await
        });
        let (id, before) = tokio::join!(start, async {
            checkpoint().await.unwrap();
            go.set();
            children()
        });
        let id = id?.expect("a child is a task");
        assert_eq!((before, children()), (vec![id], vec![id]));
        target.cancel("seen");
        Ok(())
    });
    ended.await.unwrap();
}

// Trio T15
#[tokio::test(start_paused = true)]
async fn a_pending_start_keeps_the_nursery_open() {
    let begin = Instant::now();
    nursery(async |outside| {
        nursery(async |target| {
            for delay in [0, 1] {
                let target = target.clone();
                outside.spawn(async move {
                    seconds(delay).await?;
                    let start = target.start(async |started| {
                        seconds(2).await?;
                        started.started(())?;
                        seconds(3).await
                    });
                    start.await
                });
            }
            seconds(1).await
        })
        .await?;
        assert_eq!(begin.elapsed().as_secs(), 6);
        Ok(())
    })
    .await
    .unwrap();
}

// Trio T18
#[tokio::test(start_paused = true)]
async fn a_grandchild_may_say_started() {
    let begin = Instant::now();
    nursery(async |n| {
        let value = n
            .start(async |started| {
                nursery(async |inner| {
                    inner.spawn(async {
                        seconds(1).await?;
                        started.started("g")?;
                        Ok(())
                    });
                    seconds(2).await
                })
                .await
            })
            .await?;
        assert_eq!((value, begin.elapsed().as_secs()), ("g", 1));
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(begin.elapsed().as_secs(), 2);
}

// Trio N18
#[tokio::test]
async fn a_start_after_the_nursery_has_ended_is_an_error() {
    let late = nursery(async |n| Ok(n.clone())).await.unwrap();
    let error = late.start(async |started: Started<()>| Ok(started.started(())?)).await.unwrap_err();
    assert!(error.is::<NotStarted>() && error.to_string().contains("has ended"), "{error}");
}

#[tokio::test]
async fn a_start_that_is_never_awaited_starts_nothing() {
    nursery(async |n| {
        drop(n.start(async |_started: Started<()>| panic!("not to be run")));
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_local_nursery_starts_too() {
    let value = local_nursery(async |n| {
        let rc = std::rc::Rc::new(4);
        let value = n.start(async move |started| {
            checkpoint().await?;
            started.started(std::rc::Rc::clone(&rc))?;
            block().await
        });
        let value = *value.await?;
        n.cancel("enough");
        Ok(value)
    });
    assert_eq!(value.await.unwrap(), 4);
}
