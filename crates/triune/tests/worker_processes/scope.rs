//! Pools of their own: who uses which, and how they end.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use triune::prelude::*;
use triune::sync::CapacityLimiter;
use triune::worker::{self, CloseError, ConfigError, Pool, RunError, WorkerFailureKind, after_jobs};
use triune::{CancelScope, Outcome};

use super::support::{Gate, guarded, pass, process_number, spin, workers};

async fn here() -> Result<u32> {
    Ok(worker::run(process_number::with()).await?)
}

async fn within(pool: &Pool) -> Result<u32> {
    Ok(pool.run(process_number::with()).await?)
}

// trio-parallel 55, 71, 75, 76, 80
#[test]
fn the_innermost_scope_counts_and_no_worker_is_shared() {
    guarded("nested", async || {
        let default = here().await?;
        let (outer, inner) = worker::scope(workers(), async |outer_pool| {
            let outer = here().await?;
            assert_eq!(within(&outer_pool).await?, outer, "the handle is the same pool");
            let inner = worker::scope(workers().retire(after_jobs(1)), async |inner_pool| {
                let first = here().await?;
                assert_ne!(within(&inner_pool).await?, first, "each of its workers does one job");
                assert_eq!(within(&outer_pool).await?, outer, "a handle goes before the place");
                assert_eq!(worker::statistics().retired, 2);
                Ok(first)
            });
            let inner = inner.await?;
            assert_eq!(here().await?, outer, "the scope around is back");
            let counts = worker::statistics();
            assert_eq!((counts.idle, counts.busy, counts.started), (1, 0, 1));
            Ok((outer, inner))
        })
        .await?;
        assert_eq!(here().await?, default);
        assert!(default != outer && outer != inner && inner != default);
        Ok(())
    });
}

// trio-parallel 77, 78, 79
#[test]
fn a_task_uses_the_pool_of_the_place_where_its_nursery_was_opened() {
    guarded("place", async || {
        let default = here().await?;
        nursery(async |outside| {
            let (go, wait) = tokio::sync::oneshot::channel();
            worker::scope(workers(), async |pool| {
                let mine = within(&pool).await?;
                nursery(async |inside| {
                    assert_eq!(outside.run_in_worker(process_number::with()).await?, default);
                    let before = outside
                        .start(async |started| {
                            started.started(here().await?)?;
                            wait.await?;
                            assert_eq!(here().await?, default, "also after it is ready");
                            Ok(())
                        })
                        .await?;
                    assert_eq!(before, default);
                    let inside = inside.clone();
                    let into =
                        outside.spawn(async move { inside.run_in_worker(process_number::with()).await });
                    assert_eq!(into.await?, mine);
                    go.send(()).expect("the child waits");
                    Ok(())
                })
                .await
            })
            .await
        })
        .await
    });
}

// trio-parallel 57, 62, 67
#[test]
fn after_the_scope_its_workers_are_gone_and_its_handle_is_closed() {
    guarded("after", async || {
        let (pool, pids) = worker::scope(workers().warm(2), async |pool| {
            let pid = within(&pool).await?;
            assert_eq!(pool.statistics().started, 2, "those that were started ahead are used");
            Ok((pool, pid))
        })
        .await?;
        assert!(triune_testing::ProcessInfo::of(pids).is_none(), "reaped");
        let counts = pool.statistics();
        assert_eq!((counts.starting, counts.idle, counts.busy, counts.dying), (0, 0, 0, 0));
        assert!(
            within(&pool)
                .await
                .is_err_and(|error| { error.downcast_ref::<RunError>().is_some_and(RunError::is_closed) })
        );
        Ok(())
    });
}

/// Runs a scope as a child whose body hands out the pool, and ends when it is told to.
macro_rules! lent_pool {
    ($nursery:expr, $workers:expr) => {{
        let (lend, lent) = tokio::sync::oneshot::channel();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let workers = $workers;
        let scope = $nursery.spawn(async move {
            let end = worker::scope(workers, async |pool| {
                lend.send(pool).expect("the test waits for it");
                ended.await?;
                Ok(())
            });
            Ok(end.await)
        });
        (lent.await?, end, scope)
    }};
}

// trio-parallel 68, 69
#[test]
fn a_scope_waits_for_running_jobs_and_refuses_those_that_wait_for_a_place() {
    guarded("waits", async || {
        let gate = Gate::new()?;
        let limiter = CapacityLimiter::new(1);
        nursery(async |n| {
            let (pool, end, scope) = lent_pool!(n, workers().limiter(&limiter));
            let run = pool.run(pass::with(gate.path(), 1));
            let running = n.spawn(async { Ok(run.await?) });
            let arrival = gate.arrival().await?;
            let run = pool.run(pass::with(gate.path(), 2));
            let waiting = n.spawn(async { Ok(run.await) });
            while limiter.statistics().waiting == 0 {
                tokio::task::yield_now().await;
            }
            end.send(()).expect("the body waits for it");
            assert!(waiting.await?.is_err_and(|error| error.is_closed()));
            assert!(!arrival.is_gone());
            let pid = arrival.process.pid;
            arrival.open().await?;
            assert_eq!(running.await?, pid);
            scope.await??;
            assert!(gate.is_quiet().await, "the other job never ran");
            Ok(())
        })
        .await
    });
}

#[test]
fn a_cancel_makes_the_end_of_a_scope_short() {
    guarded("cancelled end", async || {
        let gate = Gate::new()?;
        let around = CancelScope::new();
        nursery(async |n| {
            let (lend, lent) = tokio::sync::oneshot::channel();
            let scope = n.spawn(async {
                let scope = worker::scope(workers(), async |pool| {
                    lend.send(pool).expect("the test waits for it");
                    Ok(())
                });
                Ok(around.run(scope).await)
            });
            let pool = lent.await?;
            // It was sent before the body ended, and the pool may be closed by now.
            let run = pool.run(spin::with(gate.path()));
            let lost = n.spawn(async { Ok(run.await) });
            tokio::task::yield_now().await;
            around.cancel("no time");
            let error = lost.await?.expect_err("it never ends by itself");
            assert!(error.is_closed(), "{error:?}");
            assert!(matches!(scope.await?, Outcome::Done(Ok(()))), "the body was done");
            Ok(())
        })
        .await
    });
}

#[test]
fn a_cancelled_scope_kills_the_jobs_of_others_and_returns() {
    guarded("cancelled jobs", async || {
        let gate = Gate::new()?;
        let around = CancelScope::new();
        nursery(async |n| {
            let (lend, lent) = tokio::sync::oneshot::channel();
            let scope = n.spawn(async {
                let scope = worker::scope(workers(), async |pool| {
                    lend.send(pool).expect("the test waits for it");
                    triune::sleep_forever().await?;
                    Ok(())
                });
                Ok(around.run(scope).await)
            });
            let pool = lent.await?;
            let run = pool.run(spin::with(gate.path()));
            let lost = n.spawn(async { Ok(run.await) });
            let arrival = gate.arrival().await?;
            around.cancel("no time");
            let error = lost.await?.expect_err("it never ends by itself");
            assert!(error.is_closed(), "{error:?}");
            assert!(arrival.is_gone());
            match scope.await? {
                Outcome::Cancelled(_) => {}
                Outcome::Done(end) => assert!(end.is_err_and(|error| error.is_cancelled())),
            }
            Ok(())
        })
        .await
    });
}

#[test]
fn close_now_kills_every_job_and_the_scope_ends_well() {
    guarded("close now", async || {
        let gate = Gate::new()?;
        worker::scope(workers(), async |pool| {
            nursery(async |n| {
                let run = pool.run(spin::with(gate.path())).uncancellable();
                let call = n.spawn(async { Ok(run.await) });
                let arrival = gate.arrival().await?;
                pool.close_now();
                assert!(call.await?.is_err_and(|error| error.is_closed()));
                assert!(arrival.is_gone());
                assert!(within(&pool).await.is_err());
                Ok(())
            })
            .await
        })
        .await
    });
}

#[test]
fn a_scope_that_is_dropped_kills_at_once_and_the_run_reaps() {
    guarded("dropped scope", async || {
        let gate = Gate::new()?;
        let mut arrival = None;
        {
            let mut scope = Box::pin(worker::scope(workers(), async |pool| {
                Ok(pool.run(spin::with(gate.path())).uncancellable().await?)
            }));
            let mut wait = pin!(gate.arrival());
            poll_fn(|cx| {
                assert!(scope.as_mut().poll(cx).is_pending());
                wait.as_mut().poll(cx).map(|arrived| arrival = Some(arrived))
            })
            .await;
        }
        let mut arrival = arrival.expect("it arrived")?;
        arrival.closed().await?;
        gone_soon_while_running(&arrival.process).await?;
        Ok(())
    });
}

#[test]
fn a_scope_whose_body_panics_is_closed_first() {
    guarded("panic", async || {
        let pid = Mutex::new(0);
        let panics = async {
            worker::scope(workers(), async |pool| {
                *pid.lock().expect("nobody panics with it") = within(&pool).await?;
                panic!("the body")
            })
            .await
        };
        let panicked: Result<std::result::Result<(), _>, _> =
            futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(panics)).await;
        assert!(panicked.is_err());
        let pid = *pid.lock().expect("nobody panics with it");
        assert!(triune_testing::ProcessInfo::of(pid).is_none(), "reaped before the panic goes on");
        Ok(())
    });
}

#[triune::job]
fn linger() {
    struct Stays;
    impl Drop for Stays {
        fn drop(&mut self) {
            loop {
                std::thread::park();
            }
        }
    }
    worker::set_state(Stays);
}

// trio-parallel 59, 60, 61, 62
#[test]
fn workers_that_do_not_leave_in_time_are_killed_and_all_of_them_are_reported() {
    guarded("grace", async || {
        let grace = Duration::from_millis(30);
        let workers = workers().grace_period(grace).limiter(&CapacityLimiter::new(3));
        let end = worker::scope(workers, async |pool| {
            nursery(async |n| {
                let gate = Gate::new()?;
                // Side by side, so that there are three of them.
                for ticket in 0..3 {
                    let (pool, path) = (pool.clone(), gate.path());
                    n.spawn(async move { Ok(pool.run(linger_at::with(path, ticket)).await?) });
                }
                for arrival in [gate.arrival().await?, gate.arrival().await?, gate.arrival().await?] {
                    arrival.open().await?;
                }
                Ok(())
            })
            .await
        });
        let error = end.await.expect_err("nobody left in time");
        let failures: &CloseError = error.downcast_ref().expect("it is about the workers");
        assert_eq!(failures.killed_and_bad(), (3, 0));
        for failure in failures.failures() {
            assert!(triune_testing::ProcessInfo::of(failure.pid()).is_none(), "reaped before it is told");
            assert!(matches!(failure.kind(), WorkerFailureKind::Killed { .. }));
        }
        assert!(error.to_string().contains("raise `grace_period`"), "{error}");
        Ok(())
    });
}

#[triune::job]
fn linger_at(gate: String, ticket: u32) {
    super::support::wait_at(&gate, ticket);
    linger();
}

#[test]
fn an_idle_worker_that_somebody_killed_just_before_the_end_of_the_scope_does_not_fail_it() {
    guarded("killed before the end", async || {
        for signal in [rustix::process::Signal::KILL, rustix::process::Signal::TERM] {
            let pool = worker::scope(workers(), async |pool| {
                let pid = i32::try_from(within(&pool).await?)?;
                let pid = rustix::process::Pid::from_raw(pid).expect("a process number");
                // Nothing here waits, so the scope asks a dead worker to leave.
                rustix::process::kill_process(pid, signal)?;
                Ok(pool)
            })
            .await?;
            assert_eq!(pool.statistics().lost_idle, 1);
        }
        Ok(())
    });
}

#[test]
fn the_error_of_the_body_goes_before_those_of_the_workers() {
    guarded("two errors", async || {
        let end = worker::scope(workers().grace_period(Duration::ZERO), async |pool| {
            pool.run(linger::with()).await?;
            Err::<(), _>(triune::Error::msg("the body"))
        });
        assert_eq!(end.await.expect_err("both failed").to_string(), "the body");
        Ok(())
    });
}

// trio-parallel 65
#[test]
fn a_configuration_that_cannot_work_is_refused_before_the_body_runs() {
    guarded("configuration", async || {
        let end = worker::scope(workers().retire(after_jobs(0)), async |_pool| -> Result {
            panic!("it must not run")
        });
        let error = end.await.expect_err("no worker could do anything");
        assert!(error.is::<ConfigError>());
        Ok(())
    });
}

// trio-parallel 81, 82, 86
#[test]
fn a_new_default_takes_effect_at_once_and_the_old_workers_leave() {
    guarded("default", async || {
        let old = here().await?;
        let old_process = triune_testing::ProcessInfo::of(old).expect("it is idle");
        worker::configure_default(workers().retire(after_jobs(1)))?;
        let (first, second) = (here().await?, here().await?);
        assert!(old != first && first != second);
        assert_eq!(worker::statistics().started, 2);
        gone_soon_while_running(&old_process).await
    });
}

/// Waits until a process is reaped, while the event loop goes on.
async fn gone_soon_while_running(process: &triune_testing::ProcessInfo) -> Result {
    let gone = async {
        while process.now().is_some() {
            tokio::task::yield_now().await;
        }
    };
    Ok(tokio::time::timeout(super::support::SOON, gone).await?)
}

// trio-parallel 82
#[test]
fn jobs_of_the_old_default_still_run() {
    guarded("default busy", async || {
        let gate = Gate::new()?;
        nursery(async |n| {
            let call = n.run_in_worker(pass::with(gate.path(), 0));
            let arrival = gate.arrival().await?;
            worker::configure_default(workers())?;
            let pid = arrival.process.pid;
            assert_ne!(here().await?, pid);
            let process = arrival.process.clone();
            arrival.open().await?;
            assert_eq!(call.await?, pid);
            gone_soon_while_running(&process).await
        })
        .await
    });
}

// trio-parallel 14, 15
#[test]
fn a_limiter_limits_and_its_total_can_be_changed_meanwhile() {
    guarded("limiter", async || {
        let gate = Gate::new()?;
        let limiter = CapacityLimiter::new(1);
        nursery(async |n| {
            let calls: Vec<_> = (0..3)
                .map(|ticket| {
                    let run = worker::run(pass::with(gate.path(), ticket)).limiter(&limiter);
                    n.spawn(async { Ok(run.await?) })
                })
                .collect();
            let first = gate.arrival().await?;
            assert!(gate.is_quiet().await, "one at a time");
            limiter.set_total(2);
            let second = gate.arrival().await?;
            assert!(gate.is_quiet().await);
            assert_eq!(limiter.borrowed(), 2);
            first.open().await?;
            gate.arrival().await?.open().await?;
            second.open().await?;
            for call in calls {
                call.await?;
            }
            Ok(())
        })
        .await
    });
}

// trio-parallel 16: in Rust any guard that is held around the call is such a limiter.
#[test]
fn any_guard_around_the_call_limits_it() {
    guarded("guard", async || {
        let gate = Gate::new()?;
        let semaphore = tokio::sync::Semaphore::new(1);
        let unlimited = CapacityLimiter::unlimited();
        nursery(async |n| {
            for ticket in 0..3 {
                let run = worker::run(pass::with(gate.path(), ticket)).limiter(&unlimited);
                let semaphore = &semaphore;
                n.spawn(async move {
                    let _permit = semaphore.acquire().await?;
                    Ok(run.await.map(drop)?)
                });
            }
            for _ in 0..3 {
                let arrival = gate.arrival().await?;
                assert!(gate.is_quiet().await);
                arrival.open().await?;
            }
            Ok(())
        })
        .await
    });
}

#[test]
fn a_job_that_takes_too_long_is_killed_also_when_it_may_not_be_cancelled() {
    guarded("timeout", async || {
        let gate = Gate::new()?;
        for uncancellable in [false, true] {
            nursery(async |n| {
                let run = worker::run(spin::with(gate.path())).timeout(Duration::from_millis(200));
                let run = if uncancellable { run.uncancellable() } else { run };
                let call = n.spawn(async { Ok(run.await) });
                let arrival = gate.arrival().await?;
                let error = call.await?.expect_err("it never ends by itself");
                assert!(error.is_timeout() && triune::Error::from(error).is_timeout());
                assert!(arrival.is_gone());
                Ok(())
            })
            .await?;
        }
        Ok(())
    });
}

#[test]
fn the_time_that_a_job_waits_for_its_place_does_not_count() {
    guarded("timeout queue", async || {
        let limiter = CapacityLimiter::new(0);
        nursery(async |n| {
            let run = worker::run(process_number::with()).limiter(&limiter).timeout(Duration::from_secs(5));
            let call = n.spawn(async { Ok(run.await?) });
            while limiter.statistics().waiting == 0 {
                tokio::task::yield_now().await;
            }
            limiter.set_total(1);
            call.await.map(drop)
        })
        .await
    });
}
