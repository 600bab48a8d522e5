//! Workers whose owner reads nothing of their answer: they sleep in the middle of it, and end with their owner all the same.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use triune::prelude::*;
use triune::wire::Payload;
use triune_testing::{LeakGuard, wait_gone, wait_until};

use crate::matrix::{Program, signal};

/// More than a socket holds.
const LENGTH: usize = 32 << 20;

const SOON: Duration = Duration::from_secs(10);

/// Says that it has begun, and then more than anybody reads.
#[triune::job]
fn answer(gate: PathBuf) -> Payload {
    let _arrived = std::os::unix::net::UnixStream::connect(gate);
    Payload::from(vec![7; LENGTH])
}

/// The main task of the owner. It never comes round again when the worker has begun.
pub(crate) async fn owner(n: &Nursery<'_>) -> Result {
    let folder = std::env::var_os("TEST_GATE").expect("the test says where");
    let gate = PathBuf::from(folder).with_extension("owner");
    let listener = tokio::net::UnixListener::bind(&gate)?;
    let _answers = n.run_in_worker(answer::with(gate));
    let _arrived = listener.accept().await?;
    crate::program::say("ready");
    loop {
        std::thread::park();
    }
}

/// Strikes the owner while its worker sleeps in the middle of the answer.
fn kill_the_owner(containment: &str, workers: &str) {
    let guard = LeakGuard::new();
    let env = [("TEST_WORKERS", workers), ("TRIUNE_CONTAINMENT", containment)];
    let mut program = Program::start_with("deaf", &env);
    let worker = || program.tagged().into_iter().find(|process| process.command.starts_with("triune:worker"));
    // It computes, or it waits for its owner to read, and for nothing else.
    let sleeps = wait_until(SOON, || worker().is_some_and(|worker| worker.state == 'S'));
    assert!(sleeps, "{containment}, {workers}: {:#?}", program.tagged());
    let everything = program.tagged();
    signal(program.pid("root"), Signal::KILL);
    program.reap();
    let gone = wait_gone(&everything, Duration::from_secs(1));
    let left = program.tagged();
    left.iter().for_each(|process| signal(process.pid, Signal::KILL));
    assert!(gone.is_ok() && left.is_empty(), "{containment}, {workers}: {gone:?} {left:#?}");
    drop(program);
    guard.finish();
}

#[test]
fn a_worker_of_a_killed_owner_that_read_nothing_is_gone() {
    for workers in ["spawned", "forked"] {
        kill_the_owner("tree", workers);
    }
}

#[test]
fn without_a_guardian_it_is_the_same() {
    kill_the_owner("cooperative", "spawned");
}
