//! The same at other levels of containment: with the level in the environment of a run of this test.

use std::process::{Command, Output};

use triune_testing::{LeakGuard, skip};

use crate::jobs::add;
use crate::programs::{another, with};

/// Those that do not compare numbers of processes from within the namespace with those from outside.
const TESTS: [&str; 7] = [
    "cancel::a_cancelled_call_returns_when_its_process_is_dead_and_reaped",
    "ends::a_busy_program_dies_with_its_guardian_while_its_pool_is_stopped",
    "ends::a_busy_program_dies_with_its_pool",
    "ends::a_death_is_typed_with_its_last_words_and_the_pool_goes_on",
    "run::values_cross_by_their_names_and_large_ones_in_pieces",
    "wrapper::a_cancel_ends_the_worker_and_the_program_in_between",
    "wrapper::a_worker_beneath_a_script_does_its_jobs_and_leaves_with_it",
];

/// Runs tests of this program in a tree at another level.
fn run_at(level: &str, tests: &[&str]) -> Output {
    #[expect(clippy::disallowed_methods, reason = "a root of its own, at another level")]
    let mut run = Command::new(std::env::current_exe().expect("a test has an executable"));
    run.args(tests).args(["--exact", "--nocapture", "--test-threads=1"]).env("TRIUNE_CONTAINMENT", level);
    run.output().expect("it can be started")
}

/// Not a test: says at which level its workers are.
#[test]
#[ignore = "runs as a child of at_the_level_hard_it_is_the_same"]
fn level() {
    with(another(), "level", async || {
        assert_eq!(triune::worker::run(add::with(1, 1)).await?, 2);
        println!("in force is {}", triune::containment());
        Ok(())
    });
}

#[test]
fn at_the_level_hard_it_is_the_same() {
    let guard = LeakGuard::new();
    let said = run_at("hard", &["levels::level", "--ignored"]);
    assert!(said.status.success(), "{said:?}");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    if said.contains("in force is hard") {
        all_pass(&run_at("hard", &TESTS), TESTS.len());
    } else {
        skip("programs at the level hard", "it is not to be had here");
    }
    guard.finish();
}

#[track_caller]
fn all_pass(output: &Output, count: usize) {
    let [said, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success() && said.contains(&format!("ok. {count} passed")), "{said}\n{errors}");
}

/// Without a guardian a program of triune's watches its pool by itself.
#[test]
fn without_a_guardian_it_works_and_dies_with_its_pool() {
    const TESTS: [&str; 3] = [
        "cancel::a_cancelled_call_returns_when_its_process_is_dead_and_reaped",
        "ends::a_busy_program_of_triune_dies_with_its_pool",
        "run::values_cross_by_their_names_and_large_ones_in_pieces",
    ];
    let guard = LeakGuard::new();
    all_pass(&run_at("cooperative", &TESTS), TESTS.len());
    guard.finish();
}
