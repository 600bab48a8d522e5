//! The hand-over of the primitives between threads: waits that are dropped, cancelled and served at the same moment.
//!
//! The models in `src/sync/model.rs` explore single hand-overs; this has many at once, on a real runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use triune_scope::sync::{CapacityLimiter, Condition, Mutex, RecvError, Semaphore, channel};
use triune_scope::{CancelScope, Result, checkpoint, nursery};

const WORKERS: usize = 6;
const ROUNDS: usize = 400;

/// Runs `attempt` in tasks of their own; each attempt is dropped or cancelled after a few turns, unless it is done.
async fn storm<F, Fut>(attempt: F)
where
    F: Fn() -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    let storm = nursery(async |n| {
        for worker in 0..WORKERS {
            let attempt = attempt.clone();
            n.spawn_task(async move {
                for round in 0..ROUNDS {
                    let patience = (worker + round) % 4;
                    let scope = CancelScope::new();
                    let turns = async {
                        for _ in 0..patience {
                            tokio::task::yield_now().await;
                        }
                    };
                    if round % 2 == 0 {
                        tokio::select! {
                            biased;
                            () = attempt() => {}
                            () = turns => {}
                        }
                    } else {
                        let cancel = scope.clone();
                        let both = async {
                            tokio::join!(attempt(), async {
                                turns.await;
                                cancel.cancel("race");
                            })
                        };
                        assert!(!scope.run(both).await.is_cancelled(), "an attempt unwinds");
                    }
                }
                Ok(())
            });
        }
        Ok(())
    });
    let ended = tokio::time::timeout(Duration::from_secs(60), storm).await;
    ended.expect("nobody waits for ever").expect("nobody fails");
}

/// Enters, alone, stays for a turn, leaves.
#[derive(Clone, Default)]
struct Room(Arc<AtomicBool>);

impl Room {
    async fn visit(&self) {
        struct Leave<'a>(&'a AtomicBool);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release);
            }
        }
        assert!(!self.0.swap(true, Ordering::AcqRel), "alone");
        let _leave = Leave(&self.0);
        // Not tokio's `yield_now`: a cancelled scope would drop what is parked there.
        let _cancelled = checkpoint().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permit_is_never_lost_nor_doubled() {
    let (semaphore, room) = (Semaphore::new(1), Room::default());
    let own = semaphore.clone();
    storm(move || {
        let (semaphore, room) = (own.clone(), room.clone());
        async move {
            if let Ok(_permit) = semaphore.acquire().await {
                room.visit().await;
            }
        }
    })
    .await;
    assert_eq!((semaphore.permits(), semaphore.statistics().waiting), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_never_lost_nor_doubled() {
    let (limiter, room) = (CapacityLimiter::new(1), Room::default());
    let own = limiter.clone();
    storm(move || {
        let (limiter, room) = (own.clone(), room.clone());
        async move {
            if let Ok(_token) = limiter.acquire().await {
                room.visit().await;
            }
        }
    })
    .await;
    assert_eq!((limiter.borrowed(), limiter.statistics().waiting), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_never_lost_nor_doubled() {
    let (mutex, room) = (Arc::new(Mutex::new(())), Room::default());
    let own = mutex.clone();
    storm(move || {
        let (mutex, room) = (own.clone(), room.clone());
        async move {
            if let Ok(_guard) = mutex.lock().await {
                room.visit().await;
            }
        }
    })
    .await;
    let statistics = mutex.statistics();
    assert!(!statistics.locked && statistics.waiting == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_leaves_its_lock_free() {
    let (shared, room) = (Arc::new((Mutex::new(()), Condition::new())), Room::default());
    let own = shared.clone();
    storm(move || {
        let (shared, room) = (own.clone(), room.clone());
        async move {
            let Ok(guard) = shared.0.lock().await else { return };
            shared.1.notify_one(&guard);
            let (_guard, _waited) = shared.1.wait(guard).await;
            room.visit().await;
        }
    })
    .await;
    let statistics = shared.0.statistics();
    assert!(!statistics.locked && statistics.waiting == 0);
    assert_eq!(shared.1.statistics().waiting, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_never_lost_nor_doubled() {
    for capacity in [0, 3] {
        let (sender, receiver) = channel(capacity);
        let sent = Arc::new(AtomicUsize::new(0));
        let total = sent.clone();
        let received = nursery(async |n| {
            let receivers: Vec<_> = (0..2)
                .map(|_| {
                    let receiver = receiver.clone();
                    n.spawn_task(async move { count(|| receiver.recv()).await })
                })
                .collect();
            drop(receiver);
            storm(move || {
                let (sender, sent) = (sender.clone(), total.clone());
                async move {
                    // Counted before the send: a dropped send may have been served.
                    sent.fetch_add(1, Ordering::AcqRel);
                    let _sent = sender.send(Counted(sent.clone())).await;
                }
            })
            .await;
            let mut received = 0;
            for receiver in receivers {
                received += receiver.await?;
            }
            Ok(received)
        });
        assert!(received.await.expect("nobody fails") > 0);
        assert_eq!(sent.load(Ordering::Acquire), 0, "each value was dropped once, sent or not");
    }
}

/// A value that is counted as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn count<F: Future<Output = Result<Counted, RecvError>>>(recv: impl Fn() -> F) -> Result<usize> {
    let mut received = 0;
    while recv().await.is_ok() {
        received += 1;
    }
    Ok(received)
}
