//! The memory channel. Ends are in an `Arc` where one end is used by two tasks, which is not the same as a clone.

use std::sync::Arc;

use futures_util::poll;
use triune_scope::sync::{
    Receiver, RecvError, SendErrorKind, Sender, TryRecvError, TrySendError, channel, unbounded_channel,
};
use triune_scope::{CancelScope, Child, Nursery, nursery};

use crate::support::{cases, go, until};

fn shared(capacity: usize) -> (Arc<Sender<u32>>, Arc<Receiver<u32>>) {
    let (sender, receiver) = channel(capacity);
    (Arc::new(sender), Arc::new(receiver))
}

/// Starts a child that sends, and returns when it waits.
async fn blocked_send(
    n: &Nursery<'_>,
    sender: &Arc<Sender<u32>>,
    value: u32,
) -> Child<Option<SendErrorKind>> {
    let before = sender.statistics().waiting_senders;
    let own = sender.clone();
    let child = go(n, async move { Ok(own.send(value).await.err().map(|error| error.kind().clone())) });
    until(|| sender.statistics().waiting_senders > before).await;
    child
}

/// Starts a child that receives, and returns when it waits.
async fn blocked_recv(n: &Nursery<'_>, receiver: &Arc<Receiver<u32>>) -> Child<Result<u32, RecvError>> {
    let before = receiver.statistics().waiting_receivers;
    let own = receiver.clone();
    let child = go(n, async move { Ok(own.recv().await) });
    until(|| receiver.statistics().waiting_receivers > before).await;
    child
}

cases! {
    // Trio M01
    async fn a_buffer_keeps_the_order_and_its_bound() {
        let (sender, receiver) = channel(2);
        sender.try_send(1).unwrap();
        sender.send(2).await.unwrap();
        assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
        assert_eq!(receiver.recv().await, Ok(1));
        assert_eq!(receiver.try_recv(), Ok(2));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }

    // Trio M03
    async fn a_closed_receiver_receives_nothing() {
        let (sender, receiver) = channel::<u32>(1);
        sender.try_send(1).unwrap();
        receiver.close();
        receiver.close();
        assert!(receiver.is_closed());
        assert_eq!(receiver.recv().await, Err(RecvError::Closed));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(receiver.recv_or_end().await, Ok(None));
    }

    // Trio M04
    async fn a_cancelled_receiver_is_no_ghost() {
        let (sender, receiver) = shared(1);
        nursery(async |n| {
            let child = blocked_recv(&n, &receiver).await;
            child.cancel("time is up");
            assert!(matches!(child.await?, Err(RecvError::Cancelled(_))));
            assert_eq!(receiver.statistics().waiting_receivers, 0);
            sender.try_send(1)?;
            assert_eq!(receiver.try_recv(), Ok(1));
            Ok(())
        }).await.unwrap();
    }

    // Trio M06
    async fn consumers_share_the_work() {
        let (sender, receiver) = channel(1);
        nursery(async |n| {
            let consumers: Vec<_> = (0..5).map(|_| {
                let receiver = receiver.clone();
                go(&n, async move {
                    let mut got = 0;
                    while let Some(()) = receiver.recv_or_end().await? {
                        got += 1;
                    }
                    Ok(got)
                })
            }).collect();
            until(|| receiver.statistics().waiting_receivers == 5).await;
            for _ in 0..10 {
                sender.send(()).await?;
            }
            drop(sender);
            let mut sum = 0;
            for consumer in consumers {
                let got = consumer.await?;
                assert!(got >= 1);
                sum += got;
            }
            assert_eq!(sum, 10);
            Ok(())
        }).await.unwrap();
    }

    // Trio M07
    async fn closing_a_sender_fails_its_own_waits_and_ends_the_channel() {
        let (sender, receiver) = shared(0);
        nursery(async |n| {
            let send = blocked_send(&n, &sender, 1).await;
            sender.close();
            assert_eq!(send.await?, Some(SendErrorKind::Closed));
            assert_eq!(sender.send(2).await.unwrap_err().kind(), &SendErrorKind::Closed);
            assert_eq!(receiver.recv().await, Err(RecvError::EndOfChannel));
            assert_eq!(receiver.try_recv(), Err(TryRecvError::EndOfChannel));
            Ok(())
        }).await.unwrap();
        let (sender, receiver) = shared(0);
        nursery(async |n| {
            let recv = blocked_recv(&n, &receiver).await;
            drop(sender);
            assert_eq!(recv.await?, Err(RecvError::EndOfChannel));
            Ok(())
        }).await.unwrap();
    }

    // Trio M08
    async fn closing_the_last_receiver_breaks_the_channel() {
        let (sender, receiver) = shared(0);
        nursery(async |n| {
            let send = blocked_send(&n, &sender, 1).await;
            receiver.close();
            assert_eq!(send.await?, Some(SendErrorKind::Broken));
            for value in 2..4 {
                assert_eq!(sender.send(value).await.unwrap_err().kind(), &SendErrorKind::Broken);
                assert_eq!(sender.try_send(value), Err(TrySendError::Broken(value)));
            }
            Ok(())
        }).await.unwrap();
    }

    // Trio M09
    async fn closing_a_receiver_fails_its_own_waits() {
        let (_sender, receiver) = shared(0);
        nursery(async |n| {
            let recv = blocked_recv(&n, &receiver).await;
            receiver.close();
            assert_eq!(recv.await?, Err(RecvError::Closed));
            assert_eq!(receiver.recv().await, Err(RecvError::Closed));
            Ok(())
        }).await.unwrap();
    }

    // Trio M10, M23
    async fn a_channel_lives_as_long_as_one_receiver() {
        let (sender, receiver) = channel(5);
        let (second, third) = (receiver.clone(), receiver.clone());
        receiver.close();
        drop(second);
        assert!(receiver.clone().is_closed(), "a clone of a closed end is closed");
        assert_eq!(sender.statistics().open_receivers, 1);
        sender.try_send(1).unwrap();
        drop(third);
        assert_eq!(sender.try_send(2), Err(TrySendError::Broken(2)));
        assert_eq!(sender.statistics().buffered, 0);
    }

    // Trio M11
    async fn closing_one_sender_leaves_the_others_waiting() {
        let (one, receiver) = shared(0);
        let two = Arc::new(Sender::clone(&one));
        nursery(async |n| {
            let send_one = blocked_send(&n, &one, 1).await;
            let send_two = blocked_send(&n, &two, 2).await;
            one.close();
            assert_eq!(send_one.await?, Some(SendErrorKind::Closed));
            assert_eq!(receiver.try_recv(), Ok(2));
            assert_eq!(send_two.await?, None);
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            Ok(())
        }).await.unwrap();
    }

    // Trio M12
    async fn closing_one_receiver_leaves_the_others_waiting() {
        let (sender, one) = shared(0);
        let two = Arc::new(Receiver::clone(&one));
        nursery(async |n| {
            let recv_one = blocked_recv(&n, &one).await;
            let recv_two = blocked_recv(&n, &two).await;
            one.close();
            assert_eq!(recv_one.await?, Err(RecvError::Closed));
            sender.try_send(7)?;
            assert_eq!(recv_two.await?, Ok(7));
            Ok(())
        }).await.unwrap();
    }

    // Trio M13
    async fn an_unbounded_channel_always_has_room() {
        let (sender, receiver) = unbounded_channel();
        for i in 0..10 {
            sender.try_send(i).unwrap();
        }
        assert_eq!((sender.statistics().buffered, sender.statistics().capacity), (10, None));
        drop(sender);
        for i in 0..10 {
            assert_eq!(receiver.recv().await, Ok(i), "what was sent before the end is received");
        }
        assert_eq!(receiver.recv().await, Err(RecvError::EndOfChannel));
    }

    // Trio M14
    async fn the_statistics_are_exact() {
        let (sender, receiver) = shared(2);
        let counts = || {
            let now = receiver.statistics();
            (now.buffered, now.open_senders, now.open_receivers, now.waiting_senders, now.waiting_receivers)
        };
        assert_eq!((counts(), receiver.statistics().capacity), ((0, 1, 1, 0, 0), Some(2)));
        sender.try_send(0).unwrap();
        sender.try_send(1).unwrap();
        let clones = (Sender::clone(&sender), Receiver::clone(&receiver));
        assert_eq!(counts(), (2, 2, 2, 0, 0));
        drop(clones);
        nursery(async |n| {
            let first = blocked_send(&n, &sender, 2).await;
            let second = blocked_send(&n, &sender, 3).await;
            assert_eq!(counts(), (2, 1, 1, 2, 0));
            second.cancel("not this one");
            until(|| counts().3 == 1).await;
            assert_eq!(receiver.try_recv(), Ok(0));
            assert_eq!(counts(), (2, 1, 1, 0, 0), "the waiting one got in at once");
            assert_eq!(first.await?, None);
            assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(1), Ok(2)));
            let recv = blocked_recv(&n, &receiver).await;
            assert_eq!(counts(), (0, 1, 1, 0, 1));
            sender.try_send(4)?;
            assert_eq!(counts(), (0, 1, 1, 0, 0), "handed over at once");
            assert_eq!(recv.await?, Ok(4));
            Ok(())
        }).await.unwrap();
    }

    // Trio M17
    async fn without_a_buffer_both_sides_must_meet() {
        let (sender, receiver) = shared(0);
        assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        nursery(async |n| {
            let send = blocked_send(&n, &sender, 1).await;
            assert_eq!(receiver.recv().await, Ok(1));
            assert_eq!(send.await?, None);
            let recv = blocked_recv(&n, &receiver).await;
            sender.send(2).await?;
            assert_eq!(recv.await?, Ok(2));
            Ok(())
        }).await.unwrap();
    }

    // Trio M18
    async fn waiting_senders_keep_their_order() {
        let (sender, receiver) = shared(1);
        sender.try_send(0).unwrap();
        nursery(async |n| {
            for value in 1..4 {
                blocked_send(&n, &sender, value).await;
            }
            for value in 0..4 {
                assert_eq!(receiver.try_recv(), Ok(value));
            }
            Ok(())
        }).await.unwrap();
    }

    // Trio M21
    async fn a_cancelled_rendezvous_gives_the_value_back() {
        let (sender, receiver) = shared(0);
        let scope = CancelScope::new();
        nursery(async |n| {
            let (own, inner) = (sender.clone(), scope.clone());
            let send = go(&n, async move { Ok(inner.run(async { own.send(5).await }).await) });
            until(|| sender.statistics().waiting_senders == 1).await;
            scope.cancel("nobody comes");
            let error = send.await?.done().expect("it unwinds").expect_err("it was not sent");
            assert!(matches!(error.kind(), SendErrorKind::Cancelled(_)));
            assert_eq!(error.into_value(), 5);
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            assert_eq!(receiver.statistics().waiting_senders, 0);
            Ok(())
        }).await.unwrap();
    }

    // Trio M21
    async fn a_value_handed_to_a_dropped_receive_goes_to_the_next() {
        let (sender, receiver) = channel(0);
        let mut first = Box::pin(receiver.recv());
        let mut second = Box::pin(receiver.recv());
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        sender.try_send(1).unwrap();
        drop(first);
        assert_eq!(second.await, Ok(1));
        let mut only = Box::pin(receiver.recv());
        assert!(poll!(&mut only).is_pending());
        sender.try_send(2).unwrap();
        drop(only);
        assert_eq!(receiver.statistics().buffered, 1, "kept for whoever comes");
        assert_eq!(receiver.try_recv(), Ok(2));
    }

    async fn a_channel_has_not_ended_while_a_value_may_come_back() {
        for dropped in [true, false] {
            let (sender, receiver) = channel(0);
            let mut first = Box::pin(receiver.recv());
            let mut second = Box::pin(receiver.recv());
            assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
            sender.try_send(1).unwrap();
            drop(sender);
            assert!(poll!(&mut second).is_pending());
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            if dropped {
                drop(first);
                assert_eq!(second.await, Ok(1));
            } else {
                assert_eq!(first.await, Ok(1));
                assert_eq!(second.await, Err(RecvError::EndOfChannel));
            }
            assert_eq!(receiver.recv().await, Err(RecvError::EndOfChannel));
        }
    }

    async fn an_error_of_a_cancelled_send_is_a_cancel() {
        let (sender, _receiver) = channel(0);
        let cancelled = nursery(async |n| {
            n.cancel("stop");
            sender.send("text").await?;
            Ok(())
        });
        assert!(cancelled.await.unwrap_err().is_cancelled());
    }

    async fn nothing_is_lost_between_many_senders_and_receivers_and_cancels() {
        const SENDERS: usize = 4;
        const EACH: usize = 500;
        for capacity in [0, 1, 16] {
            let (sender, receiver) = channel(capacity);
            let received = nursery(async |n| {
                let receivers: Vec<_> = (0..3).map(|_| {
                    let receiver = receiver.clone();
                    go(&n, async move {
                        let mut got = Vec::new();
                        loop {
                            let scope = CancelScope::new();
                            let again = scope.clone();
                            // Every receive is cancelled sooner or later; what it says then must be true.
                            let turn = async {
                                let cancel = async {
                                    tokio::task::yield_now().await;
                                    again.cancel("race");
                                };
                                tokio::join!(receiver.recv(), cancel).0
                            };
                            match scope.run(turn).await.done().expect("it unwinds") {
                                Ok(value) => got.push(value),
                                Err(RecvError::Cancelled(_)) => tokio::task::yield_now().await,
                                Err(_) => return Ok(got),
                            }
                        }
                    })
                }).collect();
                for i in 0..SENDERS {
                    let sender = sender.clone();
                    go(&n, async move {
                        for j in 0..EACH {
                            sender.send(i * EACH + j).await?;
                        }
                        Ok(())
                    });
                }
                drop((sender, receiver));
                let mut all = Vec::new();
                for receiver in receivers {
                    all.extend(receiver.await?);
                }
                Ok(all)
            });
            let mut received = received.await.unwrap();
            received.sort_unstable();
            assert!(received.into_iter().eq(0..SENDERS * EACH));
        }
    }
}

// Trio C22: one thread, because the hand-over must come before the cancel and the receiver's next turn after both.
#[tokio::test]
async fn a_value_that_was_handed_over_before_the_cancel_is_received() {
    let (sender, receiver) = channel(0);
    let scope = CancelScope::new();
    let mut waiting = Box::pin(scope.run(receiver.recv()));
    assert!(poll!(&mut waiting).is_pending());
    sender.try_send(3).unwrap();
    scope.cancel("too late");
    assert_eq!(waiting.await.done(), Some(Ok(3)));
}

// Trio C22, the other end.
#[tokio::test]
async fn a_value_that_was_taken_before_the_cancel_is_sent() {
    let (sender, receiver) = channel(0);
    let scope = CancelScope::new();
    let mut waiting = Box::pin(scope.run(sender.send(3)));
    assert!(poll!(&mut waiting).is_pending());
    assert_eq!(receiver.try_recv(), Ok(3));
    scope.cancel("too late");
    assert_eq!(waiting.await.done(), Some(Ok(())));
}

#[tokio::test]
async fn a_value_that_comes_back_from_a_dropped_wait_is_the_first_again() {
    let (sender, receiver) = channel(2);
    let mut waiting = Box::pin(receiver.recv());
    assert!(poll!(&mut waiting).is_pending());
    sender.try_send(1).unwrap();
    sender.try_send(2).unwrap();
    drop(waiting);
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(1), Ok(2)));
}

#[tokio::test]
async fn a_value_that_comes_back_to_no_receiver_is_dropped() {
    let (sender, receiver) = channel(2);
    let value = Arc::new(());
    let mut waiting = Box::pin(receiver.recv());
    assert!(poll!(&mut waiting).is_pending());
    sender.try_send(Arc::clone(&value)).unwrap();
    receiver.close();
    drop(waiting);
    assert_eq!((Arc::strong_count(&value), sender.statistics().open_receivers), (1, 0));
}
