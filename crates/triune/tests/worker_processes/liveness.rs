//! Workers that are watched for signs of life, and workers that do not sleep between two jobs.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use triune::prelude::*;
use triune::worker::{self, DeathCause};
use triune_testing::{ProcessInfo, wait_until};

use super::support::{Gate, SOON, gone_soon, guarded_by_kind, pass, process_number, workers};

/// Short enough for a test, long enough for a busy machine.
const PATIENCE: Duration = Duration::from_millis(500);

fn stop(process: &ProcessInfo) {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).expect("a process number");
    kill_process(pid, Signal::STOP).expect("it was there a moment ago");
    assert!(wait_until(SOON, || process.now().is_some_and(|now| now.state == 'T')));
}

#[test]
fn a_worker_that_is_stopped_in_a_job_is_ended_and_the_error_says_why() {
    guarded_by_kind("stopped in a job", async || {
        let gate = Gate::new()?;
        worker::scope(workers().stall_timeout(PATIENCE), async |pool| {
            nursery(async |n| {
                let call = n.spawn(async { Ok(pool.run(pass::with(gate.path(), 0)).await) });
                let arrival = gate.arrival().await?;
                stop(&arrival.process);
                let error = call.await?.expect_err("it was stopped");
                assert_eq!(error.death_cause(), Some(DeathCause::Stalled), "{error:?}");
                assert!(error.to_string().contains("`Workers::stall_timeout`"), "{error}");
                gone_soon(&arrival.process);
                assert_ne!(pool.run(process_number::with()).await?, arrival.process.pid);
                Ok(())
            })
            .await
        })
        .await
    });
}

#[test]
fn a_job_that_a_stopped_worker_has_not_begun_goes_to_another() {
    guarded_by_kind("stopped while idle", async || {
        worker::scope(workers().stall_timeout(PATIENCE), async |pool| {
            let pid = pool.run(process_number::with()).await?;
            let process = ProcessInfo::of(pid).expect("it is idle");
            assert!(wait_until(SOON, || process.now().is_some_and(|now| now.state == 'S')));
            stop(&process);
            assert_ne!(pool.run(process_number::with()).await?, pid);
            gone_soon(&process);
            Ok(())
        })
        .await
    });
}

/// Keeps its processor busy.
#[triune::job]
fn compute_for(time: Duration) -> u32 {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
    std::process::id()
}

#[test]
fn a_job_may_compute_for_longer_than_the_stall_timeout() {
    guarded_by_kind("busy", async || {
        worker::scope(workers().stall_timeout(PATIENCE), async |pool| {
            let pid = pool.run(compute_for::with(PATIENCE * 3)).await?;
            // Nor is it ended while it has nothing to do.
            triune::sleep(PATIENCE * 2).await?;
            assert_eq!(pool.run(process_number::with()).await?, pid);
            Ok(())
        })
        .await
    });
}

/// How often this thread has gone to sleep.
#[triune::job]
fn sleeps(payload: Vec<u8>) -> (u64, usize) {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("/proc is there");
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    (line.and_then(|count| count.trim().parse().ok()).expect("the system counts"), payload.len())
}

#[test]
fn a_worker_in_latency_mode_does_not_sleep_between_jobs() {
    guarded_by_kind("latency mode", async || {
        worker::scope(workers().spin(SOON), async |pool| {
            let (before, _) = pool.run(sleeps::with(Vec::new())).await?;
            for len in [0, 10, 70_000].into_iter().cycle().take(12) {
                let (after, got) = pool.run(sleeps::with(vec![7; len])).await?;
                assert_eq!(got, len);
                assert!(after < before + 10, "it has slept {} times", after - before);
            }
            Ok(())
        })
        .await
    });
}
