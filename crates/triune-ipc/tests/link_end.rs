//! However a link ends, every wait on it ends at once and is told how.

mod common;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use common::{Raw, alongside, bytes, config, echo, pair};
use futures_util::FutureExt;
use triune_ipc::{CallEnd, LinkEnd, Request, SendErrorKind};
use triune_wire::{CancelCause, Header, Kind};

#[tokio::test]
async fn the_end_of_the_peer_in_mid_call_resolves_every_wait() {
    let (mut raw, (link, driver, mut incoming)) = Raw::connect(config("this")).await;
    raw.request(Kind::Call, 1, b"").await;
    let peer = async {
        assert_eq!(raw.recv().await.unwrap().kind, Kind::Call);
        assert_eq!(raw.recv().await.unwrap().kind, Kind::Open);
        drop(raw);
    };
    let waits = async {
        let Some(Request::Call(served)) = incoming.recv().await else { panic!("not a call") };
        let call = link.call(0, Bytes::new());
        let (mut dialog, mut sender, mut receiver) = link.open(0, Bytes::new());
        let (call, item, sent, cancelled, next, ended) = tokio::join!(
            call,
            receiver.recv(),
            sender.send(bytes("never sent")),
            served.responder.cancelled(),
            incoming.recv(),
            link.ended(),
        );
        assert!(matches!(call, Err(CallEnd::Lost(LinkEnd::Eof))), "{call:?}");
        assert!(matches!(item, Err(CallEnd::Lost(LinkEnd::Eof))), "{item:?}");
        assert!(matches!(sent.unwrap_err().kind(), SendErrorKind::Lost(LinkEnd::Eof)));
        assert!(matches!(dialog.started().await, Err(CallEnd::Lost(LinkEnd::Eof))));
        assert!(matches!(dialog.ended().await, Err(CallEnd::Lost(LinkEnd::Eof))));
        assert_eq!(cancelled.cause, CancelCause::Peer);
        assert!(next.is_none());
        assert!(matches!(ended, LinkEnd::Eof));
    };
    let (end, (), ()) = tokio::join!(driver.run(), peer, waits);
    assert!(matches!(end, LinkEnd::Eof), "{end:?}");
    let late = link.call(0, Bytes::new()).await.unwrap_err();
    assert!(matches!(late, CallEnd::NotSent(LinkEnd::Eof)), "{late:?}");
}

#[tokio::test]
async fn dropping_the_driver_resolves_every_wait() {
    let ((link, driver, mut incoming), _other) = pair().await;
    let call = link.call(0, Bytes::new());
    drop(driver);
    assert!(matches!(call.await, Err(CallEnd::NotSent(LinkEnd::Closed))));
    assert!(matches!(link.ended().await, LinkEnd::Closed));
    assert!(incoming.recv().await.is_none());
}

#[tokio::test]
async fn closing_ends_the_driver_and_the_first_end_wins() {
    let ((link, driver, _incoming), (_other_link, other_driver, _other_incoming)) = pair().await;
    let call = link.call(0, Bytes::new());
    let died: Arc<dyn std::error::Error + Send + Sync> = Arc::new(io::Error::other("killed by SIGKILL"));
    let close = async {
        link.close(LinkEnd::Died(died));
        link.close(LinkEnd::Closed);
    };
    let (end, other_end, ()) = tokio::join!(driver.run(), other_driver.run(), close);
    assert_eq!(end.to_string(), "killed by SIGKILL");
    assert!(matches!(other_end, LinkEnd::Eof), "{other_end:?}");
    assert_eq!(call.await.unwrap_err().link_end().unwrap().to_string(), "killed by SIGKILL");
    assert_eq!(link.end().unwrap().to_string(), "killed by SIGKILL");
}

#[tokio::test]
async fn an_owner_of_the_driver_can_say_more_than_the_socket() {
    let (raw, (link, mut driver, _incoming)) = Raw::connect(config("this")).await;
    let call = link.call(0, Bytes::new());
    drop(raw);
    assert!(matches!(driver.drive().await, LinkEnd::Eof));
    let mut call = Box::pin(call);
    assert!((&mut call).now_or_never().is_none(), "waits go on until the owner knows more");
    link.close(LinkEnd::Died(Arc::new(io::Error::other("exit code 3"))));
    let end = call.await.unwrap_err();
    assert_eq!(end.link_end().unwrap().to_string(), "exit code 3");
}

#[tokio::test]
async fn a_call_to_a_peer_that_is_gone_was_provably_not_sent() {
    let (raw, (link, driver, _incoming)) = Raw::connect(config("this")).await;
    drop(raw);
    let call = link.call(0, bytes("once only"));
    let end = driver.run().await;
    assert!(matches!(end, LinkEnd::Eof), "{end:?}");
    assert!(matches!(call.await, Err(CallEnd::NotSent(LinkEnd::Eof))));
}

#[tokio::test]
async fn the_last_words_of_a_peer_are_heard_although_it_takes_no_more() {
    let (mut raw, (link, driver, _incoming)) = Raw::connect(config("this")).await;
    let (first, second) = (link.call(0, Bytes::new()), link.call(0, Bytes::new()));
    let peer = async {
        let call = raw.recv().await.unwrap();
        assert_eq!(raw.recv().await.unwrap().kind, Kind::Call);
        raw.send(Header::new(Kind::Reply, call.id).to_caller(), b"last words").await;
        drop(raw);
        // Makes the driver write into a socket that nobody reads.
        (link.call(0, Bytes::new()),)
    };
    let (end, (third,)) = tokio::join!(driver.run(), peer);
    assert!(matches!(end, LinkEnd::Eof), "{end:?}");
    assert_eq!(first.await.unwrap(), "last words");
    assert!(matches!(second.await, Err(CallEnd::Lost(LinkEnd::Eof))));
    assert!(third.await.is_err());
}

#[tokio::test]
async fn a_goodbye_is_said_after_all_that_is_queued() {
    let ((link, driver, _none), (other, other_driver, incoming)) = pair().await;
    let talk = async {
        let answers = futures_util::future::join_all((0..100).map(|_| link.call(0, bytes("x")))).await;
        assert!(answers.into_iter().all(|answer| answer.is_ok()));
        let last = link.call(0, Bytes::from(vec![0; 10_000_000]));
        link.goodbye();
        let refused = link.call(0, Bytes::new()).await.unwrap_err();
        assert!(matches!(refused, CallEnd::NotSent(LinkEnd::Goodbye)), "{refused:?}");
        last.await.unwrap_err()
    };
    let (last, end, other_end, ()) = tokio::join!(talk, driver.run(), other_driver.run(), echo(incoming));
    assert!(matches!(end, LinkEnd::Goodbye), "{end:?}");
    assert!(matches!(other_end, LinkEnd::Goodbye), "{other_end:?}");
    assert!(matches!(last, CallEnd::Lost(LinkEnd::Goodbye)), "{last:?}");
    assert!(matches!(other.end(), Some(LinkEnd::Goodbye)));
}

#[tokio::test]
async fn an_answer_that_was_received_outlives_the_link() {
    let ((link, driver, _none), (_other, other_driver, incoming)) = pair().await;
    let (call,) =
        alongside(async { tokio::join!(driver.run(), other_driver.run(), echo(incoming)) }, async {
            let call = link.call(0, bytes("kept"));
            // The answers come in order: when this one is there, so is the other.
            link.call(0, Bytes::new()).await.unwrap();
            (call,)
        })
        .await;
    assert!(matches!(link.ended().await, LinkEnd::Closed));
    assert_eq!(call.await.unwrap(), "kept");
}

#[tokio::test]
async fn a_peer_that_leaves_a_request_unread_is_noticed() {
    for reads_it in [false, true] {
        let (mut raw, (link, mut driver, _incoming)) = Raw::connect(config("this")).await;
        let call = link.call(0, bytes("once only"));
        assert!(driver.drive().now_or_never().is_none(), "the request is written, the link goes on");
        if reads_it {
            assert_eq!(raw.recv().await.unwrap().kind, Kind::Call);
        }
        drop(raw);
        assert!(matches!(driver.drive().await, LinkEnd::Eof));
        assert_eq!(driver.left_unread(), !reads_it);
        drop(driver);
        assert!(matches!(call.await, Err(CallEnd::Lost(LinkEnd::Eof))));
    }
}

#[tokio::test]
async fn a_loan_is_recalled_when_no_request_is_open_and_so_never_taken_for_one_that_was_left_unread() {
    let file = || Arc::new(std::os::fd::OwnedFd::from(std::fs::File::open("/dev/null").unwrap()));
    let (mut raw, (link, mut driver, _incoming)) = Raw::connect(config("this")).await;
    let mut write = || assert!(driver.drive().now_or_never().is_none(), "the link goes on");
    link.recall(1);
    let call = link.call(0, Bytes::new());
    link.recall(2);
    link.recall(3);
    write();
    let recalled = raw.recv().await.unwrap();
    assert_eq!((recalled.kind, recalled.id), (Kind::Recall, 1), "no request was open then");
    let asked = raw.recv().await.unwrap();
    assert_eq!(asked.kind, Kind::Call);
    assert!(raw.recv().now_or_never().is_none(), "nothing is written after a request");
    link.lend(2, file());
    write();
    for kind in [Kind::Recall, Kind::Lend] {
        let frame = raw.recv().await.unwrap();
        assert_eq!((frame.kind, frame.id), (kind, 2), "a number is recalled before it is lent anew");
    }
    raw.send(Header::new(Kind::Reply, asked.id).to_caller(), b"done").await;
    tokio::select! {
        answer = call => assert_eq!(answer.unwrap(), "done"),
        end = driver.drive() => panic!("{end}"),
    }
    assert!(driver.drive().now_or_never().is_none(), "the link goes on");
    let recalled = raw.recv().await.unwrap();
    assert_eq!((recalled.kind, recalled.id), (Kind::Recall, 3));
}
