//! Who reads an answer, and that nobody depends on a caller.

#![expect(clippy::disallowed_methods, reason = "the crate knows no nursery; each test ends its tasks")]

use std::future::{Future, pending, poll_fn};
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;

use bytes::Bytes;
use futures_util::task::{ArcWake, waker_ref};
use triune_wire::{BuildId, Hello};

use crate::{CallEnd, Config, Driver, Incoming, Link, LinkEnd, Request, connect};

/// Counts how often a task is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl ArcWake for Count {
    fn wake_by_ref(this: &Arc<Self>) {
        this.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

async fn pair() -> ((Link, Driver), (Driver, Incoming)) {
    let (one, other) = UnixStream::pair().unwrap();
    let config = || Config::new(Hello::new(BuildId::new([7; 16]), "test", "reader"));
    let (one, other) = tokio::join!(connect(one, config()), connect(other, config()));
    let ((link, mut driver, _), (_, other, incoming)) = (one.unwrap(), other.unwrap());
    driver.lend();
    ((link, driver), (other, incoming))
}

/// Answers each call with its arguments.
async fn echo(mut driver: Driver, mut incoming: Incoming) {
    let serve = async {
        while let Some(Request::Call(call)) = incoming.recv().await {
            call.responder.reply(call.args);
        }
    };
    driver.drive_beside(serve, drop).await;
}

/// Lets everybody else run, and the runtime look at its sockets.
async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

fn poll<F: Future>(future: Pin<&mut F>, count: &Arc<Count>) -> std::task::Poll<F::Output> {
    future.poll(&mut Context::from_waker(&waker_ref(count)))
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) {
    poll_fn(|cx| {
        let _polled = future.as_mut().poll(cx);
        std::task::Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn a_lone_caller_reads_its_answer_itself() {
    let ((link, mut driver), (other, incoming)) = pair().await;
    let other = tokio::spawn(echo(other, incoming));
    let (of_driver, of_caller) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let mut drive = pin!(driver.drive_beside(pending::<()>(), drop));
    assert!(poll(drive.as_mut(), &of_driver).is_pending());
    for round in 0..100_u8 {
        let mut call = pin!(link.call(0, vec![round]));
        assert!(poll(call.as_mut(), &of_caller).is_pending());
        settle().await;
        // Both are told, and the driver is not polled.
        assert_eq!((of_caller.take(), of_driver.take()), (1, 1));
        match poll(call.as_mut(), &of_caller) {
            std::task::Poll::Ready(answer) => assert_eq!(answer.unwrap(), [round][..]),
            std::task::Poll::Pending => panic!("the answer is there"),
        }
        assert_eq!((of_caller.take(), of_driver.take()), (0, 0));
        // It has nothing left to do.
        assert!(poll(drive.as_mut(), &of_driver).is_pending());
        assert_eq!(of_driver.take(), 0);
    }
    other.abort();
}

#[tokio::test]
async fn what_the_caller_does_not_read_the_driver_reads() {
    let ((link, mut driver), (other, incoming)) = pair().await;
    let other = tokio::spawn(echo(other, incoming));
    let (of_driver, of_caller) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let mut drive = pin!(driver.drive_beside(pending::<()>(), drop));
    assert!(poll(drive.as_mut(), &of_driver).is_pending());
    for is_dropped in [false, true, false, true] {
        let mut call = Box::pin(link.call(0, Bytes::from_static(b"late")));
        assert!(poll(call.as_mut(), &of_caller).is_pending());
        let kept = if is_dropped {
            drop(call);
            None
        } else {
            Some(call)
        };
        settle().await;
        assert!(of_driver.take() >= 1);
        assert!(poll(drive.as_mut(), &of_driver).is_pending());
        let Some(mut call) = kept else { continue };
        assert!(poll(call.as_mut(), &of_caller).is_ready(), "the driver has read it");
        settle().await;
        of_driver.take();
    }
    other.abort();
}

#[tokio::test]
async fn calls_that_are_made_meanwhile_are_answered() {
    let ((link, mut driver), (other, incoming)) = pair().await;
    let other = tokio::spawn(echo(other, incoming));
    let drive = tokio::spawn(async move { driver.drive_beside(pending::<()>(), drop).await });
    let of_nobody = Arc::new(Count::default());
    let mut forgotten = pin!(link.call(0, Bytes::from_static(b"forgotten")));
    assert!(poll(forgotten.as_mut(), &of_nobody).is_pending());
    for _ in 0..20 {
        assert_eq!(link.call(0, Bytes::from_static(b"next")).await.unwrap(), &b"next"[..]);
    }
    assert_eq!(forgotten.await.unwrap(), &b"forgotten"[..]);
    drive.abort();
    other.abort();
}

#[tokio::test]
async fn the_end_that_a_caller_finds_is_told_by_the_driver() {
    let ((link, driver), (other, incoming)) = pair().await;
    let (of_driver, of_caller) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let mut drive = pin!(async move {
        let mut driver = driver;
        let mut seen = None;
        tokio::select! {
            biased;
            () = driver.drive_beside(pending::<()>(), |end| seen = Some(end)) => unreachable!(),
            () = tokio::task::yield_now() => {}
        }
        driver.run().await
    });
    let _first = poll(drive.as_mut(), &of_driver);
    let mut call = pin!(link.call(0, Bytes::from_static(b"never")));
    assert!(poll(call.as_mut(), &of_caller).is_pending());
    drop((other, incoming));
    settle().await;
    let _not_yet = poll(call.as_mut(), &of_caller);
    assert!(matches!(drive.await, LinkEnd::Eof));
    assert!(matches!(call.await, Err(CallEnd::Lost(LinkEnd::Eof))));
}

#[tokio::test]
async fn the_end_is_told_beside_work_too() {
    let ((link, mut driver), (other, incoming)) = pair().await;
    let of_caller = Arc::new(Count::default());
    let mut call = pin!(link.call(0, Bytes::from_static(b"never")));
    assert!(poll(call.as_mut(), &of_caller).is_pending());
    let ended = link.clone();
    let drive = async move { driver.drive_beside(pending::<()>(), |end| ended.close(end)).await };
    let mut drive = pin!(drive);
    let of_driver = Arc::new(Count::default());
    assert!(poll(drive.as_mut(), &of_driver).is_pending());
    drop((other, incoming));
    settle().await;
    assert!(poll(call.as_mut(), &of_caller).is_pending(), "the driver judges");
    assert!(of_driver.take() >= 1);
    assert!(poll(drive.as_mut(), &of_driver).is_pending());
    assert!(matches!(call.await, Err(CallEnd::Lost(LinkEnd::Eof))));
}

/// On several threads, with callers that go away at any moment and others that are polled late.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_is_lost_among_callers_that_come_and_go() {
    let ((link, mut driver), (other, incoming)) = pair().await;
    let other = tokio::spawn(echo(other, incoming));
    let drive = tokio::spawn(async move { driver.drive_beside(pending::<()>(), drop).await });
    let callers = (0..4_u32).map(|caller| {
        let link = link.clone();
        tokio::spawn(async move {
            for round in 0..500_u32 {
                let args = Bytes::copy_from_slice(&round.to_le_bytes());
                let mut call = Box::pin(link.call(0, args.clone()));
                match (round + caller) % 5 {
                    0 => {
                        poll_once(call.as_mut()).await;
                        drop(call);
                    }
                    1 => {
                        poll_once(call.as_mut()).await;
                        tokio::task::yield_now().await;
                        assert_eq!(call.await.unwrap(), args);
                    }
                    _ => assert_eq!(call.await.unwrap(), args),
                }
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    // Alone, from outside of the runtime's threads.
    for round in 0..500_u32 {
        let args = Bytes::copy_from_slice(&round.to_le_bytes());
        assert_eq!(link.call(0, args.clone()).await.unwrap(), args);
    }
    drive.abort();
    other.abort();
}
