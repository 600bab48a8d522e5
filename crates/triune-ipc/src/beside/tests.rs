//! No wake is lost, wherever it comes from, and nobody is starved.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::task::{ArcWake, waker_ref};
use futures_util::{FutureExt, pin_mut};
use triune_wire::{BuildId, Hello};

use super::*;
use crate::{Config, Incoming, Link, Request, connect};

/// Counts how often its task is woken.
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
    let config = || Config::new(Hello::new(BuildId::new([7; 16]), "test", "beside"));
    let (one, other) = tokio::join!(connect(one, config()), connect(other, config()));
    let ((link, driver, _), (_, other, incoming)) = (one.unwrap(), other.unwrap());
    ((link, driver), (other, incoming))
}

fn unexpected(end: LinkEnd) {
    panic!("the link ended: {end}");
}

#[tokio::test]
async fn a_request_goes_out_in_the_poll_that_makes_it() {
    let ((link, mut driver), (mut other, mut incoming)) = pair().await;
    let call = driver.drive_beside(async { link.call(0, b"now".to_vec()).await }, unexpected);
    pin_mut!(call);
    let count = Arc::new(Count::default());
    assert!(call.as_mut().poll(&mut Context::from_waker(&waker_ref(&count))).is_pending());
    // Nobody needed to be woken for that, and it is on the other side.
    assert_eq!(count.take(), 0);
    let serve = async {
        match incoming.recv().await {
            Some(Request::Call(call)) => call.responder.reply(call.args),
            other => panic!("not a call: {other:?}"),
        }
        std::future::pending::<()>().await
    };
    tokio::select! {
        answer = call => assert_eq!(answer.unwrap(), &b"now"[..]),
        () = other.drive_beside(serve, unexpected) => unreachable!(),
    }
}

#[tokio::test]
async fn a_wake_between_two_polls_wakes_the_task() {
    let ((_link, mut driver), _other) = pair().await;
    let (sender, receiver) = tokio::sync::oneshot::channel::<u8>();
    let work = driver.drive_beside(receiver, unexpected);
    pin_mut!(work);
    let count = Arc::new(Count::default());
    assert!(work.as_mut().poll(&mut Context::from_waker(&waker_ref(&count))).is_pending());
    assert_eq!(count.take(), 0);
    sender.send(7).unwrap();
    assert_eq!(count.take(), 1);
    assert_eq!(work.now_or_never(), Some(Ok(7)));
}

#[tokio::test]
async fn only_the_half_that_was_woken_is_polled() {
    let ((link, mut driver), _other) = pair().await;
    let (polls, wakers) = (AtomicUsize::new(0), std::sync::Mutex::new(Vec::new()));
    let work = poll_fn(|cx| {
        polls.fetch_add(1, Ordering::SeqCst);
        wakers.lock().unwrap().push(cx.waker().clone());
        Poll::<()>::Pending
    });
    let work = driver.drive_beside(work, unexpected);
    pin_mut!(work);
    let count = Arc::new(Count::default());
    let waker = waker_ref(&count);
    let mut cx = Context::from_waker(&waker);
    assert!(work.as_mut().poll(&mut cx).is_pending());
    assert_eq!((polls.load(Ordering::SeqCst), count.take()), (1, 0));
    // Something to write for the link; the work has nothing to do with it.
    let (_one, _two) = (link.call(0, b"one".to_vec()), link.call(0, b"two".to_vec()));
    assert_eq!(count.take(), 1);
    assert!(work.as_mut().poll(&mut cx).is_pending());
    assert_eq!((polls.load(Ordering::SeqCst), count.take()), (1, 0));
    // Nobody says for whom this is.
    assert!(work.as_mut().poll(&mut cx).is_pending());
    assert_eq!(polls.load(Ordering::SeqCst), 2);
    let waker = wakers.lock().unwrap().pop().unwrap();
    waker.wake();
    assert_eq!(count.take(), 1);
    assert!(work.as_mut().poll(&mut cx).is_pending());
    assert_eq!((polls.load(Ordering::SeqCst), count.take()), (3, 0));
}

/// Work that always wakes itself gives way after some rounds, and the task is woken once.
#[tokio::test]
async fn restless_work_gives_way() {
    let ((_link, mut driver), _other) = pair().await;
    let polls = AtomicUsize::new(0);
    let restless = poll_fn(|cx| {
        polls.fetch_add(1, Ordering::SeqCst);
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    });
    let work = driver.drive_beside(restless, unexpected);
    pin_mut!(work);
    let count = Arc::new(Count::default());
    assert!(work.as_mut().poll(&mut Context::from_waker(&waker_ref(&count))).is_pending());
    assert_eq!((polls.load(Ordering::SeqCst), count.take()), (ROUNDS, 1));
}

#[tokio::test]
async fn the_end_of_the_link_is_told_and_the_work_goes_on() {
    let ((link, mut driver), other) = pair().await;
    drop(other);
    let mut told = None;
    let work = async {
        let lost = link.ended().await;
        (lost, "done")
    };
    let (lost, done) = driver
        .drive_beside(work, |end| {
            link.close(end.clone());
            told = Some(end);
        })
        .await;
    assert!(matches!((lost, told), (LinkEnd::Eof, Some(LinkEnd::Eof))));
    assert_eq!(done, "done");
}

/// Wakes from another thread, at any moment of a poll.
#[test]
fn no_wake_of_another_thread_is_lost() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel::<tokio::sync::oneshot::Sender<()>>();
    std::thread::scope(|threads| {
        threads.spawn(move || receiver.into_iter().for_each(|answer| answer.send(()).unwrap()));
        runtime.block_on(async {
            let ((_link, mut driver), _other) = pair().await;
            // A lost wake would hang here for ever.
            let work = async {
                for _ in 0..20_000 {
                    let (answer, answered) = tokio::sync::oneshot::channel();
                    sender.send(answer).unwrap();
                    answered.await.unwrap();
                }
            };
            driver.drive_beside(work, unexpected).await;
        });
        drop(sender);
    });
}
