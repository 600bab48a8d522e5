//! Models of the hand-over between threads, under a checker that decides every interleaving.
//!
//! What is handed over while its receiver is cancelled or dropped must end in exactly one place; a lost hand-over shows
//! as a deadlock or a wrong count. Run with `cargo xtask model [ROUNDS]`.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use shuttle::future::block_on;
use shuttle::thread;

use super::{Condition, Event, Mutex, RecvError, Semaphore, channel};
use crate::CancelScope;

/// Explores so many random schedules; `TRIUNE_MODEL_ROUNDS` sets the number.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let rounds = std::env::var("TRIUNE_MODEL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    shuttle::check_random(model, rounds.unwrap_or(2000));
}

fn cancel_elsewhere(scope: &CancelScope) -> thread::JoinHandle<()> {
    let scope = scope.clone();
    thread::spawn(move || scope.cancel("model"))
}

/// Polls once and drops.
fn touch<F: Future>(future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[test]
fn an_event_is_not_missed() {
    explore(|| {
        let event = Event::new();
        let own = event.clone();
        let setter = thread::spawn(move || own.set());
        block_on(event.wait()).unwrap();
        setter.join().unwrap();
        assert_eq!(event.statistics().waiting, 0);
    });
}

#[test]
fn a_permit_that_meets_a_cancel_is_acquired_or_stays() {
    explore(|| {
        let (semaphore, scope) = (Semaphore::new(0), CancelScope::new());
        let own = semaphore.clone();
        let releaser = thread::spawn(move || own.release().unwrap());
        let canceller = cancel_elsewhere(&scope);
        let acquired = block_on(scope.run(semaphore.acquire())).done().expect("it unwinds").is_ok();
        releaser.join().unwrap();
        canceller.join().unwrap();
        // The permit is back already where it was acquired.
        assert_eq!((semaphore.permits(), semaphore.statistics().waiting), (1, 0), "acquired: {acquired}");
    });
}

#[test]
fn a_permit_that_meets_a_drop_is_handed_on() {
    explore(|| {
        let semaphore = Semaphore::new(0);
        let waiters: Vec<_> = (0..2)
            .map(|dropped| {
                let own = semaphore.clone();
                thread::spawn(move || {
                    if dropped == 0 {
                        drop(touch(own.acquire()));
                    } else {
                        block_on(own.acquire()).unwrap().forget();
                    }
                })
            })
            .collect();
        semaphore.release().unwrap();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert_eq!((semaphore.permits(), semaphore.statistics().waiting), (0, 0));
    });
}

#[test]
fn a_value_that_meets_a_cancel_is_received_or_comes_back() {
    for capacity in [0, 1] {
        explore(move || {
            let ((sender, receiver), scope) = (channel(capacity), CancelScope::new());
            let sent = thread::spawn(move || block_on(sender.send(1)).is_ok());
            let canceller = cancel_elsewhere(&scope);
            let first = block_on(scope.run(receiver.recv())).done().expect("it unwinds");
            canceller.join().unwrap();
            match first {
                Ok(value) => {
                    assert_eq!((value, block_on(receiver.recv())), (1, Err(RecvError::EndOfChannel)))
                }
                Err(RecvError::Cancelled(_)) => assert_eq!(block_on(receiver.recv()), Ok(1)),
                Err(error) => panic!("{error}"),
            }
            assert!(sent.join().unwrap(), "somebody received it");
        });
    }
}

#[test]
fn a_value_that_meets_a_drop_goes_to_the_next() {
    explore(|| {
        let (sender, receiver) = channel(0);
        let other = receiver.clone();
        let dropped = thread::spawn(move || touch(other.recv()));
        let sent = thread::spawn(move || block_on(sender.send(1)).is_ok());
        let received = block_on(receiver.recv());
        let taken = matches!(dropped.join().unwrap(), Some(Ok(1)));
        assert!(sent.join().unwrap());
        assert_eq!(received.is_ok(), !taken, "received once");
    });
}

#[test]
fn closing_meets_waiting() {
    explore(|| {
        let (sender, receiver) = channel::<u8>(0);
        let own = Arc::new(receiver);
        let closer = {
            let own = Arc::clone(&own);
            thread::spawn(move || own.close())
        };
        let refused = thread::spawn(move || block_on(sender.send(1)).is_err());
        assert!(matches!(block_on(own.recv()), Ok(1) | Err(RecvError::Closed)));
        closer.join().unwrap();
        refused.join().unwrap();
    });
}

#[test]
fn a_notification_that_meets_a_cancel_leaves_the_lock_free() {
    // Nobody drives it: the wait for the lock has a limit, and that needs a timer.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    explore(move || {
        let _entered = runtime.enter();
        let shared = Arc::new((Mutex::new(false), Condition::new()));
        let scope = CancelScope::new();
        let own = Arc::clone(&shared);
        let notifier = thread::spawn(move || {
            let mut guard = block_on(own.0.lock()).unwrap();
            *guard = true;
            own.1.notify_one(&guard);
        });
        let canceller = cancel_elsewhere(&scope);
        let waited = block_on(scope.run(async {
            let guard = shared.0.lock().await?;
            shared.1.wait_while(guard, |notified| !*notified).await.map(|guard| *guard)
        }));
        assert!(matches!(waited.done().expect("it unwinds"), Ok(true) | Err(_)));
        notifier.join().unwrap();
        canceller.join().unwrap();
        let statistics = shared.0.statistics();
        assert!(!statistics.locked && statistics.waiting == 0);
        assert_eq!(shared.1.statistics().waiting, 0);
    });
}
