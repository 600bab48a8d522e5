//! Workers of a fork server: what is loaded is loaded once and shared, and who dies when.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use triune::prelude::*;
use triune::worker::{self, ConfigError, InitError, RunError, WorkerKind, Workers};
use triune::{CancelScope, Outcome};
use triune_testing::{ProcessInfo, processes_of_tree};

use super::support::{
    Gate, SOON, gone_soon, guarded_as, kill, kill_and_wait, pass, process_number, spin, workers,
};

const LOAD: usize = 32 << 20;
const PAGE: usize = 4096;

static LOADS: AtomicU32 = AtomicU32::new(0);
static DATA: OnceLock<Vec<u8>> = OnceLock::new();

#[triune::job]
fn load() {
    LOADS.fetch_add(1, Ordering::Relaxed);
    DATA.get_or_init(|| vec![7; LOAD]);
    worker::set_state("loaded".to_owned());
}

/// Whose process, how often was loaded, the sum over its pages, what state there is, and how many bytes are its own.
#[triune::job]
fn use_it() -> (u32, u32, u64, String, u64) {
    let sum = DATA.get().map_or(0, |data| data.iter().step_by(PAGE).map(|byte| u64::from(*byte)).sum());
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("this is Linux");
    let private = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).expect("it is listed");
    let kilobytes: u64 = private.trim().trim_end_matches(" kB").parse().expect("a number");
    let state = worker::with_state(|state: &mut String| {
        state.push('!');
        state.clone()
    });
    (std::process::id(), LOADS.load(Ordering::Relaxed), sum, state, kilobytes * 1024)
}

fn fork_server() -> ProcessInfo {
    let found = processes_of_tree().into_iter().find(|process| process.command == "triune:fork-server");
    found.expect("there is one")
}

#[test]
fn what_is_preloaded_is_loaded_once_and_shared_by_all_workers() {
    guarded_as(&WorkerKind::ForkServer, "preload", async || {
        worker::scope(workers().preload(load::with()).retire(worker::after_jobs(2)), async |pool| {
            let mut pids = Vec::new();
            for round in 0..6 {
                let (pid, loads, sum, state, private) = pool.run(use_it::with()).await?;
                assert_eq!((loads, sum), (1, 7 * (LOAD / PAGE) as u64));
                assert!(private < LOAD as u64 / 8, "{private} bytes are its own");
                assert_eq!(state, if round % 2 == 0 { "loaded!" } else { "loaded!!" }, "a copy of its own");
                pids.push(pid);
            }
            pids.dedup();
            assert_eq!(pids.len(), 3);
            Ok(())
        })
        .await
    });
}

#[triune::job]
fn fail_to_load(how: String) -> std::result::Result<(), std::num::ParseIntError> {
    match how.as_str() {
        "panic" => panic!("nothing works"),
        "die" => std::process::exit(3),
        "thread" => {
            let (begun, begins) = std::sync::mpsc::channel();
            #[expect(clippy::disallowed_methods, reason = "that it stays is the point")]
            let thread = std::thread::Builder::new().name("leftover".to_owned()).spawn(move || {
                begun.send(()).expect("the main thread waits");
                std::thread::park();
            });
            thread.expect("threads are left");
            begins.recv().expect("it begins");
            Ok(())
        }
        number => number.parse::<u32>().map(drop),
    }
}

#[test]
fn a_failing_preload_is_reported_as_what_it_is_to_every_job() {
    guarded_as(&WorkerKind::ForkServer, "preload fails", async || {
        for (how, text) in [
            ("x", "the `preload` job of its fork server failed: invalid digit found in string"),
            ("panic", "the `preload` job of its fork server panicked at "),
            (
                "thread",
                "the `preload` job of its fork server failed: a process with threads cannot be forked",
            ),
            ("die", "its fork server died in the `preload` job: worker `fork-server` ("),
        ] {
            worker::scope(workers().preload(fail_to_load::with(how.into())), async |pool| {
                for _ in 0..2 {
                    let error = pool.run(process_number::with()).await.expect_err("nothing is loaded");
                    let RunError::Init { error: why, .. } = &error else { panic!("{error:?}") };
                    assert!(why.to_string().starts_with(text), "{why}");
                    assert_eq!(how == "thread", why.to_string().contains("(leftover)"), "{why}");
                    match (how, why) {
                        ("die", InitError::PreloadDied(died)) => {
                            assert_eq!(died.exit().and_then(|exit| exit.code()), Some(3));
                        }
                        ("die", _) => panic!("{why:?}"),
                        _ => assert!(error.report().is_some()),
                    }
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    });
}

#[test]
fn a_preload_without_a_fork_server_is_refused() {
    guarded_as(&WorkerKind::Spawn, "preload refused", async || {
        let error = worker::configure_default(Workers::new().preload(load::with())).expect_err("refused");
        assert_eq!(error, ConfigError::PreloadWithoutForkServer);
        Ok(())
    });
}

#[triune::job]
fn wait_to_load(gate: String) {
    super::support::wait_at(&gate, 0);
}

#[test]
fn whoever_waits_for_a_preload_can_be_cancelled_and_others_go_on() {
    guarded_as(&WorkerKind::ForkServer, "cancel preload", async || {
        let gate = Gate::new()?;
        worker::scope(workers().preload(wait_to_load::with(gate.path())), async |pool| {
            let scope = CancelScope::new();
            nursery(async |n| {
                let cancelled = n.spawn(async { Ok(scope.run(pool.run(process_number::with())).await) });
                let arrival = gate.arrival().await?;
                scope.cancel("enough");
                assert!(!matches!(cancelled.await?, Outcome::Done(Ok(_))));
                assert!(!arrival.is_gone(), "it goes on loading, for the next");
                let other = n.spawn(async { Ok(pool.run(process_number::with()).await) });
                arrival.open().await?;
                assert_ne!(other.await??, 0);
                Ok(())
            })
            .await
        })
        .await?;
        // And a scope that ends does not wait for it.
        let scope = CancelScope::new();
        let opened = worker::scope(workers().preload(wait_to_load::with(gate.path())), async |pool| {
            nursery(async |n| {
                n.spawn(async { Ok(scope.run(pool.run(process_number::with())).await) });
                let arrival = gate.arrival().await?;
                scope.cancel("enough");
                Ok(arrival)
            })
            .await
        });
        let arrival = opened.await?;
        assert!(arrival.is_gone(), "gone when the scope returns");
        Ok(())
    });
}

#[test]
fn a_killed_fork_server_is_replaced_and_its_workers_go_on() {
    guarded_as(&WorkerKind::ForkServer, "kill the server", async || {
        let gate = Gate::new()?;
        worker::scope(workers().preload(load::with()), async |pool| {
            nursery(async |n| {
                let idle = pool.run(process_number::with()).await?;
                let busy = n.spawn(async { Ok(pool.run(pass::with(gate.path(), 0)).await) });
                let arrival = gate.arrival().await?;
                assert_eq!(arrival.process.pid, idle, "the idle one has it");
                let first = fork_server();
                assert_eq!(first.parent, arrival.process.parent, "both are the guardian's");
                kill_and_wait(&first);
                // The next one has to be made anew, by a new fork server, which loads again.
                let (pid, loads, ..) = pool.run(use_it::with()).await?;
                assert_eq!((pid == idle, loads), (false, 1));
                assert_ne!(fork_server().pid, first.pid);
                assert!(!arrival.is_gone());
                arrival.open().await?;
                assert_eq!(busy.await??, idle);
                gone_soon(&first);
                Ok(())
            })
            .await
        })
        .await
    });
}

#[test]
fn a_fork_server_that_is_killed_while_it_loads_is_a_typed_error() {
    guarded_as(&WorkerKind::ForkServer, "kill while loading", async || {
        let gate = Gate::new()?;
        worker::scope(workers().preload(wait_to_load::with(gate.path())), async |pool| {
            nursery(async |n| {
                let call = n.spawn(async { Ok(pool.run(process_number::with()).await) });
                let arrival = gate.arrival().await?;
                kill(&arrival.process);
                let error = call.await?.expect_err("nothing is loaded");
                let RunError::Init { error: InitError::PreloadDied(died), .. } = &error else {
                    panic!("{error:?}")
                };
                assert_eq!(died.exit().and_then(|exit| exit.signal()), Some(9));
                Ok(())
            })
            .await
        })
        .await
    });
}

#[test]
fn a_fork_server_that_is_killed_whenever_it_may_loses_no_job() {
    guarded_as(&WorkerKind::ForkServer, "kill servers", async || {
        // Each job needs a new worker.
        let workers = workers().idle_timeout(std::time::Duration::ZERO);
        worker::scope(workers, async |pool| {
            nursery(async |n| {
                pool.run(process_number::with()).await?;
                let killer = n.spawn_blocking(|b| {
                    while !b.is_cancelled() {
                        let server = processes_of_tree()
                            .into_iter()
                            .find(|process| process.command == "triune:fork-server");
                        if let Some(server) = server {
                            let pid = rustix::process::Pid::from_raw(server.pid.cast_signed());
                            // It may be gone by now; its number is not used again so soon.
                            let _gone = rustix::process::kill_process(
                                pid.expect("a number"),
                                rustix::process::Signal::KILL,
                            );
                        }
                        std::thread::yield_now();
                    }
                    Ok(())
                });
                for _ in 0..100 {
                    match pool.run(process_number::with()).await {
                        Ok(_) => {}
                        // Killed before it had loaded, or again and again: nobody has run the job.
                        Err(error) => assert!(error.is_init() || error.is_start(), "{error:?}"),
                    }
                }
                killer.cancel("enough");
                Ok(())
            })
            .await?;
            // In peace it works.
            pool.run(process_number::with()).await?;
            Ok(())
        })
        .await
    });
}

#[test]
fn a_fork_server_ends_with_its_pool_and_leaves_in_good_order() {
    guarded_as(&WorkerKind::ForkServer, "server ends", async || {
        let server = worker::scope(workers().preload(load::with()), async |pool| {
            pool.run(process_number::with()).await?;
            Ok(fork_server())
        })
        .await?;
        assert!(server.now().is_none(), "gone when the scope returns");
        // The default pool is configured anew: the old one lets go of what it has.
        worker::run(process_number::with()).await?;
        let old = fork_server();
        worker::configure_default(Workers::new())?;
        worker::run(process_number::with()).await?;
        assert!(triune_testing::eventually(SOON, || old.now().is_none()).await);
        Ok(())
    });
}

/// Kills by cancels, as many as `TRIUNE_KILLS` says.
#[test]
fn cycles_of_kill_on_cancel_leave_nothing() {
    guarded_as(&WorkerKind::ForkServer, "fork kill cycles", async || {
        let gate = Gate::new()?;
        let kills = std::env::var("TRIUNE_KILLS").map_or(50, |text| text.parse().expect("a number"));
        worker::scope(workers().preload(load::with()), async |pool| {
            let pool = &pool;
            for round in 0..kills {
                let scope = CancelScope::new();
                let arrival = nursery(async |n| {
                    let call = n.spawn(async { Ok(scope.run(pool.run(spin::with(gate.path()))).await) });
                    let arrival = gate.arrival().await?;
                    scope.cancel("enough");
                    assert!(!matches!(call.await?, Outcome::Done(Ok(()))));
                    Ok(arrival)
                })
                .await?;
                assert!(arrival.is_gone(), "round {round}: dead and reaped when the caller goes on");
            }
            assert_eq!(processes_of_tree().len(), 1, "{:#?}", processes_of_tree());
            Ok(())
        })
        .await
    });
}
