//! Thread jobs: cancelled, limited, waited for, and with a way back into the scope of the caller.
//!
//! Trio's cases W02 to W23. Not ported: the part of W07 about a limiter whose release fails (ours cannot), W22 (tokio owns the
//! cache of threads), and of W14 the abandoned form as a system task: here it stays beneath its cancelled scope.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Weak};

use tokio::sync::oneshot;
use triune_scope::blocking::{self, Blocking};
use triune_scope::sync::CapacityLimiter;
use triune_scope::{
    CancelScope, Cause, Error, FutureExt as _, Outcome, Result, checkpoint, current_task_id, nursery,
};

/// A thread job that says when it runs and waits until it is released.
struct Gate {
    running: oneshot::Receiver<()>,
    release: mpsc::Sender<()>,
}

impl Gate {
    fn new() -> (Self, impl FnOnce() + Send + 'static) {
        let (started, running) = oneshot::channel();
        let (release, released) = mpsc::channel::<()>();
        let wait = move || {
            let _nobody_asks = started.send(());
            // Also ends when the sender is dropped: no thread outlives its test.
            let _dropped = released.recv();
        };
        (Self { running, release }, wait)
    }
}

async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// Waits for what another thread is about to do and nothing tells.
async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_closure_runs_on_another_thread_and_its_value_comes_back() {
    let here = std::thread::current().id();
    let there = nursery(async |n| n.spawn_blocking(|_| Ok(std::thread::current().id())).await).await.unwrap();
    assert_ne!(here, there);
}

// Trio W03
#[tokio::test]
async fn a_cancel_waits_for_the_thread_and_its_value_is_kept() {
    let (gate, wait) = Gate::new();
    let scope = CancelScope::new();
    let handle = scope.clone();
    let ended = AtomicUsize::new(0);
    let (outcome, ()) = tokio::join!(
        scope.run(async {
            let value = blocking::run(move |_| {
                wait();
                Ok(7)
            })
            .await
            .unwrap();
            ended.store(1, Ordering::Relaxed);
            (value, checkpoint().await.is_err())
        }),
        async {
            gate.running.await.unwrap();
            handle.cancel("enough");
            turns(10).await;
            assert_eq!(ended.load(Ordering::Relaxed), 0, "the thread still runs");
            gate.release.send(()).unwrap();
        }
    );
    assert_eq!(outcome, Outcome::Done((7, true)));
}

// Trio W02, W05
#[tokio::test]
async fn an_abandoned_thread_runs_on_and_ends_in_silence() {
    let (gate, wait) = Gate::new();
    let (told, tells) = mpsc::channel();
    let scope = CancelScope::new();
    let handle = scope.clone();
    let (outcome, ()) = tokio::join!(
        scope.run(
            blocking::run(move |b| {
                wait();
                told.send(b.is_cancelled()).unwrap();
                Ok(())
            })
            .abandon_on_cancel()
        ),
        async {
            gate.running.await.unwrap();
            handle.cancel("enough");
        }
    );
    assert!(outcome.done().is_some_and(|end| end.unwrap_err().is_cancelled()));
    gate.release.send(()).expect("the thread still waits");
    assert!(tells.recv().unwrap(), "the thread learns of the cancel");
}

// Trio W04
#[tokio::test]
async fn in_a_cancelled_scope_no_thread_is_started() {
    for abandon in [false, true] {
        let ran = Arc::new(AtomicUsize::new(0));
        let scope = CancelScope::new();
        scope.cancel("before");
        let seen = Arc::clone(&ran);
        let outcome = scope.run(async move {
            let job = blocking::run(move |_| {
                seen.fetch_add(1, Ordering::Relaxed);
                Ok(())
            });
            if abandon { job.abandon_on_cancel().await } else { job.await }
        });
        assert!(outcome.await.done().unwrap().unwrap_err().is_cancelled());
        assert_eq!(ran.load(Ordering::Relaxed), 0);
        assert_eq!(Arc::strong_count(&ran), 1, "the closure is gone");
    }
}

#[test]
fn a_job_that_no_thread_has_taken_up_is_withdrawn_by_a_cancel() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (gate, wait) = Gate::new();
        let scope = CancelScope::new();
        let handle = scope.clone();
        nursery(async |n| {
            let first = n.spawn_blocking(move |_| {
                wait();
                Ok(())
            });
            let ran = Arc::new(AtomicUsize::new(0));
            let seen = Arc::clone(&ran);
            let second = n.spawn(async move {
                let queued = blocking::run(move |_| {
                    seen.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                });
                Ok(scope.run(queued).await)
            });
            gate.running.await?;
            turns(3).await;
            handle.cancel("not needed");
            let outcome = second.await?;
            assert!(outcome.done().unwrap().unwrap_err().is_cancelled());
            assert_eq!(Arc::strong_count(&ran), 1, "the closure is gone");
            assert_eq!(blocking::default_limiter().borrowed(), 1, "only the first has a place");
            gate.release.send(())?;
            first.await?;
            assert_eq!(ran.load(Ordering::Relaxed), 0);
            Ok(())
        })
        .await
        .unwrap();
    });
}

// Trio W06
#[tokio::test]
async fn never_more_threads_than_permits_and_a_cancelled_caller_keeps_its_own() {
    for max in [3, 5, 10] {
        let limiter = CapacityLimiter::new(max);
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(std::sync::Mutex::new(released));
        let (running, ran) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let scopes: Vec<_> = (0..2 * max).map(|_| CancelScope::new()).collect();
        nursery(async |n| {
            for (index, scope) in scopes.iter().enumerate() {
                let (limiter, released) = (&limiter, Arc::clone(&released));
                let (running, ran) = (Arc::clone(&running), Arc::clone(&ran));
                let job = blocking::run(move |_| {
                    running.fetch_add(1, Ordering::AcqRel);
                    released.lock().unwrap().recv()?;
                    running.fetch_sub(1, Ordering::AcqRel);
                    ran.fetch_add(1, Ordering::AcqRel);
                    Ok(())
                })
                .limiter(limiter);
                let job = if index % 2 == 0 { job.abandon_on_cancel() } else { job };
                n.spawn(async move {
                    let _cancelled_or_not = scope.run(job).await;
                    Ok(())
                });
            }
            until(|| running.load(Ordering::Acquire) == max).await;
            turns(10).await;
            assert_eq!(running.load(Ordering::Acquire), max, "the others wait");
            // Of the first `max` callers, those that abandon return; the places stay taken.
            scopes.iter().take(max).for_each(|scope| scope.cancel("enough"));
            turns(10).await;
            assert_eq!(running.load(Ordering::Acquire), max);
            assert_eq!(limiter.borrowed(), max);
            for _ in 0..2 * max {
                release.send(())?;
            }
            Ok(())
        })
        .await
        .unwrap();
        until(|| limiter.borrowed() == 0).await;
        assert_eq!(ran.load(Ordering::Acquire), 2 * max, "all ran");
    }
}

// Trio W07, W09
#[tokio::test]
async fn the_permit_is_taken_once_and_back_when_the_thread_ends() {
    let limiter = CapacityLimiter::new(1);
    let inside = limiter.clone();
    let taken = blocking::run(move |_| Ok(inside.borrowed())).limiter(&limiter).await.unwrap();
    assert_eq!((taken, limiter.borrowed()), (1, 0));

    let failed = blocking::run(|_| Err::<(), _>(Error::msg("no"))).limiter(&limiter).await;
    assert_eq!(failed.unwrap_err().to_string(), "no");
    assert_eq!(limiter.borrowed(), 0);

    let (gate, wait) = Gate::new();
    let scope = CancelScope::new();
    let handle = scope.clone();
    let abandoned = blocking::run(move |_| {
        wait();
        Ok(())
    });
    let (outcome, ()) = tokio::join!(scope.run(abandoned.limiter(&limiter).abandon_on_cancel()), async {
        gate.running.await.unwrap();
        handle.cancel("enough");
    });
    assert!(outcome.done().unwrap().is_err());
    assert_eq!(limiter.borrowed(), 1, "the thread still runs");
    gate.release.send(()).unwrap();
    until(|| limiter.borrowed() == 0).await;
}

// Trio W10, W12
#[tokio::test]
async fn async_code_of_a_thread_belongs_to_the_task_of_the_caller() {
    nursery(async |n| {
        let child = n.spawn(async {
            let own = current_task_id();
            let borrowed = String::from("here");
            let seen = blocking::run(move |b| {
                assert_eq!(current_task_id(), own, "on the thread");
                let value = b.block_on(async {
                    tokio::task::yield_now().await;
                    assert_eq!(current_task_id(), own, "in its async code");
                    Ok(borrowed.len())
                })?;
                let error = b.block_on(async { Err::<(), _>(Error::msg("no")) }).unwrap_err();
                assert_eq!(error.to_string(), "no");
                Ok(value)
            });
            seen.await
        });
        assert_eq!(child.await?, 4);
        Ok(())
    })
    .await
    .unwrap();
}

// Trio W13
#[tokio::test]
async fn a_cancel_is_delivered_to_async_code_of_a_thread() {
    let (started, running) = oneshot::channel();
    let scope = CancelScope::new();
    let handle = scope.clone();
    let (outcome, ()) = tokio::join!(
        scope.run(blocking::run(move |b| {
            started.send(()).unwrap();
            let end = b.block_on(async {
                std::future::pending::<()>().cancellable().await?;
                Ok(())
            });
            assert!(end.as_ref().is_err_and(Error::is_cancelled));
            assert!(b.check_cancelled().is_err() && triune_scope::check_cancelled().is_err());
            end
        })),
        async {
            running.await.unwrap();
            handle.cancel("enough");
        }
    );
    let error = outcome.done().unwrap().unwrap_err();
    assert_eq!(error.as_cancelled().unwrap().reason().message(), "enough");
}

#[tokio::test]
async fn a_foreign_await_of_a_thread_is_dropped_by_a_cancel() {
    let (started, running) = oneshot::channel();
    let ended = nursery(async |n| {
        n.spawn_blocking(move |b| {
            b.block_on(async {
                started.send(()).unwrap();
                std::future::pending::<Result>().await
            })
        });
        running.await?;
        n.cancel("enough");
        Ok(())
    });
    ended.await.unwrap();
}

// Trio W14
#[tokio::test]
async fn after_a_cancel_async_code_of_a_thread_runs_to_its_first_await() {
    let (gate, wait) = Gate::new();
    let value = nursery(async |n| {
        n.spawn_with(async move |n| {
            gate.running.await?;
            n.cancel("enough");
            gate.release.send(())?;
            Ok(())
        });
        let value = blocking::run(move |b| {
            wait();
            let value = b.block_on(async { Ok(7) })?;
            assert!(b.block_on(async { Ok(checkpoint().await?) }).is_err());
            Ok(value)
        });
        value.await
    });
    assert_eq!(value.await.unwrap(), 7);
}

// Trio W23
#[tokio::test]
async fn thread_to_async_to_thread_is_no_deadlock_under_a_limit_of_one() {
    fn depth(b: &Blocking, limiter: CapacityLimiter, left: usize) -> Result<usize> {
        if left == 0 {
            return Ok(0);
        }
        let below = b.block_on(nursery(async |n| {
            // A parallel child stands between the two, as it may in a program.
            let next = limiter.clone();
            n.spawn_task(async move {
                let deeper = next.clone();
                blocking::run(move |b| depth(b, deeper, left - 1)).limiter(&next).await
            })
            .await
        }))?;
        Ok(below + 1)
    }
    let limiter = CapacityLimiter::new(1);
    let outer = limiter.clone();
    let reached = blocking::run(move |b| depth(b, outer, 5)).limiter(&limiter).await;
    assert_eq!(reached.unwrap(), 5);
    assert_eq!(limiter.borrowed(), 0);
}

#[tokio::test]
async fn two_threads_beneath_a_waiting_one_share_its_permit_in_turn() {
    let limiter = CapacityLimiter::new(1);
    let running = Arc::new(AtomicUsize::new(0));
    let outer = limiter.clone();
    let both = blocking::run(move |b| {
        b.block_on(nursery(async |n| {
            for _ in 0..2 {
                let running = Arc::clone(&running);
                let job = blocking::run(move |_| {
                    assert_eq!(running.fetch_add(1, Ordering::AcqRel), 0, "one at a time");
                    std::thread::yield_now();
                    running.fetch_sub(1, Ordering::AcqRel);
                    Ok(())
                });
                n.spawn(job.limiter(&outer));
            }
            Ok(())
        }))
    });
    both.limiter(&limiter).await.unwrap();
}

#[tokio::test]
async fn a_panic_of_a_thread_is_the_panic_of_its_child() {
    let caught = nursery(async |n| {
        n.spawn(async {
            let payload =
                futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(nursery(async |n| {
                    n.spawn_blocking(|_| -> Result { panic!("out of paper") });
                    std::future::pending::<()>().cancellable().await?;
                    Ok(())
                })))
                .await
                .expect_err("the panic goes on in the parent");
            Ok(payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        })
        .await
    });
    assert_eq!(caught.await.unwrap().as_deref(), Some("out of paper"));
}

// Trio Z09
#[tokio::test]
async fn closure_and_context_are_gone_when_the_call_returns() {
    for panics in [false, true] {
        let canary = Arc::new(());
        let weak: Weak<()> = Arc::downgrade(&canary);
        let job = blocking::run(move |_| {
            let _held = &canary;
            assert!(!panics, "as told");
            Ok(())
        });
        let end = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(job)).await;
        assert!(weak.upgrade().is_none(), "in the first statement after the call");
        assert_eq!(end.is_err(), panics);
    }
}

#[tokio::test]
async fn a_dropped_call_asks_its_thread_to_end_and_the_run_waits_for_it() {
    let (gate, wait) = Gate::new();
    let (told, tells) = oneshot::channel();
    let mut call = Box::pin(nursery(async |n| {
        n.spawn_blocking(move |b| {
            wait();
            let cause = b.cancel_reason().map(|reason| *reason.cause());
            told.send(cause).unwrap();
            Ok(())
        });
        Ok(())
    }));
    tokio::select! {
        biased;
        _ = &mut call => unreachable!("the thread waits"),
        started = gate.running => started.unwrap(),
    }
    drop(call);
    let run = triune_scope::Run::current();
    let (cause, ()) = tokio::join!(
        async {
            turns(10).await;
            gate.release.send(()).unwrap();
            tells.await.unwrap()
        },
        run.close(),
    );
    assert_eq!(cause, Some(Cause::Dropped));
}

#[test]
fn a_job_that_the_runtime_refuses_says_so() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    let error = handle.block_on(blocking::run(|_| Ok(()))).unwrap_err();
    assert!(error.is::<blocking::NotRun>(), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancels_that_race_with_threads_lose_nothing() {
    for round in 0..500 {
        let limiter = CapacityLimiter::new(2);
        let ended = nursery(async |n| {
            for index in 0..4 {
                let job = blocking::run(move |b| {
                    while !b.is_cancelled() {
                        std::thread::yield_now();
                    }
                    Ok(())
                })
                .limiter(&limiter);
                n.spawn_task(if index % 2 == 0 { job.abandon_on_cancel() } else { job });
            }
            turns(round % 7).await;
            n.cancel("enough");
            Ok(())
        });
        ended.await.unwrap();
        until(|| limiter.borrowed() == 0).await;
    }
}

// Trio W08
#[test]
fn a_thread_that_the_system_does_not_give_is_an_error_and_the_permit_is_back() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    // No system has room for such a stack.
    let runtime = runtime.thread_stack_size(1 << 60).build().unwrap();
    let limiter = CapacityLimiter::new(1);
    let error = runtime.block_on(blocking::run(|_| Ok(())).limiter(&limiter)).unwrap_err();
    assert!(error.is::<blocking::NotRun>() && error.to_string().contains("gave no thread"), "{error}");
    assert_eq!(limiter.borrowed(), 0);
}
