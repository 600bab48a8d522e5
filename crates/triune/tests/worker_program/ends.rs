//! Other programs that die: of themselves, of a signal, with their pool; and what they leave behind.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use triune::__private::RuntimeConfig;
use triune::actor::ActorDied;
use triune::prelude::*;
use triune::worker::{self, DeathCause, Limits, Program, RunError, WorkerKind, Workers};
use triune_testing::{LeakGuard, ProcessInfo, wait_gone, wait_until};

use crate::jobs::{add, misbehave};
use crate::programs::{self, with_each};
use crate::support::{Gate, SOON, kill, process_number, spin, worker_dies_with_its_owner, workers};

#[test]
fn a_death_is_typed_with_its_last_words_and_the_pool_goes_on() {
    with_each("deaths", async || {
        worker::scope(workers().limits(Limits::new().core_size(0)), async |pool| {
            for (how, causes) in [
                ("exit", &[DeathCause::Exit][..]),
                ("segfault", &[DeathCause::Signal]),
                ("cut", &[DeathCause::Exit, DeathCause::LinkClosed]),
            ] {
                let error = pool.run(misbehave::with(how.to_owned())).await.expect_err("it dies");
                let RunError::Died { cause, died, .. } = &error else { panic!("{how}: {error:?}") };
                assert!(causes.contains(cause), "{how}: {error:?}");
                assert!(died.stderr_tail().contains(&format!("about to {how}")), "{died:?}");
                assert_eq!(pool.run(add::with(1, 1)).await?, 2);
            }
            Ok(())
        })
        .await
    });
}

#[test]
fn a_busy_program_that_is_killed_is_a_typed_error() {
    with_each("kill busy", async || {
        let gate = Gate::new()?;
        nursery(async |n| {
            let call = n.spawn(async { Ok(worker::run(spin::with(gate.path())).await) });
            let arrival = gate.arrival().await?;
            kill(&arrival.process);
            let error = call.await?.expect_err("its worker is dead");
            assert_eq!(error.death_cause(), Some(DeathCause::Killed), "{error:?}");
            assert!(arrival.is_gone(), "reaped before the caller hears of it");
            Ok(())
        })
        .await
    });
}

/// What an actor does that has a busy worker.
#[triune::endpoint]
async fn own_a_busy_program(number: u8, gate: String) -> Result {
    let program = programs::program(number).ok_or_else(|| Error::msg("the test has asked for it"))?;
    let pool = Workers::new().kind(WorkerKind::Program(program));
    worker::scope(pool, async |pool| Ok(pool.run(spin::with(gate)).await?)).await
}

#[test]
fn a_busy_program_dies_with_its_owner_also_while_the_guardian_is_stopped() {
    for number in (0..).take_while(|number| programs::program(*number).is_some()) {
        programs::with(programs::own(), "owner killed", async || {
            let gate = Gate::new()?;
            let error = nursery(async |n| {
                let owner = n.actor("owner").start().await?;
                let _call = n.spawn({
                    let (owner, call) = (owner.clone(), own_a_busy_program::with(number, gate.path()));
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
}

#[test]
fn what_a_program_leaves_behind_is_swept() {
    with_each("strays", async || {
        let stray = worker::scope(workers(), async |pool| {
            let pid = pool.run(misbehave::with("stray".to_owned())).await?;
            Ok(ProcessInfo::of(pid).expect("it sleeps"))
        })
        .await?;
        assert!(stray.now().is_none(), "{stray:?}");
        Ok(())
    });
}

/// How many jobs run while workers are killed.
const JOBS: i64 = 300;

#[test]
fn every_job_ends_once_while_workers_are_killed_at_random() {
    with_each("chaos", async || {
        worker::scope(workers().warm(2), async |pool| {
            let mut results = pool.map((0..JOBS).map(|n| add::with(n, 1)));
            let (mut done, mut died, mut kills) = (0, 0, 0_u32);
            for n in 0..JOBS {
                // Most steps of this sequence are far apart, and none is told beforehand.
                if n * 7919 % 37 == 0
                    && let Some(worker) = a_worker()
                {
                    kill(&worker);
                    kills += 1;
                }
                match results.next().await.expect("each has a result") {
                    Ok(sum) => {
                        assert_eq!(sum, n + 1);
                        done += 1;
                    }
                    Err(error) => {
                        // One may be killed before it has said hello, too.
                        assert!(error.is_worker_death() || error.is_start(), "{error:?}");
                        died += 1;
                    }
                }
            }
            assert!(results.next().await.is_none());
            assert_eq!(done + died, JOBS);
            assert!(kills > 0 && done > JOBS / 2, "{done} done, {died} died, {kills} kills");
            Ok(())
        })
        .await
        .or_else(|error: triune::Error| {
            // Somebody has killed idle workers just as they were leaving: that is what this test does.
            if error.downcast_ref::<worker::CloseError>().is_some() { Ok(()) } else { Err(error) }
        })
    });
}

/// Some worker of this pool.
fn a_worker() -> Option<ProcessInfo> {
    triune_testing::processes_of_tree().into_iter().find(|process| {
        let name = std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        let is_link = name.split(|byte| *byte == 0).any(|entry| entry.starts_with(b"TRIUNE_LINK=worker:3:"));
        is_link && process.state != 'Z'
    })
}

/// Not a test: the program that the next ones kill.
#[test]
#[ignore = "runs as a program of its own"]
fn parent_of_a_busy_program() {
    let Ok(path) = std::env::var("TEST_GATE") else { return };
    let name = std::env::var("TEST_PROGRAM").expect("it is said with the gate");
    let (_, program) = programs_to_kill().find(|(known, _)| *known == name).expect("it is one of them");
    let end = triune::__private::test(RuntimeConfig::current_thread(), "parent", async || -> Result {
        worker::configure_default(Workers::new().kind(WorkerKind::Program(program.clone())))?;
        Ok(worker::run(spin::with(path.clone())).await?)
    });
    panic!("it was to be killed, and ended with {end:?}");
}

fn programs_to_kill() -> impl Iterator<Item = (&'static str, Program)> {
    let programs = [
        ("another", Some(programs::another())),
        ("python", programs::python()),
        ("wrapped", Some(programs::wrapped())),
    ];
    programs.into_iter().filter_map(|(name, program)| Some((name, program?)))
}

/// Calls `end` with a program that has a pool, and with a busy worker of that pool. The worker must be gone then.
#[track_caller]
fn with_a_pool_to_kill(name: &str, end: impl Fn(&mut Child, &ProcessInfo)) {
    let outcome = triune::__private::test(RuntimeConfig::current_thread(), "killed", async || -> Result {
        let gate = Gate::new()?;
        #[expect(clippy::disallowed_methods, reason = "a root of its own, which is killed as a shell would")]
        let mut parent = Command::new(std::env::current_exe()?);
        let parent = parent.args(["--exact", "ends::parent_of_a_busy_program", "--ignored"]);
        let parent = parent.env("TEST_GATE", gate.path()).env("TEST_PROGRAM", name);
        let mut parent = parent.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut arrival = gate.arrival().await?;
        end(&mut parent, &arrival.process);
        arrival.closed().await?;
        let gone = wait_gone(std::slice::from_ref(&arrival.process), SOON);
        // Also if that failed.
        parent.kill()?;
        parent.wait()?;
        Ok(gone?)
    });
    outcome.expect("nothing fails");
}

#[test]
fn a_busy_program_dies_with_its_pool() {
    let guard = LeakGuard::new();
    for (name, _) in programs_to_kill() {
        with_a_pool_to_kill(name, |parent, _worker| parent.kill().expect("it waits for its job"));
    }
    guard.finish();
}

// By itself where there is no guardian; see `levels`.
#[test]
fn a_busy_program_of_triune_dies_with_its_pool() {
    let guard = LeakGuard::new();
    with_a_pool_to_kill("another", |parent, _worker| parent.kill().expect("it waits for its job"));
    guard.finish();
}

// Of its own accord, that is: nobody is there who would look for it, and it does not know the protocol of triune's own.
#[test]
fn a_busy_program_dies_with_its_guardian_while_its_pool_is_stopped() {
    let guard = LeakGuard::new();
    for (name, _) in programs_to_kill() {
        with_a_pool_to_kill(name, |parent, worker| {
            let pool = ProcessInfo::of(parent.id()).expect("it waits for its job");
            let mut guardian = ProcessInfo::of(worker.parent).expect("it waits for its children");
            if name == "wrapped" {
                guardian = ProcessInfo::of(guardian.parent).expect("it waits for its children");
            }
            signal(&pool, Signal::STOP);
            assert!(wait_until(SOON, || pool.now().is_some_and(|pool| pool.state == 'T')));
            kill(&guardian);
            if name == "wrapped" {
                // Only the script is the child of the guardian. Its pool ends the worker when it goes on.
                signal(&pool, Signal::CONT);
            }
            wait_gone(std::slice::from_ref(worker), SOON).expect("it is bound to its guardian");
            if name != "wrapped" {
                assert!(pool.now().is_some_and(|pool| pool.state == 'T'), "it did not help");
            }
        });
    }
    guard.finish();
}

fn signal(process: &ProcessInfo, signal: Signal) {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).expect("a process number");
    kill_process(pid, signal).expect("it was there a moment ago");
}

#[test]
fn a_pool_that_closes_lets_its_programs_leave() {
    with_each("close", async || {
        let pid = worker::scope(workers().grace_period(Duration::from_secs(60)), async |pool| {
            Ok(pool.run(process_number::with()).await?)
        })
        .await?;
        assert!(ProcessInfo::of(pid).is_none(), "it left by itself, and well: the scope did not fail");
        Ok(())
    });
}
