//! Workers that die: of a signal, of themselves, with their parent.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use triune::__private::RuntimeConfig;
use triune::actor::ActorDied;
use triune::prelude::*;
use triune::worker::{self, RunError, WorkerKind, Workers};
use triune_testing::{ProcessInfo, wait_until};

use super::support::{
    Gate, SOON, are_forked, gone_soon, guarded_by_kind, kill, kill_and_wait, pass, pool_becomes,
    process_number, spin, worker_dies_with_its_owner,
};

// trio-parallel 31, 40
#[test]
fn a_busy_worker_that_is_killed_is_a_typed_error_and_the_next_job_gets_another() {
    guarded_by_kind("kill busy", async || {
        let gate = Gate::new()?;
        nursery(async |n| {
            let call = n.spawn(async { Ok(worker::run(spin::with(gate.path())).await) });
            let arrival = gate.arrival().await?;
            kill(&arrival.process);
            let error = call.await?.expect_err("its worker is dead");
            assert!(error.is_worker_death());
            assert!(arrival.is_gone(), "reaped before the caller hears of it");
            let RunError::Died { died, .. } = &error else { panic!("{error:?}") };
            assert_eq!(died.pid(), arrival.process.pid);
            assert_eq!(died.exit().and_then(|exit| exit.signal()), Some(9));
            assert_eq!(error.to_string(), "job `worker_processes::support::spin` was lost with its worker");
            assert!(died.to_string().ends_with("died while busy: killed by SIGKILL"), "{died}");
            assert_ne!(worker::run(process_number::with()).await?, arrival.process.pid);
            Ok(())
        })
        .await
    });
}

// trio-parallel 38
#[test]
fn an_idle_worker_that_is_killed_is_replaced_without_a_word() {
    guarded_by_kind("kill idle", async || {
        for round in 0..10 {
            let pid = worker::run(process_number::with()).await?;
            let process = ProcessInfo::of(pid).expect("it is idle");
            // Asleep in its read: one that is still on its way there could take the next job along into its death.
            assert!(wait_until(SOON, || ProcessInfo::of(pid).is_some_and(|now| now.state == 'S')));
            // The event loop has not seen the death yet when the next job is sent.
            if round % 2 == 0 {
                kill_and_wait(&process)
            } else {
                kill(&process)
            }
            let next = worker::run(process_number::with()).await?;
            assert_ne!(next, pid);
            gone_soon(&process);
        }
        Ok(())
    });
}

#[triune::job]
fn leave(how: String) -> u8 {
    match how.as_str() {
        "exit 0" => std::process::exit(0),
        "exit 3" => std::process::exit(3),
        "abort" => std::process::abort(),
        _ => 1,
    }
}

// trio-parallel 35
#[test]
fn a_job_that_ends_its_process_is_a_typed_error_whatever_the_code() {
    guarded_by_kind("exit", async || {
        for (how, code, signal) in
            [("exit 0", Some(0), None), ("exit 3", Some(3), None), ("abort", None, Some(6))]
        {
            let error = worker::run(leave::with(how.into())).await.expect_err("no result");
            let RunError::Died { died, .. } = &error else { panic!("{error:?}") };
            let exit = died.exit().expect("it was reaped");
            assert_eq!((exit.code(), exit.signal()), (code, signal), "{how}");
            assert_eq!(error.to_string().contains("does not exit the process"), code.is_some(), "{error}");
        }
        assert_eq!(worker::run(leave::with("stay".into())).await?, 1);
        Ok(())
    });
}

#[triune::job]
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 1024]);
    if depth == u64::MAX { 0 } else { overflow(depth + 1) + frame[3] }
}

#[test]
fn a_stack_overflow_takes_only_the_worker() {
    guarded_by_kind("stack overflow", async || {
        let error = worker::run(overflow::with(0)).await.expect_err("no stack is that large");
        assert!(error.is_worker_death(), "{error:?}");
        worker::run(process_number::with()).await?;
        Ok(())
    });
}

/// Not a test: the program that the next test kills.
#[test]
#[ignore = "runs as a child of a_busy_worker_dies_with_its_parent"]
fn parent_of_a_busy_worker() {
    let Ok(path) = std::env::var("TEST_GATE") else { return };
    let config = RuntimeConfig::current_thread();
    let end = triune::__private::test(config, "parent", async || worker::run(spin::with(path)).await);
    panic!("it was to be killed, and ended with {end:?}");
}

// trio-parallel 93
#[test]
fn a_busy_worker_dies_with_its_parent() {
    guarded_by_kind("parent killed", async || {
        let gate = Gate::new()?;
        #[expect(clippy::disallowed_methods, reason = "a root of its own, which is killed as a shell would")]
        let mut parent = Command::new(std::env::current_exe()?)
            .args(["--exact", "death::parent_of_a_busy_worker", "--ignored", "--nocapture"])
            .env("TEST_GATE", gate.path())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut arrival = gate.arrival().await?;
        let guardian = ProcessInfo::of(arrival.process.parent).expect("it lives as long as its wards");
        assert_eq!(guardian.parent, parent.id());
        parent.kill()?;
        parent.wait()?;
        arrival.closed().await?;
        gone_soon(&arrival.process);
        let output = BufReader::new(parent.stdout.take().expect("it is piped")).lines().count();
        assert!(output > 0, "the test harness of the parent greets");
        Ok(())
    });
}

/// What an actor does that has a busy worker.
#[triune::endpoint]
async fn own_a_busy_worker(forked: bool, gate: String) -> Result {
    let kind = if forked { WorkerKind::ForkServer } else { WorkerKind::Spawn };
    worker::scope(Workers::new().kind(kind), async |pool| Ok(pool.run(spin::with(gate)).await?)).await
}

#[test]
fn a_busy_worker_dies_with_its_owner_also_while_the_guardian_is_stopped() {
    guarded_by_kind("owner killed", async || {
        let gate = Gate::new()?;
        let error = nursery(async |n| {
            let owner = n.actor("owner").start().await?;
            let _call = n.spawn({
                let (owner, call) = (owner.clone(), own_a_busy_worker::with(are_forked(), gate.path()));
                async move { Ok(owner.call(call).await?) }
            });
            worker_dies_with_its_owner(owner.pid(), &gate.arrival().await?.process);
            Ok(())
        })
        .await
        .expect_err("an actor of it has died");
        let deaths: Vec<&ActorDied> = error.group().expect("of a nursery").downcast_all();
        assert!(!deaths.is_empty(), "{error:?}");
        Ok(())
    });
}

// trio-parallel 42
#[test]
fn of_the_idle_workers_those_that_died_are_dropped_and_the_others_kept() {
    guarded_by_kind("prune", async || {
        if worker::statistics().limit < 2 {
            return Ok(()); // One core, one worker.
        }
        for cold in [true, false] {
            let gate = Gate::new()?;
            let before = worker::statistics().lost_idle;
            let (first, last) = nursery(async |n| {
                let one = n.run_in_worker(pass::with(gate.path(), 1));
                let first = gate.arrival().await?;
                let two = n.run_in_worker(pass::with(gate.path(), 2));
                let last = gate.arrival().await?;
                let processes = (first.process.clone(), last.process.clone());
                first.open().await?;
                one.await?;
                last.open().await?;
                two.await?;
                Ok(processes)
            })
            .await?;
            let (victim, survivor) = if cold { (first, last) } else { (last, first) };
            kill(&victim);
            pool_becomes(|pool| (pool.idle, pool.lost_idle) == (1, before + 1)).await?;
            gone_soon(&victim);
            assert_eq!(worker::run(process_number::with()).await?, survivor.pid);
        }
        Ok(())
    });
}
