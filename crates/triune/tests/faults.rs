//! Each fault of the injector on the links of real actors and workers, and how the wait on it ends.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::time::{Duration, Instant};

use triune::actor::ActorDied;
use triune::prelude::*;
use triune::wire::Payload;
use triune::worker::{self, RunError};
use triune_testing::fault::{Direction, Fault, Injector, Plan};
use triune_testing::{LeakGuard, ProcessInfo, eventually};

#[triune::job]
fn double_job(number: u64) -> u64 {
    number * 2
}

#[triune::endpoint]
async fn double(number: u64) -> u64 {
    number * 2
}

/// The answer of an actor whose link has this fault, at the first frame after the HELLO.
async fn call_with(direction: Direction, fault: Fault) -> Result<u64> {
    let injector = Injector::install(move |_link| Plan::new().at(direction, 1, fault));
    let answer = nursery(async |n| {
        let actor = n.actor("victim").grace(Duration::from_millis(200)).start().await?;
        Ok(actor.call(double::with(21)).await?)
    })
    .await;
    let injected = injector.injected();
    assert_eq!(injected.len(), 1, "{injected:?}");
    assert_eq!((injected[0].link.role, &*injected[0].link.name), ("actor", "/victim"));
    assert_eq!((injected[0].direction, injected[0].frame, injected[0].fault), (direction, 1, fault));
    answer
}

fn has_died(answer: Result<u64>) {
    let error = answer.unwrap_err();
    assert_eq!(error.group().unwrap().downcast_all::<ActorDied>().len(), 1, "{error:?}");
}

#[triune::test]
async fn an_actor_that_is_killed_at_a_frame_has_died() {
    let guard = LeakGuard::new();
    has_died(call_with(Direction::ToChild, Fault::Kill).await);
    guard.settle().await;
}

#[triune::test]
async fn an_actor_whose_link_is_cut_has_died() {
    let guard = LeakGuard::new();
    for direction in [Direction::ToChild, Direction::FromChild] {
        for after in [0, 7, 16] {
            has_died(call_with(direction, Fault::Cut { after }).await);
        }
    }
    guard.settle().await;
}

#[triune::test]
async fn an_actor_whose_frames_make_no_sense_has_died() {
    let guard = LeakGuard::new();
    // The kind of the frame becomes one that does not exist.
    for direction in [Direction::ToChild, Direction::FromChild] {
        has_died(call_with(direction, Fault::Corrupt { at: 4, xor: 0x80 }).await);
    }
    guard.settle().await;
}

#[triune::test]
async fn an_actor_that_is_stopped_for_a_while_answers_late() {
    let guard = LeakGuard::new();
    let time = Duration::from_millis(40);
    for fault in [Fault::Stop(time), Fault::Delay(time)] {
        let start = Instant::now();
        assert_eq!(call_with(Direction::ToChild, fault).await.unwrap(), 42);
        assert!(start.elapsed() >= time, "{fault:?} took {:?}", start.elapsed());
    }
    guard.settle().await;
}

/// It ends on nothing but SIGKILL: it does not see that its link is gone, and it cannot take a SIGTERM.
#[triune::test]
async fn an_actor_that_is_stopped_for_good_and_cut_off_is_killed() {
    let guard = LeakGuard::new();
    has_died(call_with(Direction::ToChild, Fault::Freeze).await);
    // Its answer was sent before, and is as good as any.
    match call_with(Direction::FromChild, Fault::Freeze).await {
        Ok(answer) => assert_eq!(answer, 42),
        died => has_died(died),
    }
    guard.settle().await;
}

/// The same before its HELLO has come, and for workers.
#[triune::test]
async fn a_child_that_is_stopped_for_good_and_cut_off_in_its_start_is_killed() {
    let guard = LeakGuard::new();
    for direction in [Direction::ToChild, Direction::FromChild] {
        let injector = Injector::install(move |_link| Plan::new().at(direction, 0, Fault::Freeze));
        let begun = Instant::now();
        let actor = nursery(async |n| {
            let actor = n.actor("victim").grace(Duration::from_millis(200)).start().await?;
            Ok(actor.call(double::with(21)).await?)
        });
        actor.await.unwrap_err();
        // The ten seconds that a start may take are not waited for: nothing can come any more.
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        worker::run(double_job::with(21)).await.unwrap_err();
        // A job that a worker has not begun is given to the next one, some times.
        assert!(injector.injected().len() >= 2, "{injector:?}");
    }
    triune::Run::current().close().await;
    guard.settle().await;
}

/// More than a socket holds.
#[triune::job]
fn much() -> Payload {
    Payload::from(vec![7; 32 << 20])
}

/// It sleeps in the middle of its answer, and has no other way to learn that nobody wants it.
#[triune::test]
async fn a_worker_whose_answer_nobody_reads_is_gone_when_its_call_is_cancelled() {
    let guard = LeakGuard::new();
    let hour = Duration::from_secs(3600);
    let injector =
        Injector::install(move |_link| Plan::new().at(Direction::FromChild, 1, Fault::Delay(hour)));
    let worker = || ProcessInfo::of(injector.injected().first()?.link.pid);
    let result: Result = nursery(async |n| {
        let _answers = n.run_in_worker(much::with());
        let sleeps =
            eventually(Duration::from_secs(10), || worker().is_some_and(|worker| worker.state == 'S'));
        assert!(sleeps.await, "{:?}", worker());
        n.cancel("nobody wants it");
        Ok(())
    })
    .await;
    result.unwrap();
    assert_eq!(worker(), None, "it is reaped when the nursery returns");
    drop(injector);
    triune::Run::current().close().await;
    guard.settle().await;
}

#[triune::test]
async fn a_worker_that_is_killed_at_its_answer_gives_the_answer_or_has_died() {
    let guard = LeakGuard::new();
    let injector = Injector::install(|_link| Plan::new().at(Direction::FromChild, 1, Fault::Kill));
    match worker::run(double_job::with(21)).await {
        // It was sent before the kill, and is as good as any.
        Ok(answer) => assert_eq!(answer, 42),
        Err(error) => assert!(matches!(error, RunError::Died { .. }), "{error:?}"),
    }
    let injected = injector.injected();
    assert_eq!(injected.len(), 1);
    drop(injector);
    // A job that is sent before the pool has noticed is in the hands of the relay, and may have been read.
    let is_gone = || {
        let worker::Statistics { idle, busy, dying, .. } = worker::statistics();
        idle + busy + dying == 0 && ProcessInfo::of(injected[0].link.pid).is_none()
    };
    assert!(eventually(Duration::from_secs(10), is_gone).await, "the worker is reaped");
    // The next call gets another worker.
    assert_eq!(worker::run(double_job::with(4)).await.unwrap(), 8);
    triune::Run::current().close().await;
    guard.settle().await;
}
