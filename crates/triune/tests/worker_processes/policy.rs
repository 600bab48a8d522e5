//! How workers are initialised, replaced and let go.

use std::time::Duration;

use triune::prelude::*;
use triune::sync::CapacityLimiter;
use triune::worker::{
    self, CloseError, InitError, RunError, WorkerFailureKind, after_age, after_jobs, set_state,
    when_rss_above, with_state,
};

use super::support::{SOON, guarded_by_kind, process_number, workers};

struct Count {
    inits: u32,
    jobs: u32,
}

#[triune::job]
fn begin(inits: u32) {
    let before = worker::try_with_state(|count: &mut Count| count.inits).unwrap_or_default();
    set_state(Count { inits: before + inits, jobs: 0 });
}

/// Process number, how often it was initialised, how many jobs it has done.
#[triune::job]
fn count() -> (u32, u32, u32) {
    with_state(|count: &mut Count| {
        count.jobs += 1;
        (std::process::id(), count.inits, count.jobs)
    })
}

// trio-parallel 46
#[test]
fn init_runs_once_in_each_worker_before_its_first_job_and_jobs_see_its_state() {
    guarded_by_kind("init", async || {
        let workers = workers().init(begin::with(1)).retire(after_jobs(2)).warm(1);
        worker::scope(workers, async |pool| {
            let mut seen = Vec::new();
            for _ in 0..4 {
                seen.push(pool.run(count::with()).await?);
            }
            let counts: Vec<_> = seen.iter().map(|(_, inits, jobs)| (*inits, *jobs)).collect();
            assert_eq!(counts, [(1, 1), (1, 2), (1, 1), (1, 2)]);
            assert!(seen[0].0 == seen[1].0 && seen[1].0 != seen[2].0 && seen[2].0 == seen[3].0);
            Ok(())
        })
        .await
    });
}

#[triune::job]
fn fail_to_begin(how: String) -> std::result::Result<(), std::num::ParseIntError> {
    match how.as_str() {
        "panic" => panic!("nothing works"),
        "die" => std::process::exit(3),
        number => number.parse::<u32>().map(drop),
    }
}

#[test]
fn a_failing_init_is_reported_as_what_it_is_to_every_job_that_needs_a_worker() {
    guarded_by_kind("init fails", async || {
        for (how, text) in [
            ("x", "its `init` job failed: invalid digit found in string"),
            ("panic", "its `init` job panicked at "),
            ("die", "it died in its `init` job: worker `worker-1` ("),
        ] {
            worker::scope(workers().init(fail_to_begin::with(how.into())), async |pool| {
                for _ in 0..2 {
                    let error = pool.run(process_number::with()).await.expect_err("no worker can begin");
                    assert!(error.is_init(), "{error:?}");
                    let RunError::Init { error: why, .. } = &error else { unreachable!() };
                    let text = text.replace("worker-1", &format!("worker-{}", pool.statistics().started));
                    assert!(why.to_string().starts_with(&text), "{why}");
                    match (how, why) {
                        ("die", InitError::Died(died)) => {
                            assert_eq!(died.exit().and_then(|exit| exit.code()), Some(3));
                        }
                        ("die", _) => panic!("{why:?}"),
                        _ => assert!(error.report().is_some()),
                    }
                }
                let counts = pool.statistics();
                assert_eq!((counts.starting, counts.idle, counts.busy), (0, 0, 0));
                Ok(())
            })
            .await?;
        }
        Ok(())
    });
}

#[test]
fn a_warm_worker_whose_init_fails_is_not_started_again_and_again() {
    guarded_by_kind("warm init fails", async || {
        let workers = workers().init(fail_to_begin::with("x".into())).warm(2);
        worker::scope(workers, async |pool| {
            let settled = async {
                while pool.statistics().starting + pool.statistics().dying > 0 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(SOON, settled).await?;
            assert_eq!(pool.statistics().started, 2);
            assert!(pool.run(process_number::with()).await.is_err_and(|error| error.is_init()));
            Ok(())
        })
        .await
    });
}

// trio-parallel 47, 48
#[test]
fn a_worker_retires_after_its_jobs_or_its_age() {
    guarded_by_kind("retire", async || {
        for (case, (workers, jobs)) in [
            (workers().retire(after_jobs(2)), 2),
            (workers().retire(after_jobs(1) | after_age(SOON)), 1),
            (workers().retire(after_age(Duration::ZERO)), 1),
            (workers().retire(when_rss_above(1)), 1),
            (workers().retire(when_rss_above(u64::MAX)), 4),
            // One at a time: else the next job would not wait for the answer, and get another worker.
            (workers().retire(has_done_three::with()).limiter(&CapacityLimiter::new(1)), 3),
        ]
        .into_iter()
        .enumerate()
        {
            worker::scope(workers, async |pool| {
                let mut pids = Vec::new();
                for _ in 0..4 {
                    pids.push(pool.run(process_number::with()).await?);
                }
                let first = pids.iter().take_while(|pid| **pid == pids[0]).count();
                assert_eq!(first, jobs, "case {case}: {pids:?}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    });
}

#[triune::job]
fn has_done_three() -> bool {
    let done = worker::try_with_state(|done: &mut u32| {
        *done += 1;
        *done
    });
    if done.is_none() {
        set_state(1_u32);
    }
    done == Some(3)
}

#[triune::job]
fn never_answers(gate: String) -> bool {
    super::support::wait_at(&gate, 7);
    true
}

// trio-parallel 50
#[test]
fn the_caller_has_its_result_before_the_worker_is_asked_whether_it_retires() {
    guarded_by_kind("off the path", async || {
        let gate = super::support::Gate::new()?;
        let workers = workers().retire(never_answers::with(gate.path()));
        worker::scope(workers, async |pool| {
            let pid = pool.run(process_number::with()).await?;
            let asked = gate.arrival().await?;
            assert_eq!((asked.process.pid, asked.ticket), (pid, 7));
            assert_eq!((pool.statistics().busy, pool.statistics().idle), (1, 0));
            asked.open().await?;
            Ok(())
        })
        .await
    });
}

#[triune::job]
fn fail_to_retire() -> std::result::Result<bool, std::num::ParseIntError> {
    "x".parse::<u8>().map(|_| true)
}

#[triune::job]
fn die_in_retire() -> bool {
    std::process::abort()
}

// trio-parallel 51, 52: told at the end of the scope, with what it is; the next job is not harmed.
#[test]
fn a_failing_retire_is_reported_when_the_scope_ends_and_costs_no_job() {
    guarded_by_kind("retire fails", async || {
        for (retire, dies) in [(fail_to_retire::with(), false), (die_in_retire::with(), true)] {
            let end = worker::scope(workers().retire(retire), async |pool| {
                let first = pool.run(process_number::with()).await?;
                assert_ne!(pool.run(process_number::with()).await?, first);
                Ok(())
            });
            let error = end.await.expect_err("the retire job fails");
            let failures: &CloseError = error.downcast_ref().expect("it is about the workers");
            // The last worker may be leaving already when it would be asked.
            assert!(!failures.failures().is_empty());
            for failure in failures.failures() {
                let WorkerFailureKind::Retire { job, failure, .. } = failure.kind() else {
                    panic!("{failure}")
                };
                assert!(job.ends_with("_retire"));
                assert_eq!(failure.is_none(), dies);
            }
        }
        Ok(())
    });
}

async fn becomes_empty(pool: &worker::Pool) -> Result {
    let empty = async {
        while pool.statistics().idle + pool.statistics().dying > 0 {
            tokio::task::yield_now().await;
        }
    };
    Ok(tokio::time::timeout(SOON, empty).await?)
}

// trio-parallel 41, 43, 58
#[test]
fn an_idle_worker_leaves_after_its_timeout_in_good_order() {
    guarded_by_kind("idle", async || {
        worker::scope(workers().idle_timeout(Duration::from_millis(30)), async |pool| {
            for _ in 0..2 {
                pool.run(process_number::with()).await?;
                becomes_empty(&pool).await?;
            }
            assert_eq!((pool.statistics().started, pool.statistics().lost_idle), (2, 0));
            Ok(())
        })
        .await?;
        worker::scope(workers().idle_timeout(Duration::MAX).grace_period(Duration::MAX), async |pool| {
            pool.run(process_number::with()).await.map(drop).map_err(Into::into)
        })
        .await
    });
}

// trio-parallel 45
#[test]
fn without_idle_time_each_job_has_a_process_of_its_own() {
    guarded_by_kind("no idle time", async || {
        worker::scope(workers().idle_timeout(Duration::ZERO), async |pool| {
            let mut pids = std::collections::BTreeSet::new();
            for _ in 0..3 {
                pids.insert(pool.run(process_number::with()).await?);
            }
            assert_eq!(pids.len(), 3);
            Ok(())
        })
        .await
    });
}

// trio-parallel 44
#[test]
fn a_job_never_meets_a_worker_that_is_timing_out() {
    guarded_by_kind("timing out", async || {
        worker::scope(workers().idle_timeout(Duration::from_millis(1)), async |pool| {
            for round in 0..100_u64 {
                pool.run(process_number::with()).await?;
                // Around the moment of the timeout, a little earlier or later each time.
                triune::sleep(Duration::from_micros(800 + round * 5)).await?; // tidy: allow(sleep) because it aims at a timer
            }
            Ok(())
        })
        .await
    });
}
