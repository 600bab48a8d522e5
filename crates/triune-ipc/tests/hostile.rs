//! A peer that breaks the rules loses its link, with an error that says what it did, and nothing else.

#[expect(dead_code, reason = "this file needs a part of it")]
mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Raw, alongside, config, echo, pair};
use futures_util::FutureExt;
use tokio::io::AsyncWriteExt;
use triune_ipc::{CallEnd, Driver, LinkEnd, ProtocolError, Request};
use triune_wire::{FrameError, Header, Kind, Limits, Report, ReportKind, flag};

async fn protocol_error(driver: Driver) -> Arc<ProtocolError> {
    match driver.run().await {
        LinkEnd::Protocol(error) => error,
        other => panic!("not a protocol error: {other:?}"),
    }
}

#[tokio::test]
async fn a_length_beyond_the_limit_ends_the_link() {
    let (mut raw, (link, driver, _incoming)) = Raw::connect(config("victim")).await;
    let mut header = Header::new(Kind::Call, 1);
    header.len = u32::MAX;
    raw.stream.write_all(&header.to_bytes()).await.unwrap();
    let call = link.call(0, Bytes::new());
    let error = protocol_error(driver).await;
    assert!(matches!(&*error, ProtocolError::Frame(FrameError::TooLarge { .. })), "{error}");
    assert!(call.await.unwrap_err().link_end().is_some());
}

#[tokio::test]
async fn a_frame_that_is_cut_off_ends_the_link() {
    let (mut raw, (_link, driver, _incoming)) = Raw::connect(config("victim")).await;
    raw.stream.write_all(&Header::new(Kind::Call, 1).to_bytes()[..9]).await.unwrap();
    drop(raw);
    let error = protocol_error(driver).await;
    assert!(matches!(&*error, ProtocolError::Frame(FrameError::Truncated { missing: 7, .. })), "{error}");
}

#[tokio::test]
async fn the_culprit_is_told_what_it_did() {
    let (mut raw, (_link, driver, _incoming)) = Raw::connect(config("victim")).await;
    raw.send(Header::new(Kind::Reply, 9).to_caller(), b"unasked").await;
    let error = protocol_error(driver).await;
    assert!(error.to_string().contains("unexpected REPLY for id 9"), "{error}");
    let goodbye = raw.recv().await.unwrap();
    assert_eq!(goodbye.kind, Kind::Goodbye);
    assert!(Report::from_bytes(&goodbye.body).unwrap().message.contains("unexpected REPLY for id 9"));
    assert!(raw.recv().await.is_none());
}

#[tokio::test]
async fn an_accusation_of_the_peer_ends_the_link_with_its_text() {
    let (mut raw, (_link, driver, _incoming)) = Raw::connect(config("accused")).await;
    let report = Report::new(ReportKind::Protocol, "you sent nonsense");
    raw.send(Header::new(Kind::Goodbye, 0), &report.to_bytes(1 << 16)).await;
    match driver.run().await {
        LinkEnd::Refused(got) => assert_eq!(*got, report),
        other => panic!("not refused: {other:?}"),
    }
}

/// A raw caller that was granted 64 items and sends one more.
#[tokio::test]
async fn an_overrun_of_credits_ends_only_that_link() {
    let ((link, good_driver, _none), (_link, good_other, good_incoming)) = pair().await;
    let background = async { tokio::join!(good_driver.run(), good_other.run(), echo(good_incoming)) };
    alongside(background, async {
        let (mut raw, (_victim, driver, mut incoming)) = Raw::connect(config("victim")).await;
        raw.request(Kind::Open, 1, b"").await;
        let serve = async {
            match incoming.recv().await {
                Some(Request::Open(mut dialog)) => {
                    dialog.responder.started(Bytes::new()).unwrap();
                    dialog
                }
                other => panic!("not a dialog: {other:?}"),
            }
        };
        let attack = async {
            assert_eq!(raw.recv().await.unwrap().kind, Kind::Started);
            for _ in 0..65 {
                raw.send(Header::new(Kind::Item, 1), b"item").await;
            }
        };
        let (error, (), mut dialog) = tokio::join!(protocol_error(driver), attack, serve);
        assert!(matches!(&*error, ProtocolError::Overrun { kind: Kind::Item, id: 1, .. }), "{error}");
        // What was within the window is still there, then comes the end.
        for _ in 0..64 {
            assert_eq!(dialog.receiver.recv().await.unwrap().unwrap(), "item");
        }
        assert!(matches!(dialog.receiver.recv().await, Err(CallEnd::Lost(LinkEnd::Protocol(_)))));
        assert!(dialog.responder.cancelled().now_or_never().is_some());
        // The other link of this program has not noticed.
        assert_eq!(link.call(0, Bytes::from_static(b"fine")).await.unwrap(), "fine");
    })
    .await;
}

#[tokio::test]
async fn an_overrun_of_requests_in_flight_ends_the_link() {
    let mut limits = Limits::default();
    limits.max_in_flight = 3;
    let (mut raw, (_link, driver, _incoming)) = Raw::connect(config("victim").with_limits(limits)).await;
    for id in 1..=4 {
        raw.request(Kind::Call, id, b"").await;
    }
    let error = protocol_error(driver).await;
    assert!(matches!(&*error, ProtocolError::Overrun { kind: Kind::Call, id: 4, .. }), "{error}");
}

#[tokio::test]
async fn an_overrun_of_request_bytes_ends_the_link() {
    let mut limits = Limits::default();
    limits.max_request_bytes = 1_000;
    let (mut raw, (_link, driver, _incoming)) = Raw::connect(config("victim").with_limits(limits)).await;
    raw.request(Kind::Call, 1, &[0; 1_000]).await;
    raw.request(Kind::Call, 2, b"").await;
    let error = protocol_error(driver).await;
    assert!(matches!(&*error, ProtocolError::Overrun { kind: Kind::Call, id: 2, .. }), "{error}");
}

/// Answers that nobody reads must not pile up: they count as in flight until they are written.
#[tokio::test]
async fn a_peer_that_never_reads_its_answers_ends_the_link() {
    let mut limits = Limits::default();
    limits.max_in_flight = 8;
    let (mut raw, (_link, driver, mut incoming)) = Raw::connect(config("victim").with_limits(limits)).await;
    let serve = async {
        let mut served = 0_u64;
        while let Some(request) = incoming.recv().await {
            if let Request::Call(call) = request {
                call.responder.reply(Bytes::from(vec![0; 1 << 20]));
                served += 1;
            }
        }
        served
    };
    let attack = async {
        for id in 1.. {
            let mut frame = Vec::new();
            Header::new(Kind::Call, id).frame(&[0; 5], &mut frame);
            if raw.stream.write_all(&frame).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    let (error, (), served) = tokio::join!(protocol_error(driver), attack, serve);
    assert!(matches!(&*error, ProtocolError::Overrun { kind: Kind::Call, .. }), "{error}");
    assert!(served < 64, "{served} answers of 1 MiB were made");
}

/// Items that are sent without reading the credits for them must not make credits pile up.
#[tokio::test]
async fn a_peer_that_never_reads_its_credits_does_not_make_them_pile_up() {
    let (mut raw, (_link, driver, mut incoming)) = Raw::connect(config("victim")).await;
    raw.request(Kind::Open, 1, b"").await;
    let consume = async {
        let Some(Request::Open(mut dialog)) = incoming.recv().await else { panic!("not a dialog") };
        dialog.responder.started(Bytes::new()).unwrap();
        while let Ok(Some(_)) = dialog.receiver.recv().await {}
    };
    let attack = async {
        assert_eq!(raw.recv().await.unwrap().kind, Kind::Started);
        // The credit for these is taken for granted, until it is not: 28 bytes for 32 items fill the socket
        // in the end, and then the window is not renewed.
        let mut burst = Vec::new();
        (0..32).for_each(|_| Header::new(Kind::Item, 1).frame(b"", &mut burst));
        while raw.stream.write_all(&burst).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    let (error, (), ()) = tokio::join!(protocol_error(driver), attack, consume);
    assert!(matches!(&*error, ProtocolError::Overrun { kind: Kind::Item, .. }), "{error}");
}

#[tokio::test]
async fn a_flood_of_pings_ends_the_link() {
    let (mut raw, (_link, driver, _incoming)) = Raw::connect(config("victim")).await;
    let mut pings = Vec::new();
    (0..17).for_each(|id| Header::new(Kind::Ping, id).frame(b"", &mut pings));
    raw.stream.write_all(&pings).await.unwrap();
    let error = protocol_error(driver).await;
    assert!(matches!(&*error, ProtocolError::Overrun { kind: Kind::Ping, .. }), "{error}");
}

#[tokio::test]
async fn a_ping_is_answered() {
    let (mut raw, (_link, driver, _incoming)) = Raw::connect(config("peer")).await;
    alongside(driver.run(), async {
        raw.send(Header::new(Kind::Ping, 77), b"").await;
        let pong = raw.recv().await.unwrap();
        assert_eq!((pong.kind, pong.id), (Kind::Pong, 77));
    })
    .await;
}

#[tokio::test]
async fn a_grant_of_more_than_was_sent_ends_the_link() {
    let (mut raw, (link, driver, _incoming)) = Raw::connect(config("victim")).await;
    let (_dialog, _sender, _receiver) = link.open(0, Bytes::new());
    let attack = async {
        let open = raw.recv().await.unwrap();
        raw.send(Header::new(Kind::Started, open.id).to_caller(), b"").await;
        let credit = triune_wire::Credit { items: 1, bytes: 0 }.to_bytes();
        raw.send(Header::new(Kind::Credit, open.id).to_caller(), &credit).await;
    };
    let (error, ()) = tokio::join!(protocol_error(driver), attack);
    assert!(matches!(&*error, ProtocolError::Overrun { kind: Kind::Credit, .. }), "{error}");
}

#[tokio::test]
async fn frames_out_of_place_end_the_link() {
    let to_caller = |kind, id| Header::new(kind, id).to_caller();
    let mut closed = Header::new(Kind::Credit, 5);
    closed.flags |= flag::CLOSED;
    let out_of_place = [
        (Header::new(Kind::Hello, 0), "the handshake is over"),
        (Header::new(Kind::Call, 0), "ids of requests must grow"),
        (Header::new(Kind::Item, 5), "no such request was made"),
        (Header::new(Kind::End, 5), "no such request was made"),
        (closed, "no such request was made"),
        (to_caller(Kind::Started, 65_536), "no such request is in flight"),
        (to_caller(Kind::Error, u64::MAX), "no such request is in flight"),
        (Header::new(Kind::Call, 5), "its head cannot be read"),
        (Header::new(Kind::Cancel, 5), "malformed body of CANCEL"),
    ];
    for (header, reason) in out_of_place {
        let (mut raw, (_link, driver, _incoming)) = Raw::connect(config("victim")).await;
        raw.send(header, b"").await;
        let error = protocol_error(driver).await;
        assert!(error.to_string().contains(reason), "{header:?}: {error}");
    }
}

#[tokio::test]
async fn a_cancel_of_a_request_that_has_ended_is_ignored() {
    let (mut raw, (_link, driver, incoming)) = Raw::connect(config("peer")).await;
    alongside(async { tokio::join!(driver.run(), echo(incoming)) }, async {
        for id in 1..100 {
            raw.request(Kind::Call, id, b"x").await;
            assert_eq!(raw.recv().await.unwrap().kind, Kind::Reply);
            let cancel = triune_wire::CancelMessage::new(triune_wire::CancelCause::Explicit, "late");
            raw.send(Header::new(Kind::Cancel, id), &cancel.to_bytes()).await;
            raw.send(Header::new(Kind::Item, id), b"late").await;
        }
    })
    .await;
}

#[tokio::test]
async fn random_frames_never_panic_a_link() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed >> 12;
        seed ^= seed << 25;
        seed ^= seed >> 27;
        seed.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    for _ in 0..300 {
        let (mut raw, (link, driver, incoming)) = Raw::connect(config("victim")).await;
        let (_dialog, _sender, _receiver) = link.open(0, Bytes::new());
        let _call = link.call(0, Bytes::new());
        let mut frames = Vec::new();
        for _ in 0..40 {
            let kind = Kind::from_wire(2 + (random() % 12) as u8).unwrap();
            // Often the ids of the two requests above.
            let id = [0, 1, 2, 3, 65_536, 131_073][(random() % 6) as usize];
            let header = match kind {
                Kind::Reply | Kind::Error | Kind::Started => Header::new(kind, id).to_caller(),
                Kind::Item | Kind::End | Kind::Credit if random() % 2 == 0 => {
                    Header::new(kind, id).to_caller()
                }
                _ => Header::new(kind, id),
            };
            let body = [0; 12];
            header.frame(&body[..[0, 4, 12][(random() % 3) as usize]], &mut frames);
        }
        raw.stream.write_all(&frames).await.unwrap();
        raw.stream.shutdown().await.unwrap();
        tokio::join!(driver.run(), echo(incoming));
    }
}
