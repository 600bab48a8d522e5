//! Large values: shared memory, and codecs that must not hold up the event loop.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use triune::prelude::*;
use triune::wire::Payload;
use triune::worker::{self, Part, RunError, Shared, WorkerKind, Workers};

use super::support::{Gate, guarded, guarded_as, guarded_by_kind, wait_at, workers};

#[triune::job]
fn sum(numbers: Shared<u64>, from: usize, to: usize) -> (u32, u64) {
    (std::process::id(), numbers[from..to].iter().sum())
}

#[test]
fn shared_memory_is_seen_by_every_worker_and_copied_to_none() {
    guarded("shared", async || {
        let numbers: Vec<u64> = (0..1_000_000).collect();
        let shared = Shared::new(&numbers)?;
        let jobs = (0..20).map(|part| sum::with(shared.clone(), part * 50_000, (part + 1) * 50_000));
        let parts = worker::map(jobs).collect().await?;
        assert_eq!(parts.iter().map(|(_, part)| part).sum::<u64>(), numbers.iter().sum());
        assert!(parts.iter().all(|(pid, _)| *pid != std::process::id()));
        Ok(())
    });
}

#[triune::job]
fn late(gate: String, numbers: Vec<Shared<u64>>) -> u64 {
    wait_at(&gate, 0);
    numbers.iter().map(|numbers| numbers[0]).sum()
}

#[test]
fn a_job_keeps_what_it_shares_for_as_long_as_it_may_be_needed() {
    guarded("kept", async || {
        let gate = Gate::new()?;
        let shared = Shared::new(&[41_u64])?;
        let job = late::with(gate.path(), vec![shared.clone(), Shared::new(&[1])?]);
        drop(shared);
        nursery(async |n| {
            let call = n.run_in_worker(job);
            gate.arrival().await?.open().await?;
            assert_eq!(call.await?, 42);
            Ok(())
        })
        .await
    });
}

#[test]
fn shared_memory_is_given_back() {
    guarded("given back", async || {
        let before = std::fs::read_dir("/proc/self/fd")?.count();
        for _ in 0..3 {
            worker::scope(workers(), async |pool| {
                for number in 0..20 {
                    let (_, first) = pool.run(sum::with(Shared::new(&[number])?, 0, 1)).await?;
                    assert_eq!(first, number);
                }
                Ok(())
            })
            .await?;
        }
        let after = std::fs::read_dir("/proc/self/fd")?.count();
        assert!(after < before + 20, "{before} descriptors before, {after} after sixty memories");
        Ok(())
    });
}

/// How many shared memories this process has.
#[triune::job]
fn mapped() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("the system tells");
    maps.lines().filter(|line| line.contains("triune-shared")).count()
}

#[test]
fn workers_give_back_what_nobody_needs_any_more_without_being_asked_for_another_job() {
    guarded_by_kind("not needed", async || {
        worker::scope(workers(), async |pool| {
            let gate = Gate::new()?;
            let has = |pid: u32, count: usize| async move {
                while maps_of(pid)?.matches("triune-shared").count() != count {
                    tokio::task::yield_now().await;
                }
                Ok::<_, Error>(())
            };
            let (idle, busy) = (Shared::new(&[1_u64])?, Shared::new(&[2])?);
            let (pid, _) = pool.run(sum::with(idle.clone(), 0, 1)).await?;
            pool.run(sum::with(busy.clone(), 0, 1)).await?;
            assert_eq!(pool.run(mapped::with()).await?, 2, "it keeps what it has seen");
            drop(idle);
            has(pid, 1).await?;
            nursery(async |n| {
                let call = n.run_in_worker(late::with(gate.path(), vec![]));
                let at_work = gate.arrival().await?;
                drop(busy);
                at_work.open().await?;
                assert_eq!(call.await?, 0);
                Ok(())
            })
            .await?;
            has(pid, 0).await?;
            assert_eq!(pool.statistics().started, 1);
            Ok(())
        })
        .await
    });
}

fn maps_of(pid: u32) -> std::io::Result<String> {
    std::fs::read_to_string(format!("/proc/{pid}/maps"))
}

#[triune::job]
fn firsts(all: Vec<Shared<u64>>) -> Vec<u64> {
    all.iter().map(|numbers| numbers[0]).collect()
}

#[test]
fn a_worker_has_whatever_its_next_job_needs_of_much_shared_memory() {
    guarded_by_kind("much shared", async || {
        let shared = (0..40).map(|n| Shared::new(&[n])).collect::<std::io::Result<Vec<_>>>()?;
        // More and fewer than a worker keeps, again and again others.
        let wanted =
            |round: u64| -> Vec<u64> { (0..round * 7 % 13).map(|n| (round * round + n * n) % 40).collect() };
        let job = |round| firsts::with(wanted(round).iter().map(|n| shared[*n as usize].clone()).collect());
        worker::scope(workers(), async |pool| {
            for round in 0..100 {
                assert_eq!(pool.run(job(round)).await?, wanted(round), "round {round}");
            }
            assert_eq!(pool.statistics().started, 1, "one worker has had them all");
            let results = pool.map((0..500).map(job)).collect().await?;
            assert!(results.into_iter().eq((0..500).map(wanted)));
            // A new worker has none.
            pool.run(kill_this_worker::with()).await.expect_err("it is dead");
            assert_eq!(pool.run(job(11)).await?, wanted(11));
            Ok(())
        })
        .await
    });
}

#[triune::job]
fn kill_this_worker() {
    let own = rustix::process::getpid();
    rustix::process::kill_process(own, rustix::process::Signal::KILL).expect("it is this process");
}

#[triune::job]
fn keep(numbers: Shared<u64>) {
    worker::set_state(numbers);
}

#[triune::job]
fn kept(of: usize) -> u64 {
    worker::with_state(|numbers: &mut Shared<u64>| numbers[of])
}

#[test]
fn what_a_pool_prepares_its_workers_with_may_be_shared() {
    let (init, preload) = (Workers::init as fn(Workers, worker::Job<()>) -> Workers, Workers::preload as _);
    for (kind, prepare) in
        [(WorkerKind::Spawn, init), (WorkerKind::ForkServer, init), (WorkerKind::ForkServer, preload)]
    {
        guarded_as(&kind, "prepared", async || {
            let job = keep::with(Shared::new(&[3, 4, 5])?);
            worker::scope(prepare(workers(), job), async |pool| {
                for of in 0..3 {
                    assert_eq!(pool.run(kept::with(of)).await?, of as u64 + 3);
                    pool.run(kill_this_worker::with()).await.expect_err("the next one is a new one");
                }
                Ok(())
            })
            .await
        });
    }
}

#[triune::job]
fn give_away(numbers: Shared<u64>) -> Vec<Shared<u64>> {
    vec![numbers]
}

#[test]
fn a_result_cannot_hold_shared_memory() {
    guarded("shared result", async || {
        let error =
            worker::run(give_away::with(Shared::new(&[1_u64])?)).await.expect_err("it ends with its worker");
        assert!(matches!(error, RunError::Encode { part: Part::Result, .. }), "{error:?}");
        Ok(())
    });
}

/// Passes of the event loop in the process of the test. Zero in a worker.
static TICKS: AtomicU64 = AtomicU64::new(0);

/// Can be encoded and decoded only while the event loop goes on.
#[derive(Debug)]
struct NeedsTheLoop;

fn wait_for_the_loop() {
    let begin = TICKS.load(Ordering::Relaxed);
    // In a worker there is no event loop to wait for.
    while begin > 0 && TICKS.load(Ordering::Relaxed) < begin + 3 {
        std::thread::yield_now();
    }
}

impl Serialize for NeedsTheLoop {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        wait_for_the_loop();
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for NeedsTheLoop {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        wait_for_the_loop();
        <()>::deserialize(deserializer).map(|()| Self)
    }
}

#[triune::job]
fn back(value: (Vec<u8>, NeedsTheLoop)) -> (Vec<u8>, NeedsTheLoop) {
    value
}

// trio-parallel 5
#[test]
fn large_values_are_encoded_and_decoded_beside_the_event_loop() {
    guarded("beside", async || {
        let bytes = vec![7; 1 << 20];
        let tick = async {
            loop {
                TICKS.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        };
        TICKS.fetch_add(1, Ordering::Relaxed);
        let result = tokio::select! {
            result = worker::run(back::with((bytes.clone(), NeedsTheLoop))) => result?,
            () = tick => unreachable!("it never ends"),
        };
        assert_eq!(result.0, bytes);
        TICKS.store(0, Ordering::Relaxed);
        Ok(())
    });
}

/// Gives its payloads back the other way round.
#[triune::job]
fn swap(first: Payload, between: String, second: Payload) -> (Payload, String, Payload) {
    (second, between, first)
}

#[test]
fn byte_strings_cross_whole_whatever_their_length() {
    guarded("payloads", async || {
        let bytes = |len: usize, seed: usize| -> Vec<u8> {
            (0..len).map(|at| (at.wrapping_mul(31) ^ (at >> 8) ^ seed) as u8).collect()
        };
        for (one, other) in
            [(0, 1), (5_000, 70_000), (64 << 10, (64 << 10) + 1), (3_000_000, 100), (17 << 20, 4096)]
        {
            let (first, second) = (bytes(one, 1), bytes(other, 2));
            let job = swap::with(first.clone().into(), "between".into(), second.clone().into());
            let back = worker::run(job).await?;
            assert!(back.0[..] == second && back.2[..] == first && back.1 == "between", "{one} {other}");
        }
        assert_eq!(worker::statistics().started, 1, "by one worker");
        Ok(())
    });
}
