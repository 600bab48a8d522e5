//! Dialogs: two linked tasks, one in each process, that end each other with the reason.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use triune::actor::{BothFailed, CallError, DialogError, TrySendError};
use triune::prelude::*;
use triune::{CancelScope, Outcome, shield_unbounded};
use triune_testing::LeakGuard;

use crate::support::{Bell, RingOnDrop, ring};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tick {
    n: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Control {
    Next,
    Stop,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct OutOfTicks(u32);

impl std::fmt::Display for OutOfTicks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "out of ticks after {}", self.0)
    }
}

impl std::error::Error for OutOfTicks {}

/// Sends a tick for each `Next`; starts with the first number; ends with the count.
#[triune::endpoint]
async fn ticker(cx: Context<Started<u32>, Out<Tick>, In<Control>>, first: u32) -> Result<u32> {
    let mut dialog = cx.started(first).await?;
    let mut n = first;
    while let Some(Control::Next) = dialog.recv().await? {
        dialog.send(Tick { n }).await?;
        n += 1;
    }
    Ok(n - first)
}

/// Sends until it is told to stop, or nobody listens.
#[triune::endpoint]
async fn flood(cx: Context<Started<()>, Out<u32>, In<()>>, count: u32) -> Result<u32> {
    let mut dialog = cx.started(()).await?;
    for n in 0..count {
        dialog.send(n).await?;
    }
    Ok(count)
}

/// Fails after some items.
#[triune::endpoint]
async fn run_dry(cx: Context<Started<()>, Out<u32>, In<()>>, after: u32) -> Result<(), OutOfTicks> {
    let Ok(mut dialog) = cx.started(()).await else { return Err(OutOfTicks(0)) };
    for n in 0..after {
        if dialog.send(n).await.is_err() {
            return Err(OutOfTicks(n));
        }
    }
    Err(OutOfTicks(after))
}

#[triune::endpoint]
async fn explode_in_dialog(cx: Context<Started<()>, Out<()>, In<()>>) {
    let _dialog = cx.started(()).await;
    panic!("in the middle");
}

#[triune::endpoint]
async fn never_starts(cx: Context<Started<()>, Out<()>, In<()>>, fail: bool) -> Result<(), OutOfTicks> {
    drop(cx);
    if fail { Err(OutOfTicks(0)) } else { Ok(()) }
}

/// Waits in its dialog to be cancelled, cleans up, and tells why.
#[triune::endpoint]
async fn wait_in_dialog(cx: Context<Started<()>, Out<()>, In<()>>, bell: PathBuf) -> Result {
    let mut dialog = cx.started(()).await?;
    let end = dialog.recv().await;
    match &end {
        Ok(item) => ring(&bell, &format!("{item:?}")),
        Err(DialogError::Cancelled(cancelled)) => {
            shield_unbounded(tokio::task::yield_now()).await;
            let reason = cancelled.reason();
            ring(&bell, &format!("{:?}|{}|{}", reason.cause(), reason.message(), reason.by().unwrap_or("?")));
        }
        Err(error) => ring(&bell, &format!("{error:?}")),
    }
    end?;
    Ok(())
}

/// Answers a cancel with an error of its own.
#[triune::endpoint]
async fn fail_on_cancel(cx: Context<Started<()>, Out<()>, In<()>>) -> Result<(), OutOfTicks> {
    if let Ok(mut dialog) = cx.started(()).await {
        drop(dialog.recv().await);
    }
    Err(OutOfTicks(7))
}

#[triune::endpoint]
async fn return_at_once(cx: Context<Started<u8>, Out<u8>, In<u8>>) -> Result<String> {
    let mut dialog = cx.started(1).await?;
    dialog.send(2).await?;
    Ok("done".to_owned())
}

#[triune::endpoint]
async fn park_in_dialog(cx: Context<Started<()>, Out<()>, In<()>>, bell: PathBuf) -> Result {
    let _dialog = cx.started(()).await?;
    let _gone = RingOnDrop(bell, "dropped");
    std::future::pending().await
}

/// Sends without taking: for windows.
#[triune::endpoint]
async fn takes_one(cx: Context<Started<()>, Out<()>, In<u32>>, bell: PathBuf) -> Result<u32> {
    let mut dialog = cx.started(()).await?;
    // Not before the other side has found the window full.
    let gate = tokio::net::UnixDatagram::bind(&bell)?;
    gate.recv(&mut [0; 8]).cancellable().await??;
    let mut sum = 0;
    while let Some(n) = dialog.recv().await? {
        sum += n;
    }
    Ok(sum)
}

#[triune::test]
async fn items_flow_both_ways_between_a_started_value_and_a_result() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("ticker").start().await?;
        let (seen, count) = actor
            .context(ticker::with(7), async |first, mut dialog| {
                let mut seen = vec![first];
                for _ in 0..1000 {
                    dialog.send(Control::Next).await?;
                    let tick = dialog.recv().await?.expect("a tick for each `Next`");
                    seen.push(tick.n);
                }
                dialog.send(Control::Stop).await?;
                assert_eq!(dialog.recv().await?, None);
                Ok(seen)
            })
            .await?;
        assert_eq!(seen[..3], [7, 7, 8]);
        assert_eq!((seen.len(), count), (1001, 1000));
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn the_end_of_the_block_ends_the_endpoints_receiving() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("ticker").start().await?;
        let ((), count) = actor
            .context(ticker::with(0), async |_, mut dialog| {
                dialog.send(Control::Next).await?;
                dialog.recv().await?;
                Ok(())
            })
            .await?;
        assert_eq!(count, 1);
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn both_halves_work_in_two_tasks_and_close_separately() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("ticker").start().await?;
        let (sum, count) = actor
            .context(ticker::with(1), async |_, dialog| {
                let (mut sender, mut receiver) = dialog.split();
                nursery(async |inner| {
                    inner.spawn(async move {
                        for _ in 0..500 {
                            sender.send(Control::Next).await?;
                        }
                        sender.close();
                        Ok(())
                    });
                    let mut sum = 0;
                    while let Some(tick) = receiver.recv().await? {
                        sum += tick.n;
                    }
                    Ok(sum)
                })
                .await
            })
            .await?;
        assert_eq!((sum, count), (500 * 501 / 2, 500));
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn what_the_block_leaves_unread_does_not_hold_up_the_endpoint() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("flood").start().await?;
        // Many windows full.
        let (first, count) =
            actor.context(flood::with(10_000), async |(), mut dialog| Ok(dialog.recv().await?)).await?;
        assert_eq!((first, count), (Some(0), 10_000));
        // The receiving half is dropped while the block goes on.
        let ((), count) = actor
            .context(flood::with(10_000), async |(), dialog| {
                drop(dialog.split().1);
                Ok(())
            })
            .await?;
        assert_eq!(count, 10_000);
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn an_endpoints_error_cancels_the_block_and_is_returned_typed() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("dry").start().await?;
        let error = actor
            .context(run_dry::with(3), async |(), _dialog| {
                let end = std::future::pending::<()>().cancellable().await;
                let reason = end.unwrap_err().reason().clone();
                assert_eq!(*reason.cause(), triune::Cause::Peer);
                assert_eq!(reason.by(), Some("/dry"));
                assert!(reason.message().contains("`run_dry` in actor `/dry`"), "{reason}");
                assert!(reason.message().ends_with("failed: out of ticks after 3"), "{reason}");
                Ok(())
            })
            .await
            .unwrap_err();
        let error = error.downcast::<CallError<OutOfTicks>>().unwrap();
        assert_eq!(error.app(), Some(&OutOfTicks(3)));
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn items_before_an_endpoints_error_may_be_read_and_its_error_is_not_doubled() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("dry").start().await?;
        for _ in 0..20 {
            let error = actor
                .context(run_dry::with(3), async |(), mut dialog| {
                    while dialog.recv().await?.is_some() {}
                    Ok(())
                })
                .await
                .unwrap_err();
            let error = error.downcast::<CallError<OutOfTicks>>().unwrap();
            assert_eq!(error.app(), Some(&OutOfTicks(3)));
        }
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn an_endpoints_panic_ends_the_block() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("bomb").start().await?;
        let error = actor
            .context(explode_in_dialog::with(), async |(), mut dialog| Ok(dialog.recv().await?))
            .await
            .unwrap_err();
        let error = error.downcast_ref::<CallError>().unwrap();
        assert!(error.is_panic());
        assert_eq!(error.report().unwrap().message, "in the middle");
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn an_endpoint_that_returns_without_started_is_a_protocol_error_and_one_that_fails_is_not() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("shy").start().await?;
        let open = async |fail| {
            let end =
                actor.context(never_starts::with(fail), async |(), _| -> Result { unreachable!() }).await;
            end.unwrap_err().downcast::<CallError<OutOfTicks>>().unwrap()
        };
        let error = open(false).await;
        assert!(matches!(error, CallError::Protocol(_)), "{error:?}");
        assert!(error.report().unwrap().message.contains("call `started`"), "{error:?}");
        let error = open(true).await;
        assert_eq!(error.app(), Some(&OutOfTicks(0)));
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn an_endpoint_that_returns_early_leaves_the_block_to_end_by_itself() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("brief").start().await?;
        let (seen, result) = actor
            .context(return_at_once::with(), async |first, mut dialog| {
                let mut seen = vec![first];
                while let Some(item) = dialog.recv().await? {
                    seen.push(item);
                }
                // Nobody takes it any more; that is no failure of anybody.
                let late = dialog.send(9).await;
                assert!(late.as_ref().is_err_and(DialogError::is_closed), "{late:?}");
                assert_eq!(dialog.recv().await?, None);
                Ok(seen)
            })
            .await?;
        assert_eq!((seen, result.as_str()), (vec![1, 2], "done"));
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn a_blocks_error_cancels_the_endpoint_with_its_text_and_comes_out_alone() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    nursery(async |n| {
        let actor = n.actor("waiter").start().await?;
        let error = actor
            .context(wait_in_dialog::with(bell.path()), async |(), _dialog| {
                Err::<(), _>(Error::new(OutOfTicks(5)).context("counting"))
            })
            .await
            .unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&OutOfTicks(5)));
        assert!(error.downcast_ref::<BothFailed>().is_none());
        // Left before the context returned: it has waited for the endpoint's end.
        let seen = bell.waiting().unwrap();
        assert_eq!(seen, "Peer|the caller's block failed: counting: out of ticks after 5|/");
        Ok(())
    })
    .await
    .unwrap();
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn a_cancel_from_outside_ends_both_halves_with_its_reason() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    nursery(async |n| {
        let actor = n.actor("waiter").start().await?;
        let scope = CancelScope::new();
        let handle = scope.clone();
        let end = scope
            .run(actor.context(wait_in_dialog::with(bell.path()), async |(), mut dialog| {
                handle.cancel("no longer wanted");
                Ok(dialog.recv().await?)
            }))
            .await;
        let Outcome::Done(Err(error)) = end else { panic!("{end:?}") };
        assert_eq!(error.as_cancelled().unwrap().reason().message(), "no longer wanted");
        assert_eq!(bell.waiting().as_deref(), Some("Peer|no longer wanted|/"));
        Ok(())
    })
    .await
    .unwrap();
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn a_block_in_a_foreign_await_is_cut_off_and_its_endpoint_cancelled() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    nursery(async |n| {
        let actor = n.actor("waiter").start().await?;
        let scope = CancelScope::new();
        let handle = scope.clone();
        let end = scope
            .run(actor.context(wait_in_dialog::with(bell.path()), async |(), _dialog| {
                handle.cancel("cut it off");
                std::future::pending::<Result>().await
            }))
            .await;
        let Outcome::Done(Err(error)) = end else { panic!("{end:?}") };
        assert!(error.is_cancelled(), "{error:?}");
        assert_eq!(bell.waiting().as_deref(), Some("Peer|cut it off|/"));
        Ok(())
    })
    .await
    .unwrap();
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn two_failures_of_one_dialog_are_both_kept() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("stubborn").start().await?;
        let error = actor
            .context(fail_on_cancel::with(), async |(), _| Err::<(), _>(Error::msg("the block's own")))
            .await
            .unwrap_err();
        let both = error.downcast_ref::<BothFailed>().unwrap();
        assert_eq!(both.first().to_string(), "the block's own");
        let second = both.second().downcast_ref::<CallError<OutOfTicks>>().unwrap();
        assert_eq!(second.app(), Some(&OutOfTicks(7)));
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn a_dropped_context_cancels_its_endpoint() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    nursery(async |n| {
        let actor = n.actor("parker").start().await?;
        let started = tokio::sync::Notify::new();
        let context = actor.context(park_in_dialog::with(bell.path()), async |(), _dialog| {
            started.notify_one();
            std::future::pending::<Result>().await
        });
        tokio::select! {
            end = context => panic!("{end:?}"),
            () = started.notified() => {}
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
async fn a_cancelled_receive_loses_no_item() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("flood").start().await?;
        let (seen, _) = actor
            .context(flood::with(200), async |(), mut dialog| {
                let mut seen = Vec::new();
                loop {
                    let scope = CancelScope::new();
                    let handle = scope.clone();
                    // Cancelled as soon as it has to wait.
                    let waiting = async {
                        tokio::task::yield_now().await;
                        handle.cancel("looked once");
                    };
                    let (end, ()) = tokio::join!(scope.run(dialog.recv()), waiting);
                    match end {
                        Outcome::Done(Ok(Some(item))) => seen.push(item),
                        Outcome::Done(Ok(None)) => break Ok(seen),
                        Outcome::Done(Err(error)) if !error.is_cancelled() => break Err(error.into()),
                        Outcome::Done(Err(_)) | Outcome::Cancelled(_) => tokio::task::yield_now().await,
                    }
                }
            })
            .await?;
        assert_eq!(seen, (0..200).collect::<Vec<_>>());
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn try_send_gives_the_item_back_when_the_window_is_full_and_a_cancel_still_passes() {
    let guard = LeakGuard::new();
    let bell = Bell::new();
    let gate = bell.path().with_file_name("gate");
    nursery(async |n| {
        let actor = n.actor("one").start().await?;
        let (sent, sum) = actor
            .context(takes_one::with(gate.clone()), async |(), mut dialog| {
                let mut sent = 0;
                let refused = loop {
                    match dialog.try_send(sent) {
                        Ok(()) => sent += 1,
                        Err(TrySendError::Full(item)) => break item,
                        Err(error) => return Err(error.into()),
                    }
                };
                assert_eq!(refused, sent);
                // A send that waits for room is cancelled like any other await.
                let scope = CancelScope::new();
                scope.cancel("not now");
                let end = scope.run(dialog.send(1_000_000)).await;
                assert!(matches!(&end, Outcome::Done(Err(error)) if error.is_cancelled()), "{end:?}");
                ring(&gate, "go");
                dialog.send(sent).await?;
                Ok(sent)
            })
            .await?;
        assert!(sent >= 1, "{sent}");
        assert_eq!(sum, (0..=sent).sum::<u32>());
        Ok(())
    })
    .await
    .unwrap();
    drop(bell);
    guard.settle().await;
}

#[triune::test]
async fn many_dialogs_run_side_by_side_in_parallel_tasks() {
    many_dialogs().await;
}

#[triune::test(flavor = "multi_thread")]
async fn many_dialogs_run_side_by_side_in_parallel_tasks_on_many_threads() {
    many_dialogs().await;
}

async fn many_dialogs() {
    let guard = LeakGuard::new();
    nursery(async |n| {
        let actor = n.actor("ticker").start().await?;
        let dialogs: Vec<_> = (0..20)
            .map(|at| {
                let actor = actor.clone();
                n.spawn_task(async move {
                    let ((), count) = actor
                        .context(ticker::with(at), async |first, mut dialog| {
                            assert_eq!(first, at);
                            for n in 0..at {
                                dialog.send(Control::Next).await?;
                                assert_eq!(dialog.recv().await?, Some(Tick { n: at + n }));
                            }
                            Ok(())
                        })
                        .await?;
                    Ok(count)
                })
            })
            .collect();
        for (dialog, at) in dialogs.into_iter().zip(0..) {
            assert_eq!(dialog.await?, at);
        }
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}
