//! A program that starts the real worker, as a script does that prepares something: the worker is a child of the process that
//! was started, and takes the link from it.

use std::time::Duration;

use triune::prelude::*;
use triune::worker::{self, DeathCause, Program, RunError};
use triune::{CancelScope, Outcome};
use triune_testing::ProcessInfo;

use crate::jobs::{Sum, add, concat, descriptors_of_a_child};
use crate::program::example;
use crate::programs::{with, wrapped};
use crate::support::{Arrival, Gate, kill, pass, spin, workers};

/// The program in between.
fn above(arrival: &Arrival) -> ProcessInfo {
    let wrapper = ProcessInfo::of(arrival.process.parent).expect("it waits for its child");
    assert_ne!(wrapper.pid, std::process::id());
    let name = std::fs::read_to_string(format!("/proc/{}/comm", wrapper.pid)).expect("it waits");
    assert!(name.trim().ends_with("sh"), "{name}");
    wrapper
}

#[test]
fn a_worker_beneath_a_script_does_its_jobs_and_leaves_with_it() {
    with(wrapped(), "wrapped", async || {
        let arrival = worker::scope(workers().grace_period(Duration::from_secs(60)), async |pool| {
            let many = vec!["one".to_owned(), "three".to_owned()];
            assert_eq!(pool.run(concat::with(many)).await?, Sum { total: 8, first: "one".to_owned() });
            let gate = Gate::new()?;
            let path = gate.path();
            nursery(async |n| {
                let call = n.spawn(async { Ok(pool.run(pass::with(path.clone(), 0)).await?) });
                let arrival = gate.arrival().await?;
                let both = [above(&arrival), arrival.process.clone()];
                arrival.open().await?;
                call.await?;
                Ok(both)
            })
            .await
        })
        .await?;
        // The scope did not fail: both left by themselves, and well.
        assert!(arrival.iter().all(|process| process.now().is_none()), "{arrival:?}");
        Ok(())
    });
}

#[test]
fn a_cancel_ends_the_worker_and_the_program_in_between() {
    with(wrapped(), "cancel", async || {
        let gate = Gate::new()?;
        let scope = CancelScope::new();
        nursery(async |n| {
            let call = n.spawn(async { Ok(scope.run(worker::run(spin::with(gate.path()))).await) });
            let arrival = gate.arrival().await?;
            let wrapper = above(&arrival);
            scope.cancel("not needed any more");
            if let Outcome::Done(result) = call.await? {
                assert!(result.expect_err("it was cancelled").is_cancelled());
            }
            assert!(arrival.is_gone() && wrapper.now().is_none(), "when the call returns");
            Ok(())
        })
        .await?;
        assert_eq!(worker::run(add::with(1, 1)).await?, 2);
        Ok(())
    });
}

#[test]
fn a_death_of_either_is_the_error_of_the_job_and_neither_is_left() {
    for of_wrapper in [false, true] {
        with(wrapped(), "death", async || {
            let gate = Gate::new()?;
            nursery(async |n| {
                let call = n.spawn(async { Ok(worker::run(spin::with(gate.path())).await) });
                let arrival = gate.arrival().await?;
                let wrapper = above(&arrival);
                kill(if of_wrapper { &wrapper } else { &arrival.process });
                let error = call.await?.expect_err("its worker is dead");
                let RunError::Died { cause, died, .. } = &error else { panic!("{error:?}") };
                // A shell says by its own status how its child has ended.
                let (expected, status) =
                    if of_wrapper { (DeathCause::Killed, "SIGKILL") } else { (DeathCause::Exit, "code 137") };
                assert!(*cause == expected && died.to_string().contains(status), "{error:?}: {died}");
                assert_eq!(died.pid(), wrapper.pid);
                assert!(arrival.is_gone() && wrapper.now().is_none(), "when the call returns");
                Ok(())
            })
            .await?;
            assert_eq!(worker::run(add::with(1, 1)).await?, 2);
            Ok(())
        });
    }
}

#[test]
fn neither_the_link_nor_what_the_program_in_between_has_open_is_handed_on_by_the_worker() {
    let script = "exec 9</dev/null; \"$0\"; exit $?";
    let leaking = Program::new("sh").args(["-c", script]).arg(example("worker_program"));
    with(leaking, "leaking", async || {
        assert_eq!(worker::run(descriptors_of_a_child::with()).await?, [0, 1, 2, 3]);
        Ok(())
    });
}

#[test]
fn one_that_does_not_hand_on_what_the_worker_needs_is_told_so() {
    let worker = example("worker_program");
    for (case, wrapper) in [
        ("no environment", Program::new("sh").args(["-c", "env -i \"$0\"; exit $?"])),
        ("no link", Program::new("sh").args(["-c", "\"$0\" 3<&-; exit $?"])),
        ("leaves first", Program::new("sh").args(["-c", "sleep 1000 3<&- & exit 0"])),
    ] {
        with(wrapper.arg(&worker), case, async || {
            let error = worker::run(add::with(1, 1)).await.expect_err("it cannot work");
            let RunError::Start { error, .. } = &error else { panic!("{error:?}") };
            let text = error.to_string();
            assert!(text.contains("ended while it started: exit code 0"), "{text}");
            assert!(
                text.contains("a program that starts one hands on descriptor 3 and the environment"),
                "{text}"
            );
            Ok(())
        });
    }
}
