//! Who writes a frame, and what is known of it afterwards.

use std::future::Future;
use std::io::Read;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use bytes::Bytes;
use futures_util::task::{ArcWake, waker_ref};
use triune_wire::{BuildId, HEADER_LEN, Hello};

use super::*;
use crate::handshake::frame;
use crate::{CallEnd, Config, Driver, Incoming, Link, connect};

/// Counts how often the driver is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl ArcWake for Count {
    fn wake_by_ref(this: &Arc<Self>) {
        this.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn hello() -> Hello {
    Hello::new(BuildId::new([7; 16]), "test", "writer")
}

/// A link, and the bare socket on the other side of it, which is behind the HELLO.
async fn link() -> (Link, Driver, Incoming, UnixStream) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let frame = frame(&hello()).unwrap();
    std::io::Write::write_all(&mut theirs, &frame).unwrap();
    let (link, driver, incoming) = connect(ours, Config::new(hello())).await.unwrap();
    let mut their_hello = vec![0; frame.len()];
    theirs.read_exact(&mut their_hello).unwrap();
    theirs.set_nonblocking(true).unwrap();
    (link, driver, incoming, theirs)
}

/// How many bytes are there.
fn arrived(theirs: &mut UnixStream) -> usize {
    let mut bytes = [0; 64 * 1024];
    match theirs.read(&mut bytes) {
        Ok(n) => n,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            0
        }
    }
}

#[tokio::test]
async fn a_lone_call_needs_no_driver_and_a_second_one_does() {
    let (link, mut driver, _incoming, mut theirs) = link().await;
    let count = Arc::new(Count::default());
    let waker = waker_ref(&count);
    let mut drive = pin!(driver.drive());
    assert!(drive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let _one = link.call(0, Bytes::from_static(b"one"));
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
    assert!(arrived(&mut theirs) > HEADER_LEN + 3);
    // More may follow, and all of them together cost one write.
    let _two = link.call(0, Bytes::from_static(b"two"));
    let _three = link.call(0, Bytes::from_static(b"three"));
    assert_eq!((arrived(&mut theirs), count.0.load(Ordering::SeqCst)), (0, 1));
    assert!(drive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(arrived(&mut theirs) > 2 * HEADER_LEN + 8);
}

#[tokio::test]
async fn nothing_is_written_before_the_driver_was_polled() {
    let (link, _driver, _incoming, mut theirs) = link().await;
    let call = link.call(0, Bytes::from_static(b"one"));
    assert_eq!(arrived(&mut theirs), 0);
    link.close(LinkEnd::Closed);
    assert!(matches!(call.await, Err(CallEnd::NotSent(_))));
}

#[tokio::test]
async fn a_lone_call_that_went_out_is_lost_with_the_link_and_not_unsent() {
    let (link, mut driver, _incoming, _theirs) = link().await;
    assert!(pin!(driver.drive()).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let call = link.call(0, Bytes::from_static(b"one"));
    drop(driver);
    assert!(matches!(call.await, Err(CallEnd::Lost(LinkEnd::Closed))));
}

#[tokio::test]
async fn a_lone_call_that_finds_the_socket_full_is_left_to_the_driver() {
    let (link, mut driver, _incoming, mut theirs) = link().await;
    let count = Arc::new(Count::default());
    let waker = waker_ref(&count);
    let mut drive = pin!(driver.drive());
    assert!(drive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let mut filled = 0;
    let socket = link.shared().writer.lock().socket.clone().unwrap();
    while let Ok(n) = socket::write(&socket, &[IoSlice::new(&[0; 16 * 1024])]) {
        filled += n;
    }
    let _one = link.call(0, Bytes::from_static(b"one"));
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    let mut read = 0;
    while read < filled {
        read += arrived(&mut theirs);
    }
    assert_eq!(read, filled);
    assert!(drive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(arrived(&mut theirs) > HEADER_LEN + 3);
}

#[tokio::test]
async fn a_call_that_comes_while_another_writes_is_left_to_the_driver() {
    let (link, mut driver, _incoming, mut theirs) = link().await;
    let count = Arc::new(Count::default());
    let waker = waker_ref(&count);
    let mut drive = pin!(driver.drive());
    assert!(drive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let writing = link.shared().writer.lock();
    let _one = link.call(0, Bytes::from_static(b"one"));
    drop(writing);
    assert_eq!((arrived(&mut theirs), count.0.load(Ordering::SeqCst)), (0, 1));
    assert!(drive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(arrived(&mut theirs) > HEADER_LEN + 3);
}

#[tokio::test]
async fn the_socket_is_closed_with_the_driver_whoever_is_left() {
    let (link, driver, incoming, mut theirs) = link().await;
    drop(driver);
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    drop((link, incoming));
}

#[tokio::test]
async fn calls_that_are_made_together_go_out_together_and_need_no_driver() {
    let (link, mut driver, _incoming, mut theirs) = link().await;
    let count = Arc::new(Count::default());
    let waker = waker_ref(&count);
    let mut drive = pin!(driver.drive());
    assert!(drive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let words = ["one", "two", "three"].map(|word| triune_wire::Message::from(Bytes::from(word)));
    let _calls = link.call_all(words.iter().map(|word| (0, word)));
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
    assert!(arrived(&mut theirs) > 3 * HEADER_LEN + 11);
    // Others are under way now.
    let _more = link.call_all(words.iter().map(|word| (0, word)));
    assert_eq!((arrived(&mut theirs), count.0.load(Ordering::SeqCst)), (0, 1));
}
