//! Streams, which are generators elsewhere: an async block that sends into a channel without a buffer, in a nursery with its consumer.

use futures_util::{StreamExt as _, TryStreamExt as _, poll};
use triune_scope::sync::{TryRecvError, channel};
use triune_scope::{CancelScope, Error, checkpoint, is_cancelled, nursery};

use crate::support::{cases, go, until};

cases! {
    // Trio A01
    async fn a_stream_ends_with_its_producer() {
        let (sender, mut receiver) = channel(0);
        nursery(async |n| {
            go(&n, async move { Ok(sender.send(1).await?) });
            assert_eq!(receiver.try_next().await?, Some(1));
            assert_eq!(receiver.try_next().await?, None);
            assert!(receiver.next().await.is_none(), "for good");
            Ok(())
        }).await.unwrap();
    }

    // Trio A02
    async fn a_producer_whose_consumer_is_gone_stops() {
        let (sender, receiver) = channel(0);
        nursery(async |n| {
            let producer = go(&n, async move {
                sender.send(1).await?;
                Ok(sender.send(2).await.is_err())
            });
            assert_eq!(receiver.recv().await?, 1);
            drop(receiver);
            assert!(producer.await?);
            Ok(())
        }).await.unwrap();
    }

    // Trio A04
    async fn what_was_produced_before_a_failure_is_seen() {
        let (sender, receiver) = channel(0);
        let failed = nursery(async |n| {
            go(&n, async move {
                sender.send(1).await?;
                Err::<(), _>(Error::msg("broken"))
            });
            assert_eq!(receiver.recv().await?, 1);
            Ok(())
        });
        assert_eq!(failed.await.unwrap_err().group().unwrap().primary().error().to_string(), "broken");
    }

    // Trio A05
    async fn without_a_buffer_the_producer_does_not_run_ahead() {
        let (sender, receiver) = channel(0);
        nursery(async |n| {
            let producer = go(&n, async move {
                sender.send(1).await?;
                sender.send(2).await?;
                Ok(())
            });
            assert_eq!(receiver.recv().await?, 1);
            until(|| receiver.statistics().waiting_senders == 1).await;
            assert!(!producer.is_finished());
            assert_eq!(receiver.recv().await?, 2);
            Ok(())
        }).await.unwrap();
    }

    // Trio A06
    async fn a_failing_clean_up_of_the_producer_joins_the_consumers_error() {
        let (sender, receiver) = channel(0);
        let failed = nursery(async |n| {
            go(&n, async move {
                sender.send(1).await?;
                let _cut = sender.send(2).await;
                Err::<(), _>(Error::msg("clean-up"))
            });
            assert_eq!(receiver.recv().await?, 1);
            Err::<(), _>(Error::msg("body"))
        });
        let failed = failed.await.unwrap_err();
        let mut members: Vec<_> = failed.group().unwrap().iter().map(|m| m.error().to_string()).collect();
        members.sort();
        assert_eq!(members, ["body", "clean-up"]);
    }

    // Trio A07
    async fn a_scope_that_the_producer_cancels_does_not_reach_the_consumer() {
        let (sender, receiver) = channel(0);
        nursery(async |n| {
            go(&n, async move {
                let scope = CancelScope::new();
                let inside = scope.clone();
                let sent = scope.run(async move {
                    sender.send(1).await?;
                    inside.cancel("the producer's own");
                    sender.send(2).await
                });
                assert!(sent.await.done().is_some_and(|sent| sent.is_err()));
                Ok(())
            });
            assert_eq!(receiver.recv().await?, 1);
            checkpoint().await?;
            assert!(!is_cancelled() && receiver.recv().await.is_err());
            Ok(())
        }).await.unwrap();
    }

    // Trio A10
    async fn a_cancel_lets_the_body_clean_up_and_then_the_producer() {
        let (sender, receiver) = channel(0);
        let order = std::sync::Mutex::new(Vec::new());
        let end = nursery(async |n| {
            let order = &order;
            n.spawn(async move {
                while sender.send(1).await.is_ok() {}
                order.lock().unwrap().push("producer");
                Ok(())
            });
            assert_eq!(receiver.recv().await?, 1);
            n.cancel("enough");
            let cut = checkpoint().await;
            order.lock().unwrap().push("body");
            Ok(cut?)
        });
        assert!(end.or_cancelled().await.unwrap().is_none());
        assert_eq!(order.into_inner().unwrap(), ["body", "producer"]);
    }

    // Trio A09
    async fn receivers_get_values_in_the_order_of_asking() {
        let (sender, receiver) = channel(0);
        let mut first = Box::pin(receiver.recv());
        let mut second = Box::pin(receiver.recv());
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        sender.send(0).await.unwrap();
        sender.send(1).await.unwrap();
        assert_eq!((second.await, first.await), (Ok(1), Ok(0)));
    }

    // Trio A12
    async fn nested_streams_are_independent() {
        let mut pairs = Vec::new();
        let (sender, mut outer) = channel(0);
        nursery(async |n| {
            go(&n, async move {
                for i in 0..2 {
                    sender.send(i).await?;
                }
                Ok(())
            });
            while let Some(i) = outer.try_next().await? {
                let (sender, mut inner) = channel(0);
                go(&n, async move {
                    for j in 0..2 {
                        sender.send(j).await?;
                    }
                    Ok(())
                });
                while let Some(j) = inner.try_next().await? {
                    pairs.push((i, j));
                }
            }
            Ok(())
        }).await.unwrap();
        assert_eq!(pairs, [(0, 0), (0, 1), (1, 0), (1, 1)]);
    }

    async fn a_stream_tells_of_a_cancel_and_goes_on_outside() {
        let (sender, mut receiver) = channel(1);
        let scope = CancelScope::new();
        scope.cancel("now");
        sender.try_send(1).unwrap();
        let seen = scope.run(async { receiver.next().await.is_some_and(|item| item.is_err()) }).await;
        assert_eq!(seen.done(), Some(true));
        assert_eq!(receiver.next().await, Some(Ok(1)));
    }

    async fn a_dropped_stream_hands_its_value_on() {
        let (sender, receiver) = channel(0);
        let mut stream = receiver.clone();
        assert!(poll!(stream.next()).is_pending());
        sender.try_send(1).unwrap();
        drop(stream);
        assert_eq!(receiver.try_recv(), Ok(1));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }
}
