//! The memory property: when a nursery returns, nothing of it is alive. P1 to P6 of the design notes.

use std::cell::Cell;
use std::time::Duration;

use triune_scope::{
    CancelScope, Error, FutureExt as _, PanicPolicy, Result, Run, Started, as_completed, join, move_on_after,
    nursery, race, sleep, sync, task_var,
};
use triune_testing::{Canary, CountingAllocator, Living, assert_leaves_nothing, census};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const HOUR: Duration = Duration::from_secs(3600);

async fn block() -> Result {
    std::future::pending::<()>().cancellable().await?;
    Ok(())
}

// Trio Z02
#[test]
fn a_failing_nursery_leaves_nothing() {
    assert_leaves_nothing(async || {
        let failed = nursery(async |n| {
            n.spawn(block());
            n.spawn(async { Err::<(), _>(Error::msg("no")) });
            block().await
        });
        assert!(failed.await.is_err());
    });
}

// Trio Z01
#[test]
fn cancelled_scopes_and_nurseries_leave_nothing() {
    assert_leaves_nothing(async || {
        for _ in 0..2 {
            let scope = CancelScope::new();
            scope.cancel("now");
            assert!(scope.run(std::future::pending::<()>()).await.is_cancelled());
        }
        let cancelled = nursery(async |n| {
            for _ in 0..5 {
                n.spawn(block());
            }
            n.daemon(block());
            n.cancel("now");
            Ok(())
        });
        cancelled.await.unwrap();
    });
}

#[test]
fn parallel_children_leave_nothing() {
    assert_leaves_nothing(async || {
        let failed = nursery(async |n| {
            n.spawn_task(block());
            n.daemon_task("service", block());
            n.spawn_task(async { Err::<(), _>(Error::msg("no")) });
            block().await
        });
        assert!(failed.await.is_err());
    });
}

#[test]
fn dropped_nurseries_leave_nothing() {
    assert_leaves_nothing(async || {
        let mut open = Box::pin(nursery(async |n| {
            n.spawn(block());
            n.spawn_with(async move |n| n.spawn(block()).await);
            block().await
        }));
        assert!(futures_util::poll!(&mut open).is_pending());
    });
}

#[test]
fn starts_leave_nothing() {
    assert_leaves_nothing(async || {
        let ended = nursery(async |n| {
            n.start(async |started| {
                started.started(vec![1])?;
                block().await
            })
            .await?;
            // Ends first, fails first, drops its word, is given up by the caller, is cut off.
            assert!(n.start(async |_started: Started<()>| Ok(())).await.is_err());
            assert!(n.start(async |_started: Started<()>| Err(Error::msg("no"))).await.is_err());
            let silent = n.start(async |started: Started<()>| {
                drop(started);
                block().await
            });
            assert!(silent.await.is_err());
            let mut dropped = Box::pin(n.start(async |_started: Started<()>| block().await));
            assert!(futures_util::poll!(&mut dropped).is_pending());
            drop(dropped);
            let scope = CancelScope::new();
            scope.cancel("caller");
            assert!(scope.run(n.start(async |_started: Started<()>| block().await)).await.done().is_some());
            n.cancel("enough");
            Ok(())
        });
        ended.await.unwrap();
    });
}

#[test]
fn supervised_and_panicking_nurseries_leave_nothing() {
    assert_leaves_nothing(async || {
        let supervised = nursery(async |n| {
            n.spawn(async { Err::<(), _>(Error::msg("no")) });
            n.spawn(async { Err::<(), _>(Error::msg("neither")) }).await.map_err(|_| Error::msg("body"))
        });
        assert!(supervised.supervise().named("shop").await.is_err());
        let panicking = async |policy| {
            let open = nursery(async |n| {
                n.spawn(block());
                // Past the hook, which would print a thousand times.
                n.spawn::<(), _>(async { std::panic::resume_unwind(Box::new("bad request")) });
                block().await
            });
            open.on_panic(policy).await
        };
        assert!(panicking(PanicPolicy::AsError).await.is_err());
        let resumed = std::panic::AssertUnwindSafe(panicking(PanicPolicy::Propagate));
        assert!(futures_util::FutureExt::catch_unwind(resumed).await.is_err());
    });
}

#[test]
fn races_and_joins_leave_nothing() {
    assert_leaves_nothing(async || {
        let ready = || std::future::ready(Ok(()));
        race((block(), ready(), block())).await.unwrap();
        let mut dropped = Box::pin(race(vec![block(), block()]));
        assert!(futures_util::poll!(&mut dropped).is_pending());
        drop(dropped);
        join((ready(), async { Ok(vec![1]) })).await.unwrap();
        assert!(join((block(), async { Err::<(), _>(Error::msg("no")) })).await.is_err());
        let first = as_completed([ready(), ready()], async |mut done| Ok(done.next().await?));
        assert!(first.await.unwrap().is_some());
    });
}

// Trio Z10
#[test]
fn children_that_hold_their_nursery_leave_nothing() {
    assert_leaves_nothing(async || {
        let cancelled = nursery(async |n| {
            for _ in 0..3 {
                n.spawn_with(async move |n| {
                    let sibling = n.clone();
                    n.spawn(async move {
                        let _held = sibling;
                        block().await
                    });
                    n.start(async |_started: Started<()>| block().await).await
                });
            }
            triune_scope::checkpoint().await?;
            n.cancel("now");
            Ok(())
        });
        cancelled.await.unwrap();
    });
}

// Trio Z03
#[test]
fn a_group_out_of_a_cancelled_scope_leaves_nothing() {
    assert_leaves_nothing(async || {
        let scope = CancelScope::new();
        let outer = scope.clone();
        let outcome = scope.run(nursery(async |n| {
            n.spawn(block());
            n.spawn(async {
                let _cut = block().await;
                Err::<(), _>(Error::msg("no"))
            });
            triune_scope::checkpoint().await?;
            outer.cancel("outer");
            block().await
        }));
        let error = outcome.await.done().unwrap().unwrap_err();
        assert_eq!(error.group().unwrap().len(), 1);
    });
}

#[test]
fn waits_on_a_long_lived_scope_leave_nothing() {
    assert_leaves_nothing(async || {
        for _ in 0..100 {
            tokio::task::yield_now().cancellable().await.unwrap();
            triune_scope::checkpoint().await.unwrap();
        }
    });
}

/// 10 000 waits for one thing that lives on, a hundred at a time, all cancelled. Trio Z07
async fn cancelled_waits<F: Future>(wait: impl Fn() -> F, waiting: impl Fn() -> usize) {
    let round = async || {
        let scope = CancelScope::new();
        let cancel = async {
            assert_eq!(waiting(), 100);
            scope.cancel("enough");
        };
        let waits = futures_util::future::join_all((0..100).map(|_| wait()));
        let outcome = scope.run(async { tokio::join!(waits, cancel).0.len() });
        assert_eq!(outcome.await.done(), Some(100));
        assert_eq!(waiting(), 0);
    };
    round().await;
    let before = Living::now();
    for _ in 0..100 {
        round().await;
    }
    assert_eq!(Living::now(), before, "(blocks, bytes)");
}

// P4, Trio Z07
#[tokio::test]
async fn cancelled_waits_leave_nothing_in_what_they_waited_for() {
    let event = sync::Event::new();
    cancelled_waits(|| event.wait(), || event.statistics().waiting).await;
    let limiter = sync::CapacityLimiter::new(0);
    cancelled_waits(|| limiter.acquire(), || limiter.statistics().waiting).await;
    let semaphore = sync::Semaphore::new(0);
    cancelled_waits(|| semaphore.acquire(), || semaphore.statistics().waiting).await;
    let mutex = sync::Mutex::new(());
    let guard = mutex.lock().await.unwrap();
    cancelled_waits(|| mutex.lock(), || mutex.statistics().waiting).await;
    drop(guard);
    let condition = sync::Condition::new();
    let wait = async || {
        let guard = mutex.lock().await.unwrap();
        let (_guard, waited) = condition.wait(guard).await;
        waited
    };
    cancelled_waits(wait, || condition.statistics().waiting).await;
    let (sender, receiver) = sync::channel(0);
    cancelled_waits(|| receiver.recv(), || sender.statistics().waiting_receivers).await;
    cancelled_waits(|| sender.send(1), || sender.statistics().waiting_senders).await;
    // A timer tells nobody how many wait for it.
    let asleep = Cell::new(0);
    let nap = async || {
        asleep.set(asleep.get() + 1);
        let end = sleep(HOUR).await;
        asleep.set(asleep.get() - 1);
        end
    };
    cancelled_waits(nap, || asleep.get()).await;
    assert_eq!(sender.statistics().buffered, 0);
}

// Trio Z13
#[test]
fn a_million_timeouts_that_nothing_needed_leave_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let round = async |times: u32| {
            for _ in 0..times {
                assert_eq!(move_on_after(HOUR, std::future::ready(1)).await, Some(1));
            }
        };
        round(100).await;
        let before = Living::now();
        round(1_000_000).await;
        assert_eq!(Living::now(), before, "(blocks, bytes)");
    });
}

#[test]
fn task_variables_leave_nothing() {
    task_var! {
        static TEXT: String = String::new();
    }
    assert_leaves_nothing(async || {
        let inside = nursery(async |n| {
            n.spawn_task(async { Ok(TEXT.with(String::len)) });
            n.spawn(async { Ok(TEXT.get()) }).await
        });
        assert_eq!(TEXT.scope("text".to_owned(), inside).await.unwrap(), "text");
    });
}

#[test]
fn channels_leave_nothing() {
    assert_leaves_nothing(async || {
        let (sender, receiver) = sync::channel(3);
        let sum = nursery(async |n| {
            n.spawn(async move {
                for text in ["a", "b", "c", "d", "e", "f"] {
                    sender.send(text.to_owned()).await?;
                }
                Ok(())
            });
            let first = receiver.recv().await?;
            drop(receiver);
            Ok(first)
        });
        assert!(sum.await.is_err(), "the sender found the channel broken");
    });
}

// P6
#[tokio::test]
async fn an_open_nursery_holds_only_its_living_children() {
    nursery(async |n| {
        let mut before = 0;
        for round in 0..5000 {
            n.spawn(async { Ok(()) }).await?;
            n.spawn_task(async { Ok(()) }).await?;
            if round == 500 {
                before = Living::now().blocks;
            }
        }
        let grown = Living::now().blocks - before;
        assert!(grown < 50, "{grown} blocks for no living child");
        Ok(())
    })
    .await
    .unwrap();
}

// P1, Trio Z05
#[tokio::test]
async fn what_a_child_holds_is_gone_when_the_nursery_returns() {
    /// How the nursery ends, with a child that holds something through all of it.
    async fn ended(how: &str, held: Canary) -> Result {
        let open = nursery(async |n| {
            n.spawn(async move {
                let _held = held;
                match how {
                    "end" => Ok(()),
                    "error" => Err(Error::msg("no")),
                    // Past the hook, which would print.
                    "panic" => std::panic::resume_unwind(Box::new("no")),
                    _ => block().await,
                }
            });
            if how == "cancel" {
                triune_scope::checkpoint().await?;
                n.cancel("now");
            }
            Ok(())
        });
        open.on_panic(PanicPolicy::AsError).await
    }
    for how in ["end", "error", "panic", "cancel"] {
        let (canary, probe) = Canary::new("a local of a child");
        let end = ended(how, canary).await;
        // In the first statement after the nursery.
        probe.assert_dead();
        assert_eq!(end.is_ok(), matches!(how, "end" | "cancel"), "{how}");
    }
}

// P1, P3, Trio Z06
#[tokio::test]
async fn a_kept_error_keeps_nothing_of_its_nursery() {
    let (canary, probe) = Canary::new("a local of a child");
    let error = nursery(async |n| {
        let held = canary.clone();
        n.spawn(async move {
            let _held = held;
            Err::<(), _>(Error::msg("no"))
        });
        let held = canary;
        n.spawn(async move {
            let _held = held;
            block().await
        });
        block().await
    })
    .await
    .unwrap_err();
    // In the first statement after the nursery.
    probe.assert_dead();
    assert_eq!(error.group().unwrap().len(), 1);

    // The reason of a cancel is as light.
    let (canary, probe) = Canary::new("a local of a cancelled child");
    let scope = CancelScope::new();
    let canceller = scope.clone();
    let cut = scope.run(nursery(async |n| {
        n.spawn(async move {
            let _held = canary;
            block().await
        });
        triune_scope::checkpoint().await?;
        canceller.cancel("now");
        block().await
    }));
    let cut = cut.await.done().unwrap().unwrap_err();
    drop((canceller, scope));
    probe.assert_dead();
    assert_eq!(cut.as_cancelled().unwrap().reason().message(), "now");
}

// P6: one nursery, one million children, one after another.
#[tokio::test]
async fn a_million_children_pass_through_one_nursery_in_bounded_memory() {
    nursery(async |n| {
        let (mut sum, mut before) = (0u64, Living::default());
        for number in 0..1_000_000u64 {
            sum += n.spawn(async move { Ok(number) }).await?;
            if number == 1000 {
                before = Living::now();
            }
        }
        assert_eq!(
            (sum, Living::now()),
            (499_999_500_000, before),
            "(blocks, bytes) as after the first thousand"
        );
        Ok(())
    })
    .await
    .unwrap();
}

/// Like [`block`], with something that must be gone in time.
async fn block_with(held: Canary) -> Result {
    let _held = held;
    block().await
}

// P1: a child in this task goes with the nursery, whoever started it; the run has waited for the other ones.
#[tokio::test]
async fn what_a_child_of_a_dropped_nursery_holds_is_gone() {
    let (here, in_this_task) = Canary::new("a local of a child in this task");
    let (there, in_its_own) = Canary::new("a local of a parallel child");
    let mut open = Box::pin(nursery(async |n| {
        n.spawn(block_with(here.clone()));
        n.spawn_task(block_with(there));
        n.start(async |started| {
            started.started(())?;
            block_with(here).await
        })
        .await?;
        block().await
    }));
    assert!(futures_util::poll!(&mut open).is_pending());
    in_this_task.assert_alive();
    drop(open);
    in_this_task.assert_dead();
    Run::current().close().await;
    in_its_own.assert_dead();
}

// P1, P2: after each kind of child and each kind of end, nothing of the nursery is counted as alive.
#[tokio::test]
async fn no_object_of_a_nursery_is_alive_when_it_has_returned() {
    let _run = Run::current();
    let before = census();
    for how in ["end", "error", "panic", "cancel"] {
        let (canary, probe) = Canary::new("a local of a child");
        let open = nursery(async |n| {
            n.daemon(block_with(canary.clone()));
            n.start(async |started| {
                started.started(())?;
                if how == "end" {
                    return Ok(());
                }
                block_with(canary).await
            })
            .await?;
            match how {
                "error" => drop(n.spawn(async { Err::<(), _>(Error::msg("no")) })),
                "panic" => drop(n.spawn::<(), _>(async { std::panic::resume_unwind(Box::new("panic")) })),
                "cancel" => n.cancel("now"),
                _ => {}
            }
            Ok(())
        });
        let end = open.on_panic(PanicPolicy::AsError).await;
        probe.assert_dead();
        assert_eq!(census(), before, "{how}, with its error still held");
        assert_eq!(end.is_ok(), matches!(how, "end" | "cancel"), "{how}");
    }
}
