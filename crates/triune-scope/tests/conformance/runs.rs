//! Group R: the run, its system tasks and its callbacks.
//!
//! R04 is in `tests/dropped.rs`. A variable of the run (R18, R19) is an extension, which is made once and kept: there is no
//! token with which it could be set back. An internal error (R06, R07, R16) is [`Run::system_panic`].

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use triune_scope::{
    Cause, Error, Result, Run, RunClosed, cancel_reason, checkpoint, current_task, effective_deadline,
    fail_after, nursery, tree,
};
use triune_testing::settle;

use super::{block, on_both_runtimes};

type Callback = Box<dyn FnOnce() + Send>;

/// What was called, and what makes callbacks that say so.
fn numbers() -> (Arc<Mutex<Vec<u32>>>, impl Fn(u32) -> Callback) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    let push = move |number| -> Callback {
        let record = Arc::clone(&record);
        Box::new(move || record.lock().unwrap().push(number))
    };
    (seen, push)
}

on_both_runtimes! {
    // Trio R01
    async fn the_main_task_gives_its_value_or_its_error_as_it_is() {
        let run = Run::current();
        assert_eq!(run.main(async { 8 }).await, Some(8));
        let failed = run.main(async { Err::<(), _>(Error::msg("17")) }).await.unwrap().unwrap_err();
        assert_eq!((failed.to_string().as_str(), failed.group().is_none()), ("17", true));
        run.close().await;
    }

    // Trio R06
    async fn a_panic_of_a_system_task_cancels_the_main_task_and_is_kept() {
        let run = Run::current();
        run.spawn_system("broken", async {
            let failed = nursery(async |n| {
                n.spawn(async { Err::<(), _>(Error::msg("leaf K")) });
                n.spawn(async { Err::<(), _>(Error::msg("leaf V")) });
                Ok(())
            });
            failed.await.unwrap();
        });
        let reason = run.main(async { block().await.unwrap_err().reason().clone() }).await.unwrap();
        assert_eq!((reason.cause(), reason.by().unwrap().starts_with("broken#")), (&Cause::Panic, true));
        run.close().await;
        let crash = run.system_panic().unwrap();
        assert_eq!(crash.task().name(), "broken");
        assert!(crash.message().contains("leaf K") && crash.message().contains("leaf V"), "{crash:?}");
        assert!(crash.to_string().contains("runs.rs"), "{crash}");
    }

    // Trio R07
    async fn at_the_end_of_the_run_only_what_failed_is_reported() {
        let run = Run::current();
        run.spawn_system("broken", async {
            let failed = nursery(async |n| {
                n.spawn(async { Ok(block().await?) });
                n.spawn(async {
                    block().await.map_err(|_cut| Error::msg("leaf V"))
                });
                Ok(())
            });
            failed.await.unwrap();
        });
        settle().await.unwrap();
        assert!(run.system_panic().is_none());
        run.close().await;
        let crash = run.system_panic().unwrap();
        assert!(crash.message().contains("leaf V") && crash.message().contains("1 task failed"), "{crash:?}");
    }

    // Trio R09
    async fn a_closed_run_takes_no_callback() {
        let run = Run::current();
        run.close().await;
        let refused: RunClosed = run.call_soon(|| unreachable!()).unwrap_err();
        assert_eq!(run.call_soon_once("key", || unreachable!()), Err(refused));
    }

    // Trio R14
    async fn a_callback_that_queues_itself_for_ever_starves_nobody() {
        fn again(run: &Run, refused: &Arc<AtomicBool>) {
            let (handle, flag) = (run.clone(), Arc::clone(refused));
            if run.call_soon(move || again(&handle, &flag)).is_err() {
                refused.store(true, Ordering::Relaxed);
            }
        }
        let run = Run::current();
        let refused = Arc::new(AtomicBool::new(false));
        again(&run, &refused);
        run.main(async {
            for _ in 0..20 {
                checkpoint().await.unwrap();
            }
        })
        .await
        .unwrap();
        assert!(!refused.load(Ordering::Relaxed));
        run.close().await;
        assert!(refused.load(Ordering::Relaxed), "the last one was refused");
    }

    // Trio R16
    async fn a_panic_of_a_callback_cancels_the_main_task_and_the_next_is_called() {
        let run = Run::current();
        let (seen, push) = numbers();
        run.call_soon(|| std::panic::resume_unwind(Box::new("crash"))).unwrap();
        run.call_soon(push(2)).unwrap();
        let cause = run.main(async { *block().await.unwrap_err().reason().cause() }).await;
        run.close().await;
        assert_eq!((cause, seen.lock().unwrap().as_slice()), (Some(Cause::Panic), [2].as_slice()));
        let crash = run.system_panic().unwrap();
        assert_eq!((crash.message(), crash.task().name()), ("crash", "callbacks"));
    }

    // Trio R17
    async fn a_thread_that_queues_without_end_stops_nothing() {
        let run = Run::current();
        let called = Arc::new(AtomicUsize::new(0));
        let (thread_run, count) = (run.clone(), Arc::clone(&called));
        #[expect(clippy::disallowed_methods, reason = "it stands for a thread that triune does not know")]
        let thread = std::thread::spawn(move || loop {
            let count = Arc::clone(&count);
            let queued = thread_run.call_soon(move || {
                count.fetch_add(1, Ordering::Relaxed);
            });
            if let Err(closed) = queued {
                return closed;
            }
            std::thread::yield_now();
        });
        run.main(async {
            while called.load(Ordering::Relaxed) < 1000 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        run.close().await;
        assert!(thread.join().unwrap().to_string().contains("closed"));
    }

    // Trio R19
    async fn a_value_of_the_run_is_seen_by_all_its_tasks() {
        let run = Run::current();
        run.extension(|| AtomicUsize::new(0)).store(1, Ordering::Relaxed);
        nursery(async |n| {
            n.spawn_task(async {
                Run::current().extension(|| AtomicUsize::new(9)).fetch_add(1, Ordering::Relaxed);
                Ok(())
            })
            .await
        })
        .await
        .unwrap();
        assert_eq!(run.find_extension::<AtomicUsize>().unwrap().load(Ordering::Relaxed), 2);
        run.close().await;
    }
}

// Trio R03
#[test]
fn outside_of_a_run_there_is_no_task_and_no_run() {
    assert!(current_task().is_none() && Run::try_current().is_none() && cancel_reason().is_none());
    assert_eq!(effective_deadline(), None);
    let refused = std::panic::catch_unwind(Run::current).unwrap_err();
    let message = triune_scope::PanicError::from_payload(&*refused).message().to_owned();
    assert!(message.contains("#[triune::main]"), "{message}");
    assert!(std::panic::catch_unwind(tree).is_err());
}

// Trio R08
#[tokio::test]
async fn a_callback_is_called_once_and_not_at_once() {
    let run = Run::current();
    let (seen, push) = numbers();
    run.call_soon(push(1)).unwrap();
    assert!(seen.lock().unwrap().is_empty());
    settle().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [1]);
    settle().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [1]);
    run.close().await;
}

// Trio R10
#[tokio::test]
async fn a_key_makes_callbacks_one_and_others_are_all_called() {
    let run = Run::current();
    let (seen, push) = numbers();
    run.call_soon(push(1)).unwrap();
    for _ in 0..3 {
        run.call_soon_once("one", push(1)).unwrap();
    }
    for _ in 0..2 {
        run.call_soon_once("two", push(2)).unwrap();
    }
    settle().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [1, 1, 2]);
    run.call_soon_once("two", push(3)).unwrap();
    settle().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [1, 1, 2, 3], "a key is free again when its callback has begun");
    run.close().await;
}

// Trio R11
#[tokio::test]
async fn callbacks_come_in_order_and_once_per_key() {
    let run = Run::current();
    let (seen, push) = numbers();
    for number in (0..3).flat_map(|_| 0..100) {
        run.call_soon_once(number.to_string(), push(number)).unwrap();
    }
    settle().await.unwrap();
    assert!(seen.lock().unwrap().iter().copied().eq(0..100), "{seen:?}");
    run.close().await;
}

// Trio R18
#[test]
fn a_value_of_one_run_is_not_that_of_another() {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let run = Run::current();
            let before = run.find_extension::<u32>();
            let set = *run.extension(|| 1_u32);
            run.close().await;
            (before, set)
        })
    };
    assert_eq!((run(), run()), ((None, 1), (None, 1)));
    assert!(Run::try_current().is_none(), "outside there is nothing to ask");
}

// Trio R20
#[tokio::test(start_paused = true)]
async fn the_statistics_count_what_lives_what_is_ready_and_what_waits() {
    let run = Run::current();
    let inside = run.main(async {
        nursery(async |n| -> Result {
            let before = run.statistics();
            let child = n.spawn(async { Ok(block().await?) });
            let spawned = run.statistics();
            assert_eq!((spawned.tasks_living, spawned.tasks_ready), (before.tasks_living + 1, 1));
            settle().await?;
            let settled = run.statistics();
            assert_eq!((settled.tasks_living, settled.tasks_ready), (before.tasks_living + 1, 0));
            child.cancel("now");
            assert_eq!(run.statistics().tasks_ready, 1);
            settle().await?;
            assert_eq!(
                (run.statistics().tasks_living, run.statistics().tasks_ready),
                (before.tasks_living, 0)
            );

            run.call_soon(|| ()).unwrap();
            run.call_soon(|| ()).unwrap();
            assert_eq!(run.statistics().callbacks_waiting, 2);
            settle().await?;
            assert_eq!(run.statistics().callbacks_waiting, 0);

            assert_eq!(run.statistics().next_deadline, None);
            let limit = Duration::from_secs(5);
            fail_after(limit, async {
                assert_eq!(run.statistics().next_deadline, Some(Instant::now() + limit));
            })
            .await?;
            assert_eq!(run.statistics().next_deadline, None);
            Ok(())
        })
        .await
    });
    inside.await.unwrap().unwrap();
    run.close().await;
}
