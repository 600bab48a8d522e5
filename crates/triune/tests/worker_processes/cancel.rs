//! Cancels and drops: what they do to the job, its process and its place.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::Instant;
use triune::prelude::*;
use triune::sync::CapacityLimiter;
use triune::worker::{self, Pool, RunError};
use triune::{CancelScope, Outcome};
use triune_testing::ProcessInfo;

use super::support::{
    Gate, gone_soon, guarded_by_kind, kill_and_wait, pass, pool_becomes, process_number, spin, workers,
};

/// What a call says when the scope around it was cancelled.
#[track_caller]
fn assert_cancelled<T: std::fmt::Debug>(outcome: Outcome<Result<T, RunError>>) {
    match outcome {
        Outcome::Cancelled(_) => {}
        Outcome::Done(result) => {
            let error = result.expect_err("it was cancelled");
            assert!(error.is_cancelled(), "{error:?}");
            assert!(triune::Error::from(error).is_cancelled(), "found through the chain of sources");
        }
    }
}

// trio-parallel 20, 29
#[test]
fn a_cancelled_call_returns_when_its_process_is_dead_and_reaped() {
    guarded_by_kind("cancel", async || {
        let gate = Gate::new()?;
        for _ in 0..5 {
            let scope = CancelScope::new();
            let arrival = nursery(async |n| {
                let outcome = n.spawn(async {
                    let outcome = scope.run(worker::run(spin::with(gate.path()))).await;
                    Ok(outcome)
                });
                let arrival = gate.arrival().await?;
                scope.cancel("not needed any more");
                assert_cancelled(outcome.await?);
                assert!(arrival.is_gone());
                Ok(arrival)
            })
            .await?;
            let statistics = worker::statistics();
            assert_eq!((statistics.busy, statistics.dying, statistics.idle), (0, 0, 0));
            assert_ne!(worker::run(process_number::with()).await?, arrival.process.pid);
            // The next round shall start a worker of its own.
            assert!(worker::run(leave::with()).await.is_err_and(|error| error.is_worker_death()));
        }
        Ok(())
    });
}

#[triune::job]
fn leave() {
    std::process::exit(0);
}

#[test]
fn a_dropped_call_kills_at_once_and_the_run_reaps() {
    guarded_by_kind("drop", async || {
        let gate = Gate::new()?;
        let mut call = Box::pin(worker::run(spin::with(gate.path())));
        let mut arrival = None;
        {
            let mut wait = pin!(gate.arrival());
            poll_fn(|cx| {
                assert!(call.as_mut().poll(cx).is_pending());
                wait.as_mut().poll(cx).map(|arrived| arrival = Some(arrived))
            })
            .await;
        }
        let mut arrival = arrival.expect("it arrived")?;
        drop(call);
        arrival.closed().await?;
        pool_becomes(|pool| (pool.busy, pool.dying) == (0, 0)).await?;
        gone_soon(&arrival.process);
        Ok(())
    });
}

// trio-parallel 22
#[test]
fn an_uncancellable_job_ends_before_its_caller_sees_the_cancel() {
    guarded_by_kind("uncancellable", async || {
        let gate = Gate::new()?;
        let scope = CancelScope::new();
        nursery(async |n| {
            let call = n.spawn(async {
                let run = async { worker::run(pass::with(gate.path(), 0)).uncancellable().await };
                Ok(scope.run(run).await)
            });
            let arrival = gate.arrival().await?;
            let pid = arrival.process.pid;
            scope.cancel("too late");
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            assert!(!arrival.is_gone());
            arrival.open().await?;
            match call.await? {
                Outcome::Done(result) => assert_eq!(result?, pid),
                Outcome::Cancelled(reason) => panic!("the call has a result, and was cut off: {reason}"),
            }
            assert_eq!(worker::run(process_number::with()).await?, pid, "the worker is as good as before");
            Ok(())
        })
        .await
    });
}

#[test]
fn an_uncancellable_job_without_a_caller_runs_on_and_keeps_its_place() {
    guarded_by_kind("without a caller", async || {
        let gate = Gate::new()?;
        let limit = worker::statistics().limit;
        let mut arrivals = Vec::new();
        for ticket in 0..u32::try_from(limit)? {
            let mut call = Box::pin(worker::run(pass::with(gate.path(), ticket)).uncancellable());
            let mut wait = Box::pin(gate.arrival());
            let arrival = poll_fn(|cx| {
                assert!(call.as_mut().poll(cx).is_pending());
                wait.as_mut().poll(cx)
            });
            arrivals.push(arrival.await?);
            drop(call);
        }
        assert_eq!(worker::statistics().busy, limit);
        let mut next = Box::pin(worker::run(process_number::with()));
        for _ in 0..20 {
            assert!(
                poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx).is_pending())).await,
                "every place is taken"
            );
            tokio::task::yield_now().await;
        }
        let first = arrivals.remove(0);
        let pid = first.process.pid;
        first.open().await?;
        assert_eq!(next.await?, pid);
        for arrival in arrivals {
            arrival.open().await?;
        }
        pool_becomes(|pool| pool.idle == limit).await
    });
}

#[test]
fn a_job_that_was_cancelled_while_it_waited_never_starts() {
    guarded_by_kind("waiting", async || {
        let gate = Gate::new()?;
        let scope = CancelScope::new();
        let limit = u32::try_from(worker::statistics().limit)?;
        nursery(async |n| {
            let mut arrivals = Vec::new();
            for ticket in 0..limit {
                n.run_in_worker(pass::with(gate.path(), ticket));
                arrivals.push(gate.arrival().await?);
            }
            let waiting = n.spawn(async {
                let run = async { worker::run(pass::with(gate.path(), 99)).uncancellable().await };
                Ok(scope.run(run).await)
            });
            tokio::task::yield_now().await;
            scope.cancel("not needed any more");
            assert_cancelled(waiting.await?);
            for arrival in arrivals {
                arrival.open().await?;
            }
            Ok(())
        })
        .await?;
        assert!(gate.is_quiet().await);
        Ok(())
    });
}

// trio-parallel 19
#[test]
fn a_call_in_a_cancelled_scope_starts_nothing() {
    guarded_by_kind("entry", async || {
        let scope = CancelScope::new();
        scope.cancel("before it began");
        assert_cancelled(
            scope.run(async { worker::run(process_number::with()).uncancellable().await }).await,
        );
        let pool = worker::statistics();
        assert_eq!((pool.starting, pool.idle, pool.busy, pool.dying), (0, 0, 0, 0));
        Ok(())
    });
}

// trio-parallel 25
#[test]
fn a_cancel_while_the_worker_starts_leaves_no_process() {
    guarded_by_kind("starting", async || {
        // Each round cancels one turn of the event loop later than the one before.
        for turns in 0..40 {
            let scope = CancelScope::new();
            nursery(async |n| {
                let call = n.spawn(async {
                    let run = async { worker::run(process_number::with()).await };
                    Ok(scope.run(run).await)
                });
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                scope.cancel("now");
                match call.await? {
                    Outcome::Done(Ok(_)) => {}
                    cancelled => assert_cancelled(cancelled),
                }
                Ok(())
            })
            .await?;
            let pool = worker::statistics();
            assert_eq!((pool.starting, pool.busy, pool.dying), (0, 0, 0));
        }
        Ok(())
    });
}

// trio-parallel 30
#[test]
fn the_cancel_of_one_job_leaves_the_others_alone() {
    guarded_by_kind("others", async || {
        if worker::statistics().limit < 2 {
            return Ok(()); // One core, one worker.
        }
        let gate = Gate::new()?;
        let scope = CancelScope::new();
        nursery(async |n| {
            let kept = n.run_in_worker(pass::with(gate.path(), 7));
            let bystander = gate.arrival().await?;
            let killed = n.spawn(async { Ok(scope.run(worker::run(spin::with(gate.path()))).await) });
            let victim = gate.arrival().await?;
            scope.cancel("only this one");
            assert_cancelled(killed.await?);
            assert!(victim.is_gone() && !bystander.is_gone());
            let pid = bystander.process.pid;
            bystander.open().await?;
            assert_eq!(kept.await?, pid);
            Ok(())
        })
        .await
    });
}

// trio-parallel 23
#[test]
fn a_deadline_ends_a_job_that_may_be_cancelled_and_waits_for_one_that_may_not() {
    guarded_by_kind("deadline", async || {
        let gate = Gate::new()?;
        let soon = || Instant::now() + Duration::from_millis(30);
        nursery(async |n| {
            let scope = CancelScope::with_deadline(soon());
            let call = n.spawn(async move { Ok(scope.run(worker::run(spin::with(gate.path()))).await) });
            assert_cancelled(call.await?);
            Ok(())
        })
        .await?;

        let gate = Gate::new()?;
        let scope = CancelScope::new();
        nursery(async |n| {
            let call = n.spawn(async {
                let run = async { worker::run(pass::with(gate.path(), 0)).uncancellable().await };
                Ok(scope.run(run).await)
            });
            let arrival = gate.arrival().await?;
            scope.set_deadline(soon());
            while !scope.cancel_called() {
                tokio::task::yield_now().await;
            }
            let pid = arrival.process.pid;
            assert!(!arrival.is_gone());
            arrival.open().await?;
            match call.await? {
                Outcome::Done(result) => assert_eq!(result?, pid),
                Outcome::Cancelled(reason) => panic!("the call has a result, and was cut off: {reason}"),
            }
            Ok(())
        })
        .await
    });
}

// trio-parallel 26
#[test]
fn a_cancel_at_the_moment_of_sending_leaves_a_worker_that_never_got_the_job_or_none() {
    guarded_by_kind("sending", async || {
        let gate = Gate::new()?;
        let mut killed = 0;
        // Each round cancels one turn of the event loop later than the one before.
        for turns in 0..40 {
            let pid = worker::run(process_number::with()).await?;
            let process = ProcessInfo::of(pid).expect("it is idle");
            let scope = CancelScope::new();
            let mut call = Box::pin(scope.run(async { worker::run(spin::with(gate.path())).await }));
            for _ in 0..turns {
                assert!(poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await);
                tokio::task::yield_now().await;
            }
            scope.cancel("now");
            assert_cancelled(call.await);
            if worker::run(process_number::with()).await? != pid {
                assert!(process.now().is_none(), "the next job got another worker, so this one is reaped");
                killed += 1;
            }
        }
        assert!(killed > 0, "some of them were sent");
        Ok(())
    });
}

/// Nobody could stop it any more.
#[test]
fn an_uncancellable_job_that_is_cancelled_just_when_it_gets_its_place_does_not_begin() {
    guarded_by_kind("place", async || {
        let gate = Gate::new()?;
        worker::scope(workers().limiter(&CapacityLimiter::new(1)), async |pool| {
            let mut first = Box::pin(async { pool.run(pass::with(gate.path(), 0)).await });
            let arrival = match select(pin!(gate.arrival()), first.as_mut()).await {
                Either::Left((arrival, _)) => arrival?,
                Either::Right((ended, _)) => panic!("it waits at the gate: {ended:?}"),
            };
            let scope = CancelScope::new();
            let second = async { pool.run(process_number::with()).uncancellable().await };
            let mut second = Box::pin(scope.run(second));
            assert!(poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx).is_pending())).await);
            arrival.open().await?;
            // Its place goes to the second one, with its worker.
            first.await?;
            scope.cancel("now");
            assert_cancelled(second.await);
            Ok(())
        })
        .await
    });
}

// trio-parallel 28
#[test]
fn a_job_that_no_worker_reads_can_be_cancelled_before_it_is_sent_again() {
    guarded_by_kind("sent again", async || {
        let gate = Gate::new()?;
        worker::scope(workers().limiter(&CapacityLimiter::new(3)), async |pool| {
            for _ in 0..20 {
                three_idle(&pool, &gate).await?.iter().for_each(kill_and_wait);
                let scope = CancelScope::new();
                let run = async { pool.run(pass::with(gate.path(), 0)).uncancellable().await };
                let mut call = Box::pin(scope.run(run));
                assert!(poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await);
                scope.cancel("now");
                match select(call, pin!(gate.arrival())).await {
                    Either::Left((outcome, _)) => {
                        assert_cancelled(outcome);
                        assert!(gate.is_quiet().await, "it never ran");
                        return Ok(());
                    }
                    // The pool had heard of the deaths, and had another worker up, before the first poll was over.
                    Either::Right((arrival, call)) => {
                        arrival?.open().await?;
                        assert!(matches!(call.await, Outcome::Done(Ok(_))), "it had begun");
                    }
                }
            }
            panic!("a new worker was always faster than one poll")
        })
        .await
    });
}

/// Three workers that have done a job.
async fn three_idle(pool: &Pool, gate: &Gate) -> Result<Vec<ProcessInfo>> {
    nursery(async |n| {
        let mut arrivals = Vec::new();
        for ticket in 0..3 {
            let run = pool.run(pass::with(gate.path(), ticket));
            n.spawn(async { Ok(run.await.map(drop)?) });
            arrivals.push(gate.arrival().await?);
        }
        let workers = arrivals.iter().map(|one| one.process.clone()).collect();
        for arrival in arrivals {
            arrival.open().await?;
        }
        Ok(workers)
    })
    .await
}
