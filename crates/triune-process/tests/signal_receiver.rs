//! Receivers of signals, with real signals to real processes. The ids are those of the conformance list.
//!
//! Signals are for the whole process, so what this process sends to itself is sent under the leak guard, one test at a time.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::collections::BTreeSet;
use std::future::Future;
use std::io::{Read, Write};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::StreamExt as _;
use linkme::distributed_slice;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use triune_process::{
    Boot, Exit, ROLES, Role, Signal, SignalReceiverError, SignalRecvError, Spec, open_signal_receiver, spawn,
};
use triune_scope::{CancelScope, Outcome, checkpoint};
use triune_testing::LeakGuard;

triune_process::constructor!();

const SOON: Duration = Duration::from_secs(10);

#[distributed_slice(ROLES)]
static CLOSES: Role = Role { name: "closes", main: closes };

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn guarded(test: impl Future<Output = ()>) {
    let guard = LeakGuard::new();
    runtime().block_on(async { timeout(SOON, test).await.expect("no test takes as long") });
    guard.finish();
}

/// Sends a signal to this thread, which does not block it: so it is handled when this returns.
fn raise(signal: Signal) {
    // SAFETY: sends a signal, which takes an integer.
    assert_eq!(unsafe { libc::raise(signal.number()) }, 0);
}

/// Polls once.
fn is_pending(future: impl Future) -> bool {
    pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

// Trio S01. That there is no receiver any more after the block is seen by the compiler.
#[test]
fn a_signal_that_comes_again_before_it_is_read_is_received_once() {
    guarded(async {
        let receiver = open_signal_receiver([Signal::USR1]).unwrap();
        (0..3).for_each(|_| raise(Signal::USR1));
        assert_eq!(receiver.recv().await.unwrap(), Signal::USR1);
        assert_eq!(receiver.try_recv(), None);
        raise(Signal::USR1);
        assert_eq!(receiver.recv().await.unwrap(), Signal::USR1);
        assert!(is_pending(receiver.recv()));
    });
}

#[test]
fn a_signal_wakes_the_task_that_waits_for_it() {
    guarded(async {
        let receiver = open_signal_receiver([Signal::USR1, Signal::USR2]).unwrap();
        for expected in [Signal::USR2, Signal::USR1, Signal::USR2] {
            let (received, ()) = tokio::join!(receiver.recv(), async {
                tokio::task::yield_now().await;
                raise(expected);
            });
            assert_eq!(received.unwrap(), expected);
        }
    });
}

// Trio S03
#[test]
fn a_second_task_that_waits_is_told_that_the_receiver_is_busy() {
    guarded(async {
        let receiver = open_signal_receiver([Signal::USR1]).unwrap();
        let mut first = pin!(receiver.recv());
        assert!(is_pending(first.as_mut()));
        let error = receiver.recv().await.unwrap_err();
        assert!(matches!(error, SignalRecvError::Busy), "{error}");
        raise(Signal::USR1);
        assert_eq!(first.await.unwrap(), Signal::USR1);
        // It is free again, also after a wait that was given up.
        assert!(is_pending(receiver.recv()));
        assert!(is_pending(receiver.recv()));
    });
}

// Trio S04
#[test]
fn of_two_signals_that_are_always_there_none_starves() {
    guarded(async {
        let receiver = open_signal_receiver([Signal::USR2, Signal::USR1]).unwrap();
        let mut received = Vec::new();
        for _ in 0..10 {
            [Signal::USR1, Signal::USR2].into_iter().for_each(raise);
            received.push(receiver.recv().await.unwrap());
        }
        assert!(received.windows(2).all(|pair| pair[0] != pair[1]), "{received:?}");
        assert!(receiver.try_recv().is_some(), "or its effect would be that of before");
    });
}

#[test]
fn a_cancelled_wait_takes_nothing() {
    guarded(async {
        let receiver = open_signal_receiver([Signal::USR1]).unwrap();
        let scope = CancelScope::new();
        scope.cancel("enough");
        let outcome = scope
            .run(async {
                raise(Signal::USR1);
                receiver.recv().await
            })
            .await;
        let Outcome::Done(Err(error)) = outcome else { panic!("{outcome:?}") };
        assert!(matches!(error, SignalRecvError::Cancelled(_)), "{error}");
        assert_eq!(receiver.recv().await.unwrap(), Signal::USR1);
    });
}

#[test]
fn a_cancel_ends_a_wait_softly() {
    guarded(async {
        let receiver = open_signal_receiver([Signal::USR1]).unwrap();
        let scope = CancelScope::new();
        let run = scope.run(async { receiver.recv().await.unwrap_err() });
        let (outcome, ()) = tokio::join!(run, async {
            tokio::task::yield_now().await;
            scope.cancel("enough");
        });
        let Outcome::Done(error) = outcome else { panic!("it was cut off") };
        assert!(triune_scope::Error::from(error).is_cancelled());
    });
}

#[test]
fn a_receiver_is_a_stream() {
    guarded(async {
        let mut receiver = open_signal_receiver([Signal::USR1, Signal::USR2]).unwrap();
        raise(Signal::USR1);
        assert_eq!(receiver.next().await.unwrap().unwrap(), Signal::USR1);
        let (next, ()) = tokio::join!(receiver.next(), async { raise(Signal::USR2) });
        assert_eq!(next.unwrap().unwrap(), Signal::USR2);
    });
}

#[test]
fn the_last_one_that_was_opened_gets_the_signal_and_leaves_what_it_did_not_read() {
    guarded(async {
        let outer = open_signal_receiver([Signal::USR1]).unwrap();
        raise(Signal::USR1);
        let inner = open_signal_receiver([Signal::USR1, Signal::USR2]).unwrap();
        // What came before is for whoever was there.
        assert_eq!(inner.try_recv(), None);
        assert_eq!(outer.try_recv(), Some(Signal::USR1));
        raise(Signal::USR1);
        assert_eq!(outer.try_recv(), None);
        let mut waits = pin!(outer.recv());
        assert!(is_pending(waits.as_mut()));
        drop(inner);
        assert_eq!(waits.await.unwrap(), Signal::USR1);
    });
}

#[test]
fn receivers_may_go_in_any_order() {
    guarded(async {
        let outer = open_signal_receiver([Signal::USR1]).unwrap();
        let middle = open_signal_receiver([Signal::USR1]).unwrap();
        raise(Signal::USR1);
        let inner = open_signal_receiver([Signal::USR1]).unwrap();
        drop(outer);
        assert_eq!(inner.try_recv(), None);
        drop(inner);
        assert_eq!(middle.recv().await.unwrap(), Signal::USR1);
        raise(Signal::USR1);
        assert_eq!(middle.recv().await.unwrap(), Signal::USR1);
    });
}

// Trio S05: a handler from before; it gets what was not read, and what comes afterwards.
#[test]
fn what_was_not_read_goes_to_the_handler_from_before() {
    guarded(async {
        let mut before = signal(SignalKind::user_defined2()).unwrap();
        let receiver = open_signal_receiver([Signal::USR2]).unwrap();
        raise(Signal::USR2);
        assert!(is_pending(before.recv()), "it is taken from it");
        drop(receiver);
        before.recv().await.unwrap();
        let receiver = open_signal_receiver([Signal::USR2]).unwrap();
        raise(Signal::USR2);
        assert_eq!(receiver.recv().await.unwrap(), Signal::USR2);
        drop(receiver);
        raise(Signal::USR2);
        before.recv().await.unwrap();
    });
}

#[test]
fn a_handler_that_is_installed_later_stays_and_finds_no_receiver_beneath_it() {
    guarded(async {
        let receiver = open_signal_receiver([Signal::WINCH]).unwrap();
        // tokio calls the handler that it finds.
        let mut later = signal(SignalKind::window_change()).unwrap();
        raise(Signal::WINCH);
        later.recv().await.unwrap();
        assert_eq!(receiver.recv().await.unwrap(), Signal::WINCH);
        drop(receiver);
        for _ in 0..3 {
            raise(Signal::WINCH);
            later.recv().await.unwrap();
            let again = open_signal_receiver([Signal::WINCH]).unwrap();
            raise(Signal::WINCH);
            assert_eq!(again.recv().await.unwrap(), Signal::WINCH);
        }
    });
}

// Trio S06
#[test]
fn a_receiver_may_be_opened_and_read_in_any_thread() {
    guarded(async {
        let elsewhere = || {
            runtime().block_on(async {
                let receiver = open_signal_receiver([Signal::USR1]).unwrap();
                raise(Signal::USR1);
                receiver.recv().await.unwrap()
            })
        };
        assert_eq!(std::thread::scope(|scope| scope.spawn(elsewhere).join().unwrap()), Signal::USR1);
        // And used in another one than that of its runtime.
        let receiver = open_signal_receiver([Signal::USR1]).unwrap();
        raise(Signal::USR1);
        let received = std::thread::scope(|scope| scope.spawn(|| receiver.try_recv()).join().unwrap());
        assert_eq!(received, Some(Signal::USR1));
    });
}

#[test]
fn what_cannot_be_received_is_refused_and_nothing_stays_open() {
    guarded(async {
        for number in [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV] {
            let unreceivable = Signal::from_number(number).unwrap();
            let error = open_signal_receiver([Signal::USR1, unreceivable]).unwrap_err();
            assert!(matches!(error, SignalReceiverError::NotReceivable(s) if s == unreceivable), "{error}");
        }
        assert!(matches!(open_signal_receiver([]).unwrap_err(), SignalReceiverError::Nothing));
        // The C library keeps this one for itself. The one before it is put back as it was.
        let mut before = signal(SignalKind::user_defined2()).unwrap();
        let kept = Signal::from_number(32).unwrap();
        let error = open_signal_receiver([Signal::USR2, kept]).unwrap_err();
        assert!(matches!(error, SignalReceiverError::System(_)), "{error}");
        raise(Signal::USR2);
        before.recv().await.unwrap();
        assert_eq!(Signal::from_number(0), None);
        assert_eq!(Signal::from_number(65), None);
    });
}

#[test]
fn signals_from_everywhere_at_once_are_neither_lost_nor_double() {
    guarded(async {
        let receiver = open_signal_receiver([Signal::USR1, Signal::USR2]).unwrap();
        for round in 0..200 {
            let received = std::thread::scope(|scope| {
                for signal in [Signal::USR1, Signal::USR2] {
                    scope.spawn(move || raise(signal));
                }
                let mut received = BTreeSet::new();
                while received.len() < 2 {
                    if let Some(signal) = receiver.try_recv() {
                        assert!(received.insert(signal), "round {round}: {signal} came twice");
                    }
                }
                received
            });
            assert_eq!(received, BTreeSet::from([Signal::USR1, Signal::USR2]));
            assert_eq!(receiver.try_recv(), None, "round {round}");
        }
    });
}

/// Opens a receiver of SIGTERM, is sent one, and closes it without reading, as its name says: with the `default`, with the
/// signal `ignored`, or under a storm, with a `handler` that counts. Says what it came to.
fn closes(boot: Boot) -> u8 {
    let how = boot.name().to_owned();
    let mut link = boot.into_link();
    runtime().block_on(async move {
        match how.as_str() {
            "default" => {
                let receiver = open_signal_receiver([Signal::TERM]).unwrap();
                raise(Signal::TERM);
                link.write_all(b"lives").unwrap();
                drop(receiver);
            }
            "ignored" => {
                // SAFETY: ignores a signal, which takes two integers.
                unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
                let receiver = open_signal_receiver([Signal::TERM]).unwrap();
                raise(Signal::TERM);
                drop(receiver);
                link.write_all(b"lives").unwrap();
            }
            _ => {
                let mut before = signal(SignalKind::terminate()).unwrap();
                for round in 0..2000 {
                    let receiver = open_signal_receiver([Signal::TERM]).unwrap();
                    // It comes before, at, or after the end of the receiver.
                    let sender = std::thread::scope(|scope| {
                        scope.spawn(|| raise(Signal::TERM));
                        let read = if round % 2 == 0 { receiver.try_recv() } else { None };
                        drop(receiver);
                        read
                    });
                    let heard = sender.is_some() || timeout(SOON, before.recv()).await.is_ok();
                    assert!(heard, "round {round} lost its signal");
                }
                link.write_all(b"lives").unwrap();
            }
        }
        checkpoint().await.unwrap();
    });
    0
}

async fn closes_with(how: &str) -> (Exit, String) {
    let (process, mut link) = spawn(Spec::new("closes", how)).await.unwrap();
    link.set_read_timeout(Some(SOON)).unwrap();
    let mut said = String::new();
    link.read_to_string(&mut said).unwrap();
    (process.wait_gone().await, said)
}

// Trio S05: the default, and a signal that was ignored.
#[test]
fn what_was_not_read_has_the_effect_that_it_had_before() {
    guarded(async {
        let (exit, said) = closes_with("default").await;
        assert_eq!((exit.signal(), said.as_str()), (Some(libc::SIGTERM), "lives"));
        let (exit, said) = closes_with("ignored").await;
        assert_eq!((exit, said.as_str()), (Exit::Code(0), "lives"));
    });
}

// Trio S05: before and after it was dispatched.
#[test]
fn a_signal_at_the_very_end_of_a_receiver_is_not_lost() {
    guarded(async {
        let (exit, said) = closes_with("handler").await;
        assert_eq!((exit, said.as_str()), (Exit::Code(0), "lives"));
    });
}

#[test]
fn a_receiver_inside_of_a_nursery_is_lent_to_children() {
    guarded(async {
        let receiver = open_signal_receiver([Signal::USR1]).unwrap();
        let received = triune_scope::nursery(async |n| {
            let child = n.spawn(async { Ok(receiver.recv().await?) });
            checkpoint().await?;
            raise(Signal::USR1);
            child.await
        });
        assert_eq!(received.await.unwrap(), Signal::USR1);
    });
}
