//! What a link can do besides requests: signs of life, spinning, introductions, a late goodbye, typed channels.

#[expect(dead_code, reason = "this file needs a part of it")]
mod common;

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::Bytes;
use common::{Raw, alongside, bytes, config, echo, pair, pair_with};
use futures_util::FutureExt;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use triune_ipc::{
    CallEnd, CallOptions, Config, Driver, Heartbeat, Incoming, Link, LinkEnd, ProtocolError, Request,
    TypedReceiver, TypedSender, connect, introduce,
};
use triune_wire::{Header, IntroduceMessage, Kind, Limits, MsgPack, Payload, Postcard};

const EVERY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(2);

fn with_heartbeat(name: &str) -> Config {
    let mut config = config(name);
    config.heartbeat = Some(Heartbeat::new(EVERY, PATIENCE));
    config
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_gives_no_sign_of_life_is_given_up() {
    let (mut raw, (link, driver, _incoming)) = Raw::connect(with_heartbeat("watcher")).await;
    let begin = tokio::time::Instant::now();
    let call = link.call(0, bytes("anyone?"));
    let (end, ()) = tokio::join!(driver.run(), async {
        assert_eq!(raw.recv().await.unwrap().kind, Kind::Call);
        assert_eq!(raw.recv().await.unwrap().kind, Kind::Ping);
    });
    assert!(matches!(end, LinkEnd::Stalled { silent, .. } if silent >= EVERY + PATIENCE), "{end:?}");
    assert!(begin.elapsed() < EVERY + 2 * PATIENCE, "after {:?}", begin.elapsed());
    assert!(matches!(call.await, Err(CallEnd::Lost(LinkEnd::Stalled { .. }))));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_pings_is_kept_for_ever() {
    let (one, other) = UnixStream::pair().unwrap();
    let (one, other) = tokio::join!(connect(one, with_heartbeat("watcher")), connect(other, config("idle")));
    let ((link, driver, _incoming), (_link, other_driver, incoming)) = (one.unwrap(), other.unwrap());
    let background = async { tokio::join!(driver.run(), other_driver.run(), echo(incoming)) };
    alongside(background, async {
        tokio::time::sleep(100 * EVERY).await;
        assert!(link.end().is_none(), "{:?}", link.end());
        assert_eq!(link.call(0, bytes("still there")).await.unwrap(), "still there");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_side_that_listens_for_signs_of_life_asks_for_none_and_waits_for_them() {
    let mut listening = config("listener");
    listening.heartbeat = Some(Heartbeat::listening(EVERY));
    let (mut raw, (link, driver, _incoming)) = Raw::connect(listening).await;
    let begin = tokio::time::Instant::now();
    let signs = async {
        for _ in 0..20 {
            tokio::time::sleep(EVERY / 4).await;
            raw.send(Header::new(Kind::Pong, 0), b"").await;
        }
        assert!(link.end().is_none());
    };
    let (end, ()) = tokio::join!(driver.run(), signs);
    assert!(matches!(end, LinkEnd::Stalled { silent, .. } if silent >= EVERY), "{end:?}");
    assert!(begin.elapsed() < EVERY * 5 + EVERY * 2, "after {:?}", begin.elapsed());
    // Nothing was written but the HELLO and why it ended, if that.
    assert!(raw.recv().await.is_none_or(|frame| frame.kind == Kind::Goodbye));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_to_a_silent_peer_without_a_heartbeat() {
    let (mut raw, (_link, driver, _incoming)) = Raw::connect(config("patient")).await;
    alongside(driver.run(), async {
        tokio::time::sleep(1_000 * EVERY).await;
        assert!(raw.recv().now_or_never().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_link_that_spins_does_the_same_and_parks_in_the_end() {
    let (one, other) = UnixStream::pair().unwrap();
    let mut spinning = config("spinning");
    spinning.spin = Duration::from_millis(20);
    let (one, other) = tokio::join!(connect(one, spinning.clone()), connect(other, spinning));
    let ((link, driver, _incoming), (_link, other_driver, incoming)) = (one.unwrap(), other.unwrap());
    let background = async { tokio::join!(driver.run(), other_driver.run(), echo(incoming)) };
    alongside(background, async {
        for _ in 0..100 {
            assert_eq!(link.call(0, bytes("x")).await.unwrap(), "x");
        }
        // A runtime with a task that is always ready never lets its paused clock jump.
        tokio::time::pause();
        // tidy: allow(sleep) because the clock is paused: only a runtime that parks gets past it
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(link.call(0, vec![1; 1 << 20]).await.unwrap(), vec![1; 1 << 20]);
    })
    .await;
}

type End = (Link, Driver, Incoming);

async fn introducible(name: &str) -> (End, End) {
    let (one, other) = UnixStream::pair().expect("the system gives sockets");
    let mut accepts = config(name);
    accepts.accepts_introductions = true;
    let (one, other) = tokio::join!(connect(one, config("parent")), connect(other, accepts));
    (one.expect("the handshake succeeds"), other.expect("the handshake succeeds"))
}

#[tokio::test]
async fn siblings_that_were_introduced_talk_directly() {
    let ((to_a, to_a_driver, _none), (a, a_driver, mut a_incoming)) = introducible("a").await;
    let ((to_b, to_b_driver, _none), (_b, b_driver, mut b_incoming)) = introducible("b").await;
    let background =
        async { tokio::join!(to_a_driver.run(), a_driver.run(), to_b_driver.run(), b_driver.run()) };
    let meet = async {
        for round in 0..50_u32 {
            // Among other traffic, so that the descriptors travel between and inside of other reads.
            let _call = to_a.call(0, vec![0; 10_000 * (round as usize % 9)]);
            introduce(&to_a, &to_b).unwrap();
            let b = next_introduction(&mut a_incoming).await;
            let a = next_introduction(&mut b_incoming).await;
            assert_eq!((b.name.as_str(), a.name.as_str()), ("b", "a"));
            let (one, other) = tokio::join!(connect(b.socket, config("a")), connect(a.socket, config("b")));
            let ((direct, direct_driver, _none), (_link, other_driver, incoming)) =
                (one.unwrap(), other.unwrap());
            let talk = async { tokio::join!(direct_driver.run(), other_driver.run(), echo(incoming)) };
            let hello = async {
                assert_eq!(direct.peer().name, "b");
                assert_eq!(direct.call(0, bytes("hello")).await.unwrap(), "hello");
            };
            alongside(Box::pin(talk), hello).await;
        }
        assert!(a.end().is_none());
    };
    alongside(background, Box::pin(meet)).await;
}

async fn next_introduction(incoming: &mut Incoming) -> triune_ipc::Introduction {
    loop {
        match incoming.recv().await {
            Some(Request::Introduction(introduction)) => return introduction,
            Some(_) => {}
            None => panic!("the link ended"),
        }
    }
}

#[tokio::test]
async fn an_introduction_to_a_side_that_accepts_none_ends_that_link() {
    let ((link, driver, _none), (_other, other_driver, _incoming)) = pair().await;
    let (mine, theirs) = UnixStream::pair().unwrap();
    link.pass_socket("somebody", theirs);
    let (end, other_end) = tokio::join!(driver.run(), other_driver.run());
    assert!(matches!(&other_end, LinkEnd::Protocol(error) if error.to_string().contains("accepts none")));
    assert!(matches!(end, LinkEnd::Refused(_)), "{end:?}");
    // The socket is closed: whoever holds the other end sees it.
    mine.set_nonblocking(true).unwrap();
    assert_eq!(std::io::Read::read(&mut &mine, &mut [0]).unwrap(), 0);
}

#[tokio::test]
async fn a_side_that_accepts_no_introductions_takes_one_that_it_expects() {
    let ((link, driver, _none), (other, other_driver, mut incoming)) = pair().await;
    let (_mine, theirs) = UnixStream::pair().unwrap();
    let (_mine_too, theirs_too) = UnixStream::pair().unwrap();
    let other_end = async {
        let end = other_driver.run().await;
        assert!(
            matches!(&end, LinkEnd::Protocol(error) if error.to_string().contains("accepts none")),
            "{end}"
        );
    };
    let meet = async {
        // The driver sleeps in a read when it is told.
        let call = link.call(0, bytes("ready?"));
        let Some(Request::Call(asked)) = incoming.recv().await else { panic!("not a call") };
        other.expect_introduction();
        asked.responder.reply(bytes("yes"));
        assert_eq!(call.await.unwrap(), "yes");
        link.pass_socket("somebody", theirs);
        assert_eq!(next_introduction(&mut incoming).await.name, "somebody");
        assert!(link.call(0, vec![7; 300_000]).now_or_never().is_none(), "the link goes on");
        link.pass_socket("one more", theirs_too);
    };
    tokio::join!(driver.run(), other_end, meet);
}

#[tokio::test]
async fn an_introduction_without_a_socket_ends_the_link() {
    let mut accepts = config("victim");
    accepts.accepts_introductions = true;
    let (mut raw, (_link, driver, _incoming)) = Raw::connect(accepts).await;
    raw.send(Header::new(Kind::Introduce, 0), &IntroduceMessage::new("nobody").to_bytes()).await;
    match driver.run().await {
        LinkEnd::Protocol(error) => assert!(matches!(*error, ProtocolError::Unexpected { .. }), "{error}"),
        other => panic!("not a protocol error: {other:?}"),
    }
}

#[tokio::test]
async fn a_socket_without_an_introduction_ends_the_link() {
    let mut accepts = config("victim");
    accepts.accepts_introductions = true;
    let (raw, (_link, driver, _incoming)) = Raw::connect(accepts).await;
    let (mine, theirs) = UnixStream::pair().unwrap();
    // With the first byte of a frame that has none.
    let descriptors = [theirs.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let ping = Header::new(Kind::Ping, 1).to_bytes();
    let sent = sendmsg(&raw.stream, &[IoSlice::new(&ping)], &mut control, SendFlags::NOSIGNAL).unwrap();
    assert_eq!(sent, ping.len());
    drop(theirs);
    match driver.run().await {
        LinkEnd::Protocol(error) => assert!(error.to_string().contains("came without it"), "{error}"),
        other => panic!("not a protocol error: {other:?}"),
    }
    // It was closed.
    mine.set_nonblocking(true).unwrap();
    assert_eq!(std::io::Read::read(&mut &mine, &mut [0]).unwrap(), 0);
}

#[tokio::test]
async fn introductions_that_nobody_fetches_are_bounded() {
    let ((link, driver, _none), (_other, other_driver, _incoming)) = introducible("lazy").await;
    let mut mine = Vec::new();
    for _ in 0..80 {
        let (one, other) = UnixStream::pair().unwrap();
        link.pass_socket("somebody", other);
        mine.push(one);
    }
    let (_end, other_end) = tokio::join!(driver.run(), other_driver.run());
    match other_end {
        LinkEnd::Protocol(error) => assert!(matches!(*error, ProtocolError::Overrun { .. }), "{error}"),
        other => panic!("not a protocol error: {other:?}"),
    }
}

#[tokio::test]
async fn a_goodbye_when_idle_waits_for_what_is_open() {
    let ((link, driver, _none), (_other, other_driver, mut incoming)) = pair().await;
    let work = async {
        let call = link.call(0, bytes("last"));
        let Some(Request::Call(served)) = incoming.recv().await else { panic!("not a call") };
        link.goodbye_when_idle();
        assert!(matches!(link.call(0, bytes("late")).await, Err(CallEnd::NotSent(LinkEnd::Goodbye))));
        assert!(link.end().is_none(), "one is open");
        served.responder.reply(bytes("done"));
        call.await
    };
    let (answer, end, other_end) = tokio::join!(work, driver.run(), other_driver.run());
    assert_eq!(answer.unwrap(), "done");
    assert!(matches!((end, other_end), (LinkEnd::Goodbye, LinkEnd::Goodbye)));
}

#[tokio::test]
async fn typed_channels_carry_values_both_ways_and_close_by_halves() {
    type Point = (u32, String, Payload);
    let point = |n: u32| (n, n.to_string(), Payload::from(vec![n as u8; 3_000 * n as usize]));
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair_with(Limits::default()).await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let serve = async {
            let Some(Request::Open(mut dialog)) = incoming.recv().await else { panic!("not a dialog") };
            dialog.responder.started(Bytes::new()).unwrap();
            let mut sender = TypedSender::<Point>::new(dialog.sender);
            let mut receiver = TypedReceiver::<u32, MsgPack>::new(dialog.receiver);
            let mut sum = 0;
            while let Some(n) = receiver.recv().await.unwrap() {
                sender.send(&point(n)).await.unwrap();
                sum += n;
            }
            // The caller sends no more; this direction is still open.
            sender.send(&point(sum)).await.unwrap();
            sender.end();
            dialog.responder.reply(Bytes::new());
        };
        let ask = async {
            let (mut dialog, sender, receiver) = link.open(0, Bytes::new());
            let mut sender = TypedSender::<u32, MsgPack>::new(sender);
            let mut receiver = TypedReceiver::<Point>::new(receiver);
            dialog.started().await.unwrap();
            for n in 0..40 {
                sender.send(&n).await.unwrap();
                assert_eq!(receiver.recv().await.unwrap(), Some(point(n)));
            }
            sender.end();
            assert_eq!(receiver.recv().await.unwrap(), Some(point((0..40).sum())));
            assert_eq!(receiver.recv().await.unwrap(), None);
            dialog.ended().await.unwrap();
        };
        tokio::join!(serve, ask);
    })
    .await;
}

#[tokio::test]
async fn a_typed_call_decodes_its_answer_or_says_what_is_wrong_with_it() {
    let ((link, driver, _none), (_link, other_driver, incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run(), echo(incoming)) };
    alongside(background, async {
        let options = CallOptions::default();
        let sent = (7_u32, "seven".to_owned());
        let got: (u32, String) = link.call_typed::<Postcard, _, _>(0, &sent, options).await.unwrap();
        assert_eq!(got, sent);
        let error = link.call_typed::<Postcard, _, u8>(0, &sent, options).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot decode a value of type u8"), "{error}");
    })
    .await;
}
