//! What surrounds a job in its process: threads, standard input, signals, and other runtimes beside its caller's.

use std::collections::BTreeSet;
use std::io::Read as _;

use rustix::process::{Pid, Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use triune::__private::RuntimeConfig;
use triune::prelude::*;
use triune::worker::{self, DeathCause, Output, RunError, WorkerKind, Workers, set_state};
use triune_testing::{LeakGuard, ProcessInfo};

use super::support::{Gate, guarded, guarded_as, guarded_by_kind, pass, process_number, spin, workers};

fn send(process: &ProcessInfo, signal: Signal) {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).expect("a process number");
    kill_process(pid, signal).expect("it waits at the gate");
}

/// Whether there is a runtime, and how many threads there are.
#[triune::job]
fn surroundings() -> (bool, usize) {
    let threads = std::fs::read_dir("/proc/self/task").expect("this is Linux");
    (tokio::runtime::Handle::try_current().is_ok(), threads.count())
}

// trio-parallel 13
#[test]
fn a_worker_has_no_runtime_and_no_thread_but_its_own() {
    guarded_by_kind("surroundings", async || {
        assert_eq!(worker::run(surroundings::with()).await?, (false, 1));
        Ok(())
    });
}

/// What standard input gives, and where the output goes.
#[triune::job]
fn standard_streams() -> (Vec<u8>, Vec<std::path::PathBuf>) {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).expect("it is empty, and not closed");
    (input, outputs())
}

fn outputs() -> Vec<std::path::PathBuf> {
    ["/proc/self/fd/1", "/proc/self/fd/2"].map(|path| std::fs::read_link(path).expect("it is open")).into()
}

// trio-parallel 91
#[test]
fn standard_input_is_empty_and_the_outputs_are_those_of_the_parent() {
    guarded("streams", async || {
        worker::scope(workers().stderr(Output::Inherit), async |pool| {
            assert_eq!(pool.run(standard_streams::with()).await?, (Vec::new(), outputs()));
            Ok(())
        })
        .await
    });
}

// trio-parallel 87
#[test]
fn a_ctrl_c_in_a_worker_stops_neither_the_job_nor_its_caller() {
    guarded("ctrl-c", async || {
        let gate = Gate::new()?;
        nursery(async |n| {
            let call = n.run_in_worker(pass::with(gate.path(), 0));
            let arrival = gate.arrival().await?;
            send(&arrival.process, Signal::INT);
            let pid = arrival.process.pid;
            arrival.open().await?;
            assert_eq!(call.await?, pid);
            assert_eq!(worker::run(interrupt_itself::with()).await?, pid);
            Ok(())
        })
        .await
    });
}

#[triune::job]
fn interrupt_itself() -> u32 {
    kill_process(getpid(), Signal::INT).expect("it is this process");
    std::process::id()
}

/// Catches SIGTERM, for the life of the worker.
#[triune::job]
fn catch_sigterm() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let caught = {
        let _in_the_runtime = runtime.enter();
        signal(SignalKind::terminate())?
    };
    set_state((caught, runtime));
    Ok(())
}

// trio-parallel 90
#[test]
fn sigterm_ends_a_busy_worker_unless_its_init_has_taken_the_signal() {
    guarded("SIGTERM", async || {
        let gate = Gate::new()?;
        nursery(async |n| {
            let call = n.spawn(async { Ok(worker::run(spin::with(gate.path())).await) });
            send(&gate.arrival().await?.process, Signal::TERM);
            let error = call.await?.expect_err("its worker is dead");
            assert_eq!(error.death_cause(), Some(DeathCause::Signal), "{error:?}");
            Ok(())
        })
        .await?;
        worker::scope(workers().init(catch_sigterm::with()), async |pool| {
            nursery(async |n| {
                let run = pool.run(pass::with(gate.path(), 0));
                let call = n.spawn(async { Ok(run.await?) });
                let arrival = gate.arrival().await?;
                send(&arrival.process, Signal::TERM);
                let pid = arrival.process.pid;
                arrival.open().await?;
                assert_eq!(call.await?, pid);
                Ok(())
            })
            .await
        })
        .await
    });
}

/// Runs a job in a worker of this worker: gives both process numbers.
#[triune::job]
fn within() -> Result<(u32, u32)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let inner = runtime.block_on(async {
        let inner = worker::run(process_number::with()).await;
        triune::Run::current().close().await;
        inner
    });
    Ok((std::process::id(), inner?))
}

// trio-parallel 92: triune allows it. The inner pool ends with the runtime that the job has made, and all of it with the worker.
#[test]
fn a_job_may_have_workers_of_its_own() {
    guarded_by_kind("within", async || {
        let (outer, inner) = worker::run(within::with()).await?;
        assert!(outer != inner && inner != std::process::id());
        assert!(ProcessInfo::of(inner).is_none(), "it ended with its pool");
        assert_eq!(worker::run(within::with()).await?.0, outer, "as often as one likes");
        Ok(())
    });
}

/// Has a pool of its own, whose job has a pool of its own, and so on: how many there are, and why there are no more.
#[triune::job]
fn deeper(forked: bool) -> Result<(u32, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let kind = if forked { WorkerKind::ForkServer } else { WorkerKind::Spawn };
    let below = runtime.block_on(async {
        let below =
            worker::scope(Workers::new().kind(kind), async |pool| Ok(pool.run(deeper::with(forked)).await))
                .await;
        triune::Run::current().close().await;
        below
    });
    match below? {
        Ok((depth, why)) => Ok((depth + 1, why)),
        Err(RunError::Start { error, .. }) => {
            let why = std::error::Error::source(&error).map(ToString::to_string);
            Ok((1, why.unwrap_or_default()))
        }
        Err(error) => Err(error.into()),
    }
}

#[test]
fn pools_within_pools_have_a_bound_and_the_error_says_what_to_do() {
    for kind in [WorkerKind::Spawn, WorkerKind::ForkServer] {
        guarded_as(&kind, "deeper", async || {
            for forked in [false, true] {
                let (depth, why) = worker::run(deeper::with(forked)).await?;
                assert_eq!(depth, 8, "{why}");
                assert!(why.contains("within 8 others") && why.contains("outermost pool"), "{why}");
            }
            Ok(())
        });
    }
}

#[triune::job]
fn tagged(tag: u32, number: u32) -> (u32, u32, u32) {
    (tag, number, std::process::id())
}

// trio-parallel 85: each runtime has a default pool of its own, so they share no worker.
#[test]
fn two_runtimes_in_two_threads_do_not_disturb_each_other() {
    let guard = LeakGuard::new();
    let run = |tag: u32| {
        let processes = std::sync::Mutex::new(BTreeSet::new());
        let test = async || -> Result {
            let mut results = worker::map((0..500).map(|number| tagged::with(tag, number)));
            for expected in 0..500 {
                let (got_tag, number, pid) = results.next().await.expect("there are 500")?;
                assert_eq!((got_tag, number), (tag, expected));
                processes.lock().expect("nobody panics with it").insert(pid);
            }
            Ok(())
        };
        triune::__private::test(RuntimeConfig::current_thread(), "one of two", test).expect("it runs");
        processes.into_inner().expect("nobody panics with it")
    };
    let (one, other) = std::thread::scope(|threads| {
        let one = threads.spawn(|| run(1));
        (run(2), one.join().expect("it does not panic"))
    });
    assert!(one.is_disjoint(&other), "{one:?} {other:?}");
    guard.finish();
}
