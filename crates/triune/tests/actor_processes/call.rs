//! Calls: values, typed errors, panics, cancels; each alone and many at once.
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use triune::actor::{ActorDied, CallError, ReportKind, current_name, current_path};
use triune::prelude::*;
use triune::{CancelScope, Cause, Outcome, local_nursery, local_nursery_with, shield_unbounded};
use triune_testing::LeakGuard;

use crate::support::{Bell, RingOnDrop, kill, ring};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Fault {
    Negative(i64),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Negative(value) = self;
        write!(f, "{value} is negative")
    }
}

impl std::error::Error for Fault {}

#[triune::endpoint]
async fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[triune::endpoint]
async fn nothing() {}

#[triune::endpoint]
async fn root_of(value: i64) -> Result<i64, Fault> {
    if value < 0 { Err(Fault::Negative(value)) } else { Ok(value.isqrt()) }
}

#[triune::endpoint]
async fn read(path: String) -> Result<String> {
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

#[triune::endpoint]
async fn io_result() -> std::io::Result<u8> {
    Err(std::io::Error::other("no luck"))
}

#[triune::endpoint]
async fn no_debug_error() -> Result<(), Opaque> {
    Err(Opaque)
}

struct Opaque;

#[triune::endpoint]
async fn explode(mut text: String, (a, b): (u8, u8)) -> u8 {
    text.push('!');
    assert!(a == b, "{text}");
    a
}

#[triune::endpoint]
async fn explode_in_a_child() -> Result<u8> {
    nursery(async |n| {
        n.spawn(async {
            tokio::task::yield_now().await;
            panic!("deep down");
        })
        .await
    })
    .await
}

#[triune::endpoint]
async fn who() -> (String, Option<String>, u32) {
    (current_path().to_owned(), current_name().map(str::to_owned), std::process::id())
}

#[triune::endpoint]
async fn environment(key: String) -> Option<String> {
    std::env::var(key).ok()
}

/// How long the endpoint has, as it sees it.
#[triune::endpoint]
async fn time_left() -> Option<Duration> {
    triune::effective_deadline().map(|at| at.saturating_duration_since(tokio::time::Instant::now()))
}

/// Waits to be cancelled, and tells why.
#[triune::endpoint]
async fn wait_for_cancel(bell: PathBuf) -> Result {
    ring(&bell, "begun");
    let cancelled = std::future::pending::<()>().cancellable().await.unwrap_err();
    let reason = cancelled.reason();
    ring(&bell, &format!("{:?}|{}|{}", reason.cause(), reason.message(), reason.by().unwrap_or("?")));
    Err(cancelled.into())
}

/// Parks in an await that knows nothing of cancels.
#[triune::endpoint]
async fn park(bell: PathBuf) {
    let _gone = RingOnDrop(bell.clone(), "dropped");
    ring(&bell, "begun");
    std::future::pending().await
}

/// Takes its time to clean up: until a bell is rung, which the test holds.
#[triune::endpoint]
async fn slow_cleanup(bell: PathBuf, gate: PathBuf) -> Result {
    ring(&bell, "begun");
    let cancelled = std::future::pending::<()>().cancellable().await.unwrap_err();
    shield_unbounded(async {
        ring(&bell, "cleaning");
        let gate = tokio::net::UnixDatagram::bind(&gate).unwrap();
        gate.recv(&mut [0; 8]).await.unwrap();
    })
    .await;
    Err(cancelled.into())
}

#[triune::endpoint]
async fn echo(text: String) -> String {
    text
}

#[triune::test]
async fn a_call_gives_the_endpoints_value() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("adder").start().await?;
        assert_eq!(actor.call(add::with(40, 2)).await?, 42);
        assert_eq!(actor.call(add::with(-1, 1)).await?, 0);
        actor.call(nothing::with()).await?;
        assert_eq!(add(1, 2).await, 3, "the function itself is still there");
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn an_endpoint_has_the_time_that_its_caller_has() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("patient").start().await?;
        assert_eq!(actor.call(time_left::with()).await?, None);
        let minute = Duration::from_secs(60);
        let left = triune::fail_after(minute, actor.call(time_left::with())).await??;
        assert!(left.is_some_and(|left| left > minute / 2 && left <= minute), "{left:?}");
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn an_actor_knows_its_name_and_path_and_is_a_process_of_its_own() {
    let guard = LeakGuard::new();
    assert_eq!((current_path(), current_name()), ("/", None));
    nursery(async |n| {
        let actor = n.actor("teller").env("TELLER", "of tales").start().await?;
        let who = actor.call(who::with()).await?;
        assert_eq!(who, ("/teller".to_owned(), Some("teller".to_owned()), actor.pid()));
        assert_ne!(actor.pid(), std::process::id());
        assert_eq!((actor.name(), actor.path()), ("teller", "/teller"));
        assert_eq!(actor.call(environment::with("TELLER".into())).await?.as_deref(), Some("of tales"));
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

type Boxed = Box<dyn std::error::Error + Send + Sync>;

#[triune::test]
async fn actors_are_children_of_a_nursery_without_send_and_of_one_over_another_error_too() {
    let guard = LeakGuard::new();
    let counter = std::rc::Rc::new(std::cell::Cell::new(0));
    let portal = local_nursery(async |n| {
        let actor = n.actor("adder").start().await?;
        let counted = counter.clone();
        let called = actor.clone();
        n.spawn(async move {
            counted.set(called.call(add::with(40, 2)).await?);
            Ok(())
        })
        .await?;
        let sum = n.actor("once").run(add::with(1, 2)).await?;
        assert_eq!((counter.get(), sum), (42, 3));
        Ok(actor)
    });
    let report = portal.await.unwrap().wait().await.unwrap();
    assert!(report.is_graceful(), "the nursery has stopped it: {report}");
    let failed = local_nursery_with::<Boxed, _, _, _>(async |n| {
        let actor = n.actor("victim").start().await?;
        kill(actor.pid());
        Ok(std::future::pending::<()>().cancellable().await?)
    });
    let failed = triune::Error::from_boxed(failed.await.expect_err("its actor died"));
    let died: &ActorDied = failed.downcast_ref().expect("it says so");
    assert_eq!(died.name(), "/victim");
    guard.settle().await;
}

#[triune::test]
async fn two_actors_of_one_name_are_told_apart() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let (one, other) = (n.actor("twin").start().await?, n.actor("twin").start().await?);
        assert_ne!(one.id(), other.id());
        let (first, second) = (one.call(who::with()).await?, other.call(who::with()).await?);
        assert_ne!(first.2, second.2);
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn a_typed_error_arrives_as_itself_with_a_report_beside_it() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("roots").start().await?;
        assert_eq!(actor.call(root_of::with(49)).await?, 7);
        let error = actor.call(root_of::with(-4)).await.unwrap_err();
        assert_eq!(error.app(), Some(&Fault::Negative(-4)));
        let report = error.report().unwrap();
        assert_eq!(report.kind, ReportKind::Error);
        assert_eq!(report.message, "-4 is negative");
        assert!(report.type_name.ends_with("::Fault"), "{}", report.type_name);
        assert_eq!((report.path.as_deref(), report.pid), (Some("/roots"), Some(actor.pid())));
        assert_eq!(report.task.as_deref(), Some("root_of"));

        let error = Error::from(error);
        let text = format!("{error:#}");
        assert_eq!(text, format!("`root_of` in actor `/roots` (pid {}) failed: -4 is negative", actor.pid()));
        assert_eq!(error.downcast_ref::<CallError<Fault>>().unwrap().app(), Some(&Fault::Negative(-4)));
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn an_error_that_cannot_travel_arrives_as_its_texts() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("reader").start().await?;
        let error = actor.call(read::with("/no/such/file".into())).await.unwrap_err();
        let CallError::Remote(remote) = &error else { panic!("{error:?}") };
        assert_eq!(remote.to_string(), "cannot read /no/such/file");
        assert_eq!(remote.report().chain, ["No such file or directory (os error 2)"]);
        assert!(
            format!("{:#}", Error::from(error))
                .ends_with("failed: cannot read /no/such/file: No such file or directory (os error 2)")
        );
        let error = actor.call(io_result::with()).await.unwrap_err();
        assert_eq!(error.report().unwrap().message, "no luck");
        let error = actor.call(no_debug_error::with()).await.map_err(|error| error.report().cloned());
        assert!(error.unwrap_err().unwrap().message.ends_with("::Opaque"));
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn a_panic_arrives_with_its_place_and_the_actor_goes_on() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("bomb").start().await?;
        assert_eq!(actor.call(explode::with("boom".into(), (3, 3))).await?, 3);
        let error = actor.call(explode::with("boom".into(), (1, 2))).await.unwrap_err();
        assert!(error.is_panic());
        let report = error.report().unwrap();
        assert_eq!((report.kind, report.message.as_str()), (ReportKind::Panic, "boom!"));
        assert!(report.location.as_ref().unwrap().contains("call.rs:"), "{report:?}");

        let error = actor.call(explode_in_a_child::with()).await.unwrap_err();
        let report = error.report().unwrap();
        assert_eq!((report.kind, report.message.as_str()), (ReportKind::Panic, "deep down"));
        assert!(report.location.as_ref().unwrap().contains("call.rs:"), "{report:?}");

        assert_eq!(actor.call(add::with(1, 1)).await?, 2);
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn calls_of_many_tasks_run_side_by_side() {
    let guard = LeakGuard::new();
    let sum = nursery(async |n| {
        let actor = n.actor("adder").start().await?;
        let calls: Vec<_> = (0..500)
            .map(|i| {
                let actor = actor.clone();
                n.spawn(async move { Ok(actor.call(add::with(i, i)).await?) })
            })
            .collect();
        let mut sum = 0;
        for call in calls {
            sum += call.await?;
        }
        Ok(sum)
    })
    .await
    .unwrap();
    assert_eq!(sum, 500 * 499);
    guard.settle().await;
}

#[triune::test]
async fn a_portal_works_from_parallel_tasks() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("adder").start().await?;
        let children: Vec<_> = (0..8)
            .map(|i| {
                let actor = actor.clone();
                n.spawn_task(async move { Ok(actor.call(add::with(i, 1)).await?) })
            })
            .collect();
        for (child, i) in children.into_iter().zip(1..) {
            assert_eq!(child.await?, i);
        }
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn a_cancelled_caller_cancels_the_endpoint_with_its_reason_and_waits_for_it() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    nursery(async |n| {
        let actor = n.actor("waiter").start().await?;
        let scope = CancelScope::new();
        let call = scope.run(actor.call(wait_for_cancel::with(bell.path())));
        let end = nursery(async |inner| {
            inner.spawn(async {
                assert_eq!(bell.next().await, "begun");
                scope.cancel("enough");
                Ok(())
            });
            Ok(call.await)
        })
        .await?;
        let Outcome::Done(Err(error)) = end else { panic!("{end:?}") };
        assert!(error.is_cancelled(), "{error:?}");
        assert!(Error::from(error).is_cancelled(), "so that its own scope absorbs it");
        assert_eq!(
            bell.waiting().as_deref(),
            Some("Peer|enough|/"),
            "the call has waited for the endpoint's end"
        );
        assert_eq!(actor.call(add::with(1, 1)).await?, 2);
        Ok(())
    })
    .await
    .unwrap();
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn a_failed_sibling_is_named_as_the_reason_over_there() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    let error = nursery(async |n| {
        let actor = n.actor("waiter").start().await?;
        n.spawn(async {
            assert_eq!(bell.next().await, "begun");
            Err::<(), _>(Error::msg("disk full"))
        });
        Ok(actor.call(wait_for_cancel::with(bell.path())).await?)
    })
    .await
    .unwrap_err();
    assert_eq!(error.group().unwrap().len(), 1, "{error:?}");
    assert_eq!(error.group().unwrap().primary().error().to_string(), "disk full");
    let seen = bell.next().await;
    assert!(seen.starts_with("Peer|a sibling failed: disk full|/ (task "), "{seen}");
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn an_endpoint_in_a_foreign_await_is_dropped_by_a_cancel() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    nursery(async |n| {
        let actor = n.actor("parker").start().await?;
        let scope = CancelScope::new();
        n.spawn({
            let scope = scope.clone();
            let bell = &bell;
            async move {
                assert_eq!(bell.next().await, "begun");
                scope.cancel("move on");
                Ok(())
            }
        });
        let end = scope.run(actor.call(park::with(bell.path()))).await;
        let Outcome::Done(Err(CallError::Cancelled(cancelled))) = end else { panic!("{end:?}") };
        assert_eq!((cancelled.reason().cause(), cancelled.reason().message()), (&Cause::Explicit, "move on"));
        assert_eq!(bell.waiting().as_deref(), Some("dropped"));
        Ok(())
    })
    .await
    .unwrap();
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn a_dropped_call_cancels_its_endpoint() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    nursery(async |n| {
        let actor = n.actor("parker").start().await?;
        tokio::select! {
            end = actor.call(park::with(bell.path())) => panic!("{end:?}"),
            begun = bell.next() => assert_eq!(begun, "begun"),
        }
        assert_eq!(bell.next().await, "dropped");
        Ok(())
    })
    .await
    .unwrap();
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn a_slow_cleanup_stalls_no_other_request() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    let gate = bell.path().with_file_name("gate");
    nursery(async |n| {
        let actor = n.actor("slow").grace(Duration::from_secs(30)).start().await?;
        let scope = CancelScope::new();
        let cleaning = n.spawn({
            let (actor, scope) = (actor.clone(), scope.clone());
            let call = slow_cleanup::with(bell.path(), gate.clone());
            async move { Ok(scope.run(actor.call(call)).await) }
        });
        assert_eq!(bell.next().await, "begun");
        scope.cancel("stop that");
        assert_eq!(bell.next().await, "cleaning");
        for i in 0..100 {
            assert_eq!(actor.call(add::with(i, 1)).await?, i + 1);
        }
        assert!(!cleaning.is_finished());
        ring(&gate, "go");
        let end = cleaning.await?;
        assert!(matches!(end, Outcome::Done(Err(CallError::Cancelled(_)))), "{end:?}");
        Ok(())
    })
    .await
    .unwrap();
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn a_caller_waits_no_longer_than_the_grace_for_a_cancelled_endpoint() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    let gate = bell.path().with_file_name("gate");
    nursery(async |n| {
        let actor = n.actor("slow").grace(Duration::from_millis(20)).start().await?;
        let scope = CancelScope::new();
        let handle = scope.clone();
        let stop = async {
            assert_eq!(bell.next().await, "begun");
            handle.cancel("stop that");
        };
        let call = actor.call(slow_cleanup::with(bell.path(), gate.clone()));
        let (end, ()) = tokio::join!(scope.run(call), stop);
        assert!(matches!(end, Outcome::Done(Err(CallError::Cancelled(_)))), "{end:?}");
        // It still cleans up, and the actor still serves.
        assert_eq!(bell.next().await, "cleaning");
        assert_eq!(actor.call(add::with(1, 1)).await?, 2);
        ring(&gate, "go");
        Ok(())
    })
    .await
    .unwrap();
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn a_call_in_a_cancelled_scope_sends_nothing() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    nursery(async |n| {
        let actor = n.actor("waiter").start().await?;
        let scope = CancelScope::new();
        scope.cancel("before");
        let end = scope.run(actor.call(wait_for_cancel::with(bell.path()))).await;
        assert!(matches!(end, Outcome::Done(Err(CallError::Cancelled(_)))), "{end:?}");
        assert_eq!(actor.call(add::with(1, 1)).await?, 2);
        assert_eq!(bell.waiting(), None);
        Ok(())
    })
    .await
    .unwrap();
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn a_large_argument_travels_and_a_too_large_one_is_refused_at_once() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("echo").start().await?;
        let text = "7".repeat(8 * 1024 * 1024);
        assert!(actor.call(echo::with(text.clone())).await? == text);
        let error = actor.call(echo::with("7".repeat(65 * 1024 * 1024))).await.unwrap_err();
        assert!(matches!(error, CallError::TooLarge { .. }), "{error:?}");
        assert_eq!(actor.call(add::with(1, 1)).await?, 2);
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn a_one_shot_leaves_no_process() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        assert_eq!(n.actor("once").run(add::with(1, 2)).await?, 3);
        guard.check().expect("the process is gone when the call returns");
        let error = n.actor("once").run(root_of::with(-1)).await.unwrap_err();
        assert_eq!(error.app(), Some(&Fault::Negative(-1)));
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}
