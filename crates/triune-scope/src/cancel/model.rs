//! Models of the registration windows, under a checker that decides every interleaving.
//!
//! A lost cancel shows as a deadlock: the waiting task is parked and nobody will wake it. Run with
//! `cargo xtask model [ROUNDS]`.

use std::future::{Future, pending};
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use shuttle::future::block_on;
use shuttle::thread;

use super::boundary::{Boundary, RootBoundary, heir};
use super::deadline::When;
use super::hold::Grip;
use super::node::{Inherit, Node, Place};
use super::turn::{Ticket, Turns};
use super::{CancelReason, Cause, FutureExt, is_cancelled, shield_unbounded};
use crate::lock::atomic::{AtomicUsize, Ordering};
use crate::task::TaskInfo;
use crate::task_var::Vars;
use crate::tree::record::Record;
use crate::{Result, nursery};

/// Explores so many random schedules; `TRIUNE_MODEL_ROUNDS` sets the number.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    shuttle::check_random(model, rounds());
}

/// The same with few switches between threads: one may do much while another stands still.
fn explore_standstills(model: impl Fn() + Send + Sync + 'static) {
    shuttle::check_pct(model, rounds(), 3);
}

fn rounds() -> usize {
    let rounds = std::env::var("TRIUNE_MODEL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    rounds.unwrap_or(2000)
}

fn reason() -> CancelReason {
    "model".into()
}

fn cancel_elsewhere(node: &Arc<Node>) -> thread::JoinHandle<()> {
    let node = Arc::clone(node);
    thread::spawn(move || node.cancel(reason()))
}

fn task_beneath(parent: &Arc<Node>) -> Arc<Node> {
    let task = TaskInfo::named("task", Location::caller());
    Node::task_root(parent, Inherit::Yes, task, Record::child(), Vars::default())
}

/// Two futures side by side, as `join!` polls them: both, at each wake.
async fn both(one: impl Future<Output = ()>, two: impl Future<Output = ()>) {
    let (mut one, mut two) = (pin!(one), pin!(two));
    let mut done = (false, false);
    std::future::poll_fn(move |cx| {
        done.0 = done.0 || one.as_mut().poll(cx).is_ready();
        done.1 = done.1 || two.as_mut().poll(cx).is_ready();
        if done == (true, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[test]
fn a_cancel_is_not_lost_between_a_poll_and_its_registration() {
    explore(|| {
        let node = heir();
        let canceller = cancel_elsewhere(&node);
        assert!(block_on(Boundary::nested(node, pending::<()>())).is_err());
        canceller.join().unwrap();
    });
}

#[test]
fn every_leaf_unwinds_softly_whenever_the_cancel_comes() {
    explore(|| {
        let node = heir();
        let canceller = cancel_elsewhere(&node);
        let soft = AtomicUsize::new(0);
        let leaf = async || {
            if pending::<()>().cancellable().await.is_err() {
                soft.fetch_add(1, Ordering::Relaxed);
            }
        };
        let nested = async || {
            // Not even started, if the cancel comes first.
            if leaf().cancellable().await.is_err() {
                soft.fetch_add(1, Ordering::Relaxed);
            }
        };
        let outcome = block_on(Boundary::nested(node, both(leaf(), nested())));
        assert!(outcome.is_ok(), "nothing had to be dropped");
        assert_eq!(soft.load(Ordering::Relaxed), 2);
        canceller.join().unwrap();
    });
}

#[test]
fn a_scope_that_is_linked_while_its_parent_is_cancelled_sees_it() {
    explore(|| {
        let parent = heir();
        let canceller = cancel_elsewhere(&parent);
        let child = task_beneath(&parent);
        assert!(block_on(RootBoundary::child(child, pending::<()>())).is_err());
        canceller.join().unwrap();
    });
}

#[test]
fn a_task_beneath_is_told_though_the_pass_of_the_task_above_overtakes_the_canceller() {
    explore(|| {
        let (top, middle) = (heir(), heir());
        middle.link(&top, Place::SameTask);
        let task = task_beneath(&middle);
        let canceller = cancel_elsewhere(&top);
        let parallel =
            thread::spawn(move || assert!(block_on(RootBoundary::child(task, pending::<()>())).is_err()));
        let above = thread::spawn({
            let top = Arc::clone(&top);
            // The pass of a task that was polled for another reason.
            move || {
                if top.is_cancelled() {
                    top.wake_beneath();
                }
            }
        });
        for thread in [canceller, parallel, above] {
            thread.join().unwrap();
        }
        drop(middle);
    });
}

#[test]
fn a_shield_holds_while_the_cancel_comes_and_is_seen_right_after() {
    explore(|| {
        let node = heir();
        let canceller = cancel_elsewhere(&node);
        let outcome = block_on(Boundary::nested(node, async {
            shield_unbounded(async {
                for _ in 0..3 {
                    shuttle::future::yield_now().await;
                }
            })
            .await;
            pending::<()>().cancellable().await.is_err()
        }));
        assert_eq!(outcome.ok(), Some(true));
        canceller.join().unwrap();
    });
}

#[test]
fn a_hold_that_is_given_up_elsewhere_frees_who_was_cancelled_meanwhile() {
    for grip in [Grip::Soft, Grip::Firm] {
        explore(move || {
            let (node, inner) = (heir(), heir());
            inner.link(&node, Place::SameTask);
            let canceller = cancel_elsewhere(&node);
            let hold = inner.hold(grip);
            let holder = thread::spawn(move || drop(hold));
            assert!(block_on(Boundary::nested(node, pending::<()>())).is_err());
            canceller.join().unwrap();
            holder.join().unwrap();
        });
    }
}

#[test]
fn the_limit_of_a_shield_frees_what_is_around_it_though_nobody_polls_the_shield() {
    explore(|| {
        let (node, shield) = (heir(), Node::new(Inherit::No));
        let canceller = cancel_elsewhere(&node);
        shield.link(&node, Place::SameTask);
        shield.keep_shielding(node.hold(Grip::Soft));
        let timer = thread::spawn({
            let shield = Arc::clone(&shield);
            move || shield.harden(&reason())
        });
        assert!(block_on(Boundary::nested(node, pending::<()>())).is_err());
        canceller.join().unwrap();
        timer.join().unwrap();
    });
}

/// Explores within a runtime, which nobody drives: for the timers that are made on the way.
fn explore_with_timers(model: impl Fn() + Send + Sync + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    explore(move || {
        let _entered = runtime.enter();
        model();
    });
}

fn passed() -> Option<When> {
    Some(When::At(tokio::time::Instant::now()))
}

#[test]
fn a_deadline_is_not_lost_between_a_poll_and_its_registration() {
    explore_with_timers(|| {
        let node = heir();
        let setter = thread::spawn({
            let node = Arc::clone(&node);
            move || node.set_deadline(passed(), None)
        });
        let end = block_on(Boundary::nested(node, pending::<()>()));
        assert_eq!(end.unwrap_err().cause(), &Cause::Deadline);
        setter.join().unwrap();
    });
}

#[test]
fn a_deadline_that_is_moved_while_it_fires_has_fired_or_has_not() {
    explore_with_timers(|| {
        let node = heir();
        let (setter, mover) = (Arc::clone(&node), Arc::clone(&node));
        let threads = [
            thread::spawn(move || setter.set_deadline(passed(), None)),
            thread::spawn(move || mover.set_deadline(None, None)),
        ];
        let seen = block_on(Boundary::nested(Arc::clone(&node), async {
            for _ in 0..3 {
                shuttle::future::yield_now().await;
            }
            is_cancelled()
        }));
        let seen = seen.unwrap_or(true);
        for thread in threads {
            thread.join().unwrap();
        }
        let fired = node.cancel_reason().is_some_and(|reason| *reason.cause() == Cause::Deadline);
        assert_eq!((fired, fired), (node.is_called(), node.is_own()), "wholly or not at all");
        assert!(fired || !seen, "nobody was cancelled by a deadline that did not fire");
    });
}

/// The list of a nursery's turns is looked at in the middle of its poll; a wake may come before, then, or after.
#[test]
fn a_wake_of_a_child_is_not_lost_while_its_nursery_is_polled() {
    explore(|| {
        let (nursery, turns) = (heir(), Arc::<Turns>::default());
        let task = TaskInfo::named("child", Location::caller());
        let child = Node::child_root(&nursery, task, Arc::clone(&turns), Vars::default());
        let turn = child.turn().expect("it was made with turns");
        turn.admit(Ticket { slot: 0, stamp: 1 });
        let said = Arc::new(AtomicUsize::new(0));
        let teller = thread::spawn({
            let (said, waker) = (Arc::clone(&said), futures_task::waker(Arc::clone(&child)));
            move || {
                said.store(1, Ordering::Relaxed);
                waker.wake();
            }
        });
        let mut is_new = true;
        block_on(std::future::poll_fn(|cx| {
            let _polling = turns.polling(cx.waker());
            let is_due = !turns.take(Vec::new()).0.is_empty();
            if std::mem::take(&mut is_new) || is_due {
                turn.begin();
                if said.load(Ordering::Relaxed) == 1 {
                    return Poll::Ready(());
                }
            }
            Poll::Pending
        }));
        teller.join().unwrap();
        turns.close();
    });
}

/// The nursery polls all of its children when it finds itself cancelled, while the canceller is still on its way down to them.
#[test]
fn each_child_of_a_nursery_ends_whoever_gets_there_first() {
    explore_standstills(|| {
        let end = block_on(nursery(async |n| {
            n.spawn(pending::<Result>());
            n.spawn(async { Ok(pending::<()>().cancellable().await?) });
            n.spawn_with(async |n| {
                let _canceller = thread::spawn(move || n.cancel("model"));
                // So that the nursery is polled meanwhile.
                for _ in 0..3 {
                    shuttle::future::yield_now().await;
                }
                pending::<Result>().await
            });
            Ok(())
        }));
        assert!(end.is_ok(), "a cancel of its own is no error");
    });
}
