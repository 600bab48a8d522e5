//! The other ends of a process: by itself, by a fault, by a limit, and with something left behind.

use std::time::Duration;

use triune::actor::{ActorDied, Limits, Output, Stdio};
use triune::prelude::*;
use triune::worker;
use triune_testing::{LeakGuard, ProcessInfo, wait_until};

use crate::matrix::signal;
use crate::program::escape;

/// Leaves something behind, says something, and ends in some way.
#[triune::endpoint]
async fn end(how: String) -> u32 {
    escape();
    eprint!("ending by {how}");
    go(&how);
    0
}

/// The same in a worker.
#[triune::job]
fn end_job(how: String) -> u32 {
    escape();
    eprint!("ending by {how}");
    go(&how);
    0
}

fn go(how: &str) {
    match how {
        "exit 0" => std::process::exit(0),
        "exit 3" => std::process::exit(3),
        "abort" => std::process::abort(),
        "stack overflow" => drop(std::hint::black_box(overflow(0))),
        "memory" => drop(std::hint::black_box(vec![1_u8; 1 << 30])),
        _ => unreachable!(),
    }
}

fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 1024]);
    if depth == u64::MAX { 0 } else { overflow(depth + 1) + frame[3] }
}

/// The ways, and the signals by which they may end a process.
const WAYS: [(&str, &[i32]); 5] = [
    ("exit 0", &[]),
    ("exit 3", &[]),
    ("abort", &[6]),
    // The standard library turns the fault into an abort, unless the role was entered before `main`.
    ("stack overflow", &[6, 11]),
    // What is refused ends a Rust program by an abort.
    ("memory", &[6]),
];

#[triune::test]
async fn an_actor_that_ends_in_any_way_is_a_typed_error_with_its_last_words_and_leaves_nothing() {
    let guard = LeakGuard::new();
    for (how, by) in WAYS {
        let error = nursery(async |n| {
            let stdio = Stdio::new().stderr(Output::Capture);
            let limits = Limits::new().memory(256 << 20).core_size(0);
            let actor = n.actor("odd").stdio(stdio).limits(limits).start().await?;
            actor.call(end::with(how.to_owned())).await?;
            Ok(())
        })
        .await
        .unwrap_err();
        guard.check().expect("gone when the nursery returns");
        let deaths: Vec<&ActorDied> = error.group().unwrap().downcast_all();
        assert_eq!(deaths.len(), 1, "{how}: {error:?}");
        let signal = deaths[0].exit().unwrap().signal();
        assert!(signal.map_or(by.is_empty(), |signal| by.contains(&signal)), "{how}: {error:?}");
        let tail = deaths[0].stderr_tail();
        assert!(tail.starts_with(&format!("ending by {how}")), "{how}: {tail}");
    }
    guard.settle().await;
}

#[triune::test]
async fn a_worker_that_ends_in_any_way_is_a_typed_error_with_its_last_words_and_leaves_nothing() {
    let guard = LeakGuard::new();
    let pool = worker::Workers::new().memory_max(256 << 20);
    let scope = worker::scope(pool, async |pool| {
        let mut ends = Vec::new();
        for (how, by) in WAYS {
            ends.push((how, by, pool.run(end_job::with(how.to_owned())).await.unwrap_err()));
        }
        Ok(ends)
    });
    for (how, by, error) in scope.await.unwrap() {
        let text = format!("{error:?}");
        assert!(error.is_worker_death(), "{how}: {text}");
        assert!(text.contains(&format!("ending by {how}")), "{how}: {text}");
        let ended = by.iter().any(|signal| text.contains(&format!("signal: {signal}")));
        assert!(by.is_empty() || ended, "{how}: {text}");
    }
    // The worker is reaped behind the caller's back; what it had started goes with it.
    guard.settle().await;
}

#[triune::endpoint]
async fn escaped() {
    escape();
    triune::sleep_forever().await.expect_err("it never ends");
}

#[triune::test]
async fn a_stopped_actor_is_ended_by_a_cancel_with_all_that_it_left() {
    let guard = LeakGuard::new();
    let scope = triune::CancelScope::new();
    let outcome = scope
        .run(nursery(async |n| {
            let actor = n.actor("stopped").grace(Duration::from_millis(50)).start().await?;
            signal(actor.pid(), rustix::process::Signal::STOP);
            let pid = actor.pid();
            let stopped = || ProcessInfo::of(pid).is_some_and(|process| process.state == 'T');
            assert!(wait_until(Duration::from_secs(10), stopped));
            scope.cancel("enough");
            Ok(actor.call(escaped::with()).await?)
        }))
        .await;
    guard.check().expect("gone when the scope returns");
    drop(outcome);
    guard.settle().await;
}

#[triune::test]
async fn an_actor_that_ends_in_good_order_leaves_nothing_either() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("tidy").start().await?;
        let call = n.spawn({
            let actor = actor.clone();
            async move { Ok(actor.call(escaped::with()).await?) }
        });
        let has_escaped =
            || triune_testing::processes_of_tree().iter().any(|process| process.command == "sleep 1000");
        assert!(triune_testing::eventually(Duration::from_secs(10), has_escaped).await);
        call.cancel("enough");
        Ok(())
    })
    .await
    .unwrap();
    guard.check().expect("gone when the nursery returns");
    guard.settle().await;
}
