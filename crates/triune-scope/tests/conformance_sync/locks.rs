//! Event, limiter, semaphore, mutex, condition.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use futures_util::poll;
use triune_scope::sync::{
    AcquireError, Borrower, CapacityLimiter, Condition, Event, Mutex, Semaphore, Token, TryAcquireError,
    WouldBlock, channel,
};
use triune_scope::{CancelScope, checkpoint, current_task_id, nursery};

use crate::support::{cases, go, until};

type Order = Arc<std::sync::Mutex<Vec<usize>>>;

fn names(limiter: &CapacityLimiter) -> Vec<String> {
    limiter.statistics().borrowers.iter().map(ToString::to_string).collect()
}

cases! {
    // Trio L01
    async fn an_event_wakes_everybody_and_stays_set() {
        let event = Event::new();
        nursery(async |n| {
            let children: Vec<_> = (0..2).map(|_| {
                let event = event.clone();
                go(&n, async move { Ok(event.wait().await?) })
            }).collect();
            until(|| event.statistics().waiting == 2).await;
            event.set();
            assert_eq!(event.statistics().waiting, 0, "at once");
            for child in children {
                child.await?;
            }
            event.set();
            assert!(event.is_set());
            Ok(event.wait().await?)
        }).await.unwrap();
    }

    // Trio L02, L03, L05
    async fn a_limiter_knows_its_borrowers() {
        nursery(async |n| {
            let limiter = CapacityLimiter::new(2);
            go(&n, async move {
                let token = limiter.acquire().await?;
                assert_eq!((limiter.borrowed(), limiter.available()), (1, Some(1)));
                assert!(matches!(limiter.acquire().await, Err(AcquireError::AlreadyBorrowed(_))));
                assert!(matches!(limiter.try_acquire(), Err(TryAcquireError::AlreadyBorrowed(_))));
                assert_eq!(limiter.borrowed(), 1);
                assert_eq!(token.borrower().task().map(|task| task.get()), current_task_id());
                let x = limiter.acquire_for("x").await?;
                assert_eq!(limiter.try_acquire_for("y").err(), Some(TryAcquireError::WouldBlock));
                drop(token);
                assert_eq!(names(&limiter), ["x"]);
                let borrower = x.forget();
                assert_eq!(names(&limiter), ["x"]);
                assert_eq!(limiter.release_for(&borrower), Ok(()));
                assert!(limiter.release_for(&borrower).is_err());
                assert!(limiter.release_for(&Borrower::current()).is_err());
                assert_eq!(limiter.borrowed(), 0);
                Ok(())
            }).await
        }).await.unwrap();
    }

    // Trio L04, L18
    async fn a_released_token_is_handed_over() {
        let limiter = CapacityLimiter::new(1);
        nursery(async |n| {
            let first = limiter.try_acquire_for("first").unwrap();
            let waiter = {
                let limiter = limiter.clone();
                go(&n, async move { Ok(limiter.acquire_for("waiter").await?) })
            };
            until(|| limiter.statistics().waiting == 1).await;
            drop(first);
            assert_eq!((limiter.borrowed(), limiter.statistics().waiting), (1, 0), "at once");
            assert_eq!(names(&limiter), ["waiter"]);
            assert_eq!(limiter.try_acquire_for("other").err(), Some(TryAcquireError::WouldBlock));
            drop(waiter.await?);
            assert_eq!(limiter.borrowed(), 0);
            Ok(())
        }).await.unwrap();
    }

    // Trio L06
    async fn a_limiter_may_have_no_limit() {
        let limiter = CapacityLimiter::unlimited();
        let tokens: Vec<_> = (0..100).map(|_| limiter.try_acquire_for(Borrower::unique()).unwrap()).collect();
        assert_eq!((limiter.available(), limiter.total(), limiter.borrowed()), (None, None, 100));
        // Trio L10
        limiter.set_total(98);
        assert_eq!(limiter.available(), Some(-2));
        drop(tokens);
        assert_eq!(limiter.available(), Some(98));
    }

    // Trio L07
    async fn the_total_of_a_limiter_changes_at_run_time() {
        let limiter = CapacityLimiter::new(2);
        nursery(async |n| {
            let events: Vec<Event> = (0..5).map(|_| Event::new()).collect();
            for (asker, release) in (0..5).zip(&events) {
                let (own, release) = (limiter.clone(), release.clone());
                go(&n, async move {
                    let _token = own.acquire_for(asker.to_string()).await?;
                    Ok(release.wait().await?)
                });
                until(|| limiter.borrowed() + limiter.statistics().waiting == asker + 1).await;
            }
            assert_eq!((names(&limiter), limiter.statistics().waiting), (vec!["0".into(), "1".into()], 3));
            limiter.set_total(4);
            assert_eq!((names(&limiter), limiter.statistics().waiting), (vec!["0".into(), "1".into(), "2".into(), "3".into()], 1));
            limiter.set_total(1);
            assert_eq!((limiter.borrowed(), limiter.available()), (4, Some(-3)));
            events[..3].iter().for_each(Event::set);
            until(|| limiter.borrowed() == 1).await;
            assert_eq!((names(&limiter), limiter.statistics().waiting), (vec!["3".into()], 1));
            events[3].set();
            until(|| names(&limiter) == ["4"]).await;
            events[4].set();
            Ok(())
        }).await.unwrap();
        assert_eq!(limiter.borrowed(), 0);
    }

    // Trio L08
    async fn a_total_of_zero_lets_nobody_in() {
        let limiter = CapacityLimiter::new(0);
        nursery(async |n| {
            let order = Order::default();
            for i in 0..5 {
                let (own, order) = (limiter.clone(), order.clone());
                go(&n, async move {
                    let token = own.acquire_for(i.to_string()).await?;
                    order.lock().expect("no panic").push(i);
                    token.forget();
                    Ok(())
                });
                until(|| limiter.statistics().waiting == i + 1).await;
            }
            assert_eq!(limiter.borrowed(), 0);
            limiter.set_total(5);
            assert_eq!(names(&limiter), ["0", "1", "2", "3", "4"], "in order");
            until(|| order.lock().unwrap().len() == 5).await;

            limiter.set_total(0);
            let waiter = {
                let limiter = limiter.clone();
                go(&n, async move { Ok(limiter.acquire_for("late").await?) })
            };
            until(|| limiter.statistics().waiting == 1).await;
            for i in 0..5 {
                limiter.release_for(&Borrower::from(i.to_string()))?;
                assert_eq!(limiter.statistics().waiting, 1, "nobody is let in");
            }
            limiter.set_total(1);
            assert_eq!(names(&limiter), ["late"]);
            drop(waiter.await?);
            Ok(())
        }).await.unwrap();
    }

    // Trio L09, Z07
    async fn a_cancelled_waiter_leaves_the_limiter() {
        let limiter = CapacityLimiter::new(0);
        let scope = CancelScope::new();
        nursery(async |n| {
            let (own, inner) = (limiter.clone(), scope.clone());
            let waiter = go(&n, async move { Ok(inner.run(async { own.acquire().await.map(Token::forget) }).await) });
            until(|| limiter.statistics().waiting == 1).await;
            scope.cancel("enough");
            let end = waiter.await?.done();
            assert!(matches!(end, Some(Err(AcquireError::Cancelled(_)))));
            assert_eq!(limiter.statistics().waiting, 0);
            limiter.set_total(1);
            assert_eq!(limiter.borrowed(), 0);
            Ok(())
        }).await.unwrap();
    }

    async fn who_waits_twice_under_one_name_gets_an_error() {
        let limiter = CapacityLimiter::new(0);
        let mut first = Box::pin(limiter.acquire_for("x"));
        let mut second = Box::pin(limiter.acquire_for("x"));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        limiter.set_total(2);
        let (first, second) = (first.await, second.await);
        assert!(first.is_ok() && matches!(second, Err(AcquireError::AlreadyBorrowed(_))));
        drop(first);
        assert_eq!(limiter.statistics().borrowed, 0);
    }

    // Trio L12
    async fn a_bounded_semaphore_refuses_to_exceed_its_maximum() {
        assert!(Semaphore::bounded(2, 1).is_err());
        let semaphore = Semaphore::bounded(1, 1).unwrap();
        assert!(semaphore.release().is_err());
        assert_eq!((semaphore.permits(), semaphore.maximum()), (1, Some(1)));
        semaphore.acquire().await.unwrap().forget();
        assert_eq!(semaphore.permits(), 0);
        semaphore.release().unwrap();
        assert_eq!(semaphore.permits(), 1);
    }

    // Trio L13
    async fn a_cancelled_waiter_does_not_take_a_permit() {
        let semaphore = Semaphore::new(0);
        let middle = CancelScope::new();
        nursery(async |n| {
            let mut children = Vec::new();
            for i in 0..3 {
                let own = semaphore.clone();
                let scope = if i == 1 { middle.clone() } else { CancelScope::new() };
                children.push(go(&n, async move {
                    Ok(scope.run(async { own.acquire().await.map(|permit| permit.forget()) }).await)
                }));
                until(|| semaphore.statistics().waiting == i + 1).await;
            }
            middle.cancel("not you");
            until(|| semaphore.statistics().waiting == 2).await;
            semaphore.release()?;
            semaphore.release()?;
            assert_eq!((semaphore.permits(), semaphore.statistics().waiting), (0, 0));
            let mut got = Vec::new();
            for child in children {
                got.push(child.await?.done().is_some_and(|end| end.is_ok()));
            }
            assert_eq!(got, [true, false, true]);
            Ok(())
        }).await.unwrap();
        assert_eq!(semaphore.permits(), 0);
    }

    // Trio L15
    async fn a_lock_tells_its_owner() {
        let mutex = Arc::new(Mutex::new(()));
        nursery(async |n| {
            let children: Vec<_> = (0..2).map(|_| {
                let mutex = mutex.clone();
                go(&n, async move {
                    let _guard = mutex.lock().await?;
                    std::future::pending::<()>().await;
                    Ok(())
                })
            }).collect();
            until(|| mutex.statistics().waiting == 1).await;
            let statistics = mutex.statistics();
            let owner = statistics.owner.expect("a child holds it");
            assert!(statistics.locked && children.iter().any(|child| child.id() == owner));
            n.cancel("both");
            Ok(())
        }).await.unwrap();
        let statistics = mutex.statistics();
        assert!(!statistics.locked && statistics.owner.is_none() && statistics.waiting == 0);
    }

    // Trio L16
    async fn never_two_are_inside() {
        let limiter = leak(CapacityLimiter::new(1));
        exclusion(async move || limiter.acquire().await.map_err(Into::into)).await;
        let semaphore = leak(Semaphore::new(1));
        exclusion(async move || semaphore.acquire().await.map_err(Into::into)).await;
        let mutex = leak(Mutex::new(()));
        exclusion(async move || mutex.lock().await.map_err(Into::into)).await;
        let (sender, receiver) = leak(channel(1));
        sender.try_send(()).unwrap();
        exclusion(async move || {
            receiver.recv().await?;
            Ok(Baton(sender.clone()))
        }).await;
    }

    // Trio L18
    async fn try_lock_takes_the_lock() {
        let mutex = Arc::new(Mutex::new(0));
        let mut guard = mutex.try_lock().unwrap();
        assert_eq!(mutex.try_lock().map(|_guard| ()), Err(WouldBlock));
        nursery(async |n| {
            let (own, go_on) = (mutex.clone(), Event::new());
            let told = go_on.clone();
            let later = go(&n, async move {
                let guard = own.lock().await?;
                told.wait().await?;
                Ok(*guard)
            });
            until(|| mutex.statistics().waiting == 1).await;
            *guard = 5;
            drop(guard);
            assert_eq!(mutex.try_lock().map(|_guard| ()), Err(WouldBlock), "handed over");
            go_on.set();
            assert_eq!(later.await?, 5);
            Ok(())
        }).await.unwrap();
        let semaphore = Semaphore::new(1);
        let permit = semaphore.try_acquire().unwrap();
        assert_eq!(semaphore.try_acquire().map(|_permit| ()), Err(WouldBlock));
        drop(permit);
        assert!(semaphore.try_acquire().is_ok());
    }

    // Trio L19
    async fn a_lock_goes_round_in_the_order_of_asking() {
        let mutex = Arc::new(Mutex::new(Vec::new()));
        nursery(async |n| {
            let guard = mutex.lock().await?;
            for i in 0..4 {
                let own = mutex.clone();
                go(&n, async move {
                    own.lock().await?.push(i);
                    Ok(())
                });
                until(|| mutex.statistics().waiting == i + 1).await;
            }
            drop(guard);
            Ok(())
        }).await.unwrap();
        assert_eq!(*mutex.try_lock().unwrap(), [0, 1, 2, 3]);
    }

    // Trio L20, L21
    async fn a_task_that_ends_frees_its_lock() {
        let mutex = Arc::new(Mutex::new(()));
        nursery(async |n| {
            let own = mutex.clone();
            let holder = go(&n, async move {
                let _guard = own.lock().await?;
                std::future::pending::<()>().await;
                Ok(())
            });
            until(|| mutex.statistics().locked).await;
            let own = mutex.clone();
            let waiter = go(&n, async move {
                let _guard = own.lock().await?;
                Ok(())
            });
            until(|| mutex.statistics().waiting == 1).await;
            holder.cancel("leave");
            waiter.await
        }).await.unwrap();
        assert!(!mutex.statistics().locked);
    }

    // Trio L23, L27
    async fn a_condition_notifies_in_order_and_moves_to_the_lock() {
        let shared = Arc::new((Mutex::new(Vec::new()), Condition::new()));
        let (mutex, condition) = (&shared.0, &shared.1);
        nursery(async |n| {
            for i in 0..3 {
                let own = shared.clone();
                go(&n, async move {
                    let (mut guard, waited) = own.1.wait(own.0.lock().await?).await;
                    waited?;
                    guard.push(i);
                    Ok(())
                });
                until(|| condition.statistics().waiting == i + 1).await;
            }
            condition.notify_one(&mutex.lock().await?);
            until(|| mutex.try_lock().is_ok_and(|done| *done == [0])).await;
            assert_eq!(condition.statistics().waiting, 2);
            let guard = mutex.lock().await?;
            condition.notify_all(&guard);
            assert_eq!((condition.statistics().waiting, mutex.statistics().waiting), (0, 2));
            drop(guard);
            Ok(())
        }).await.unwrap();
        assert_eq!(*mutex.try_lock().unwrap(), [0, 1, 2]);
    }

    // Trio L23
    async fn some_of_the_waiters_are_notified() {
        let shared = Arc::new((Mutex::new(0), Condition::new()));
        let (mutex, condition) = (&shared.0, &shared.1);
        nursery(async |n| {
            for i in 0..3 {
                let own = shared.clone();
                go(&n, async move {
                    let (mut guard, waited) = own.1.wait(own.0.lock().await?).await;
                    *guard += 1;
                    Ok(waited?)
                });
                until(|| condition.statistics().waiting == i + 1).await;
            }
            let guard = mutex.lock().await?;
            condition.notify(&guard, 2);
            assert_eq!((condition.statistics().waiting, mutex.statistics().waiting), (1, 2));
            drop(guard);
            until(|| mutex.try_lock().is_ok_and(|woken| *woken == 2)).await;
            assert_eq!(condition.statistics().waiting, 1);
            condition.notify_all(&mutex.lock().await?);
            Ok(())
        }).await.unwrap();
    }

    // Trio L24
    async fn the_lock_is_held_again_when_the_cancel_arrives() {
        let shared = Arc::new((Mutex::new(()), Condition::new()));
        let (mutex, condition) = (&shared.0, &shared.1);
        let scope = CancelScope::new();
        nursery(async |n| {
            let (own, inner) = (shared.clone(), scope.clone());
            let waiter = go(&n, async move {
                let outcome = inner.run(async {
                    let guard = own.0.lock().await?;
                    let (guard, waited) = own.1.wait(guard).await;
                    let held = own.0.statistics().owner.map(|owner| owner.get()) == current_task_id();
                    drop(guard);
                    Ok::<_, triune_scope::Cancelled>((waited.is_err(), held))
                });
                Ok(outcome.await)
            });
            until(|| condition.statistics().waiting == 1).await;
            let guard = mutex.lock().await?;
            scope.cancel("enough");
            until(|| mutex.statistics().waiting == 1).await;
            assert_eq!(condition.statistics().waiting, 0);
            drop(guard);
            assert_eq!(waiter.await?.done(), Some(Ok((true, true))));
            Ok(())
        }).await.unwrap();
        assert!(!mutex.statistics().locked);
    }

    // Trio L23, C23
    async fn a_notification_given_to_a_dropped_wait_goes_to_the_next() {
        for lock_is_free in [false, true] {
            let (mutex, condition) = (Mutex::new(()), Condition::new());
            let mut waits = Vec::new();
            for _ in 0..2 {
                let guard = mutex.lock().await.unwrap();
                let mut wait = Box::pin(condition.wait(guard));
                assert!(poll!(&mut wait).is_pending());
                waits.push(wait);
            }
            let guard = mutex.lock().await.unwrap();
            condition.notify_one(&guard);
            let mut kept = Some(guard);
            if lock_is_free {
                kept = None;
            }
            drop(waits.remove(0));
            assert_eq!(condition.statistics().waiting, 0);
            drop(kept);
            let (guard, waited) = waits.remove(0).await;
            drop(guard);
            assert!(waited.is_ok() && !mutex.statistics().locked);
        }
    }

    // Trio C21
    async fn in_a_cancelled_scope_nothing_happens_though_it_could() {
        let event = Event::new();
        event.set();
        let (mutex, semaphore, limiter) = (Mutex::new(()), Semaphore::new(1), CapacityLimiter::new(1));
        let (sender, receiver) = channel(2);
        sender.try_send(1).unwrap();
        let scope = CancelScope::new();
        scope.cancel("before");
        let checked = scope.run(async {
            assert!(event.wait().await.is_err());
            assert!(mutex.lock().await.is_err());
            assert!(semaphore.acquire().await.is_err());
            assert!(matches!(limiter.acquire().await, Err(AcquireError::Cancelled(_))));
            assert_eq!(sender.send(2).await.map_err(|error| error.into_value()), Err(2));
            assert!(receiver.recv().await.is_err());
        });
        assert!(!checked.await.is_cancelled());
        assert!(!mutex.statistics().locked);
        assert_eq!((semaphore.permits(), limiter.borrowed(), receiver.statistics().buffered), (1, 0, 1));
    }

    async fn a_permit_given_to_a_dropped_wait_is_handed_on() {
        let semaphore = Semaphore::new(0);
        let (mut first, mut second) = (Box::pin(semaphore.acquire()), Box::pin(semaphore.acquire()));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        semaphore.release().unwrap();
        drop(first);
        second.await.unwrap().forget();
        assert_eq!((semaphore.permits(), semaphore.statistics().waiting), (0, 0));
    }
}

// Trio C23: one thread, because the hand-over must come before the cancel and the waiter's next turn after both.
#[tokio::test]
async fn a_lock_that_was_handed_over_before_the_cancel_is_acquired() {
    let (mutex, scope) = (Mutex::new(()), CancelScope::new());
    let guard = mutex.lock().await.unwrap();
    let mut waiter = Box::pin(scope.run(async {
        let guard = mutex.lock().await;
        let locked = mutex.statistics().locked;
        (guard.is_ok(), locked)
    }));
    assert!(poll!(&mut waiter).is_pending());
    drop(guard);
    scope.cancel("too late");
    assert_eq!(waiter.await.done(), Some((true, true)));
    assert!(!mutex.statistics().locked);
}

// Trio L22
#[tokio::test]
#[should_panic(expected = "one condition with one mutex")]
async fn a_condition_refuses_a_second_mutex() {
    let (one, two, condition) = (Mutex::new(()), Mutex::new(()), Condition::new());
    let mut wait = Box::pin(condition.wait(one.lock().await.unwrap()));
    assert!(poll!(&mut wait).is_pending());
    condition.notify_one(&two.lock().await.unwrap());
}

#[tokio::test]
async fn who_is_always_served_at_once_lets_its_siblings_run() {
    let semaphore = Semaphore::new(1);
    let mut greedy = Box::pin(async {
        loop {
            drop(semaphore.acquire().await);
        }
    });
    let polled = futures_util::poll!(tokio::task::coop::cooperative(&mut greedy));
    assert_eq!(polled, Poll::<()>::Pending, "tokio's budget ends the turn");
}

/// Gives the channel-built lock back.
struct Baton(triune_scope::sync::Sender<()>);

impl Drop for Baton {
    fn drop(&mut self) {
        assert!(self.0.try_send(()).is_ok(), "its place is free");
    }
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// Five workers with ten rounds each, and two checkpoints inside.
async fn exclusion<G: Send, Fut>(enter: impl Fn() -> Fut + Clone + Send + 'static)
where
    Fut: Future<Output = triune_scope::Result<G>> + Send,
{
    let inside = Arc::new(AtomicUsize::new(0));
    let rounds = Arc::new(AtomicUsize::new(0));
    let all = nursery(async |n| {
        for _ in 0..5 {
            let (enter, inside, rounds) = (enter.clone(), inside.clone(), rounds.clone());
            go(&n, async move {
                for _ in 0..10 {
                    let guard = enter().await?;
                    assert_eq!(inside.fetch_add(1, Ordering::AcqRel), 0, "alone");
                    checkpoint().await?;
                    checkpoint().await?;
                    inside.fetch_sub(1, Ordering::AcqRel);
                    rounds.fetch_add(1, Ordering::AcqRel);
                    drop(guard);
                }
                Ok(())
            });
        }
        Ok(())
    });
    all.await.expect("nobody fails");
    assert_eq!(rounds.load(Ordering::Acquire), 50);
}
