//! Messages that are longer than a frame: they arrive whole, delay nobody, and cost a hostile peer its link.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Raw, alongside, bytes, config, echo, pair, pair_with};
use tokio::io::AsyncWriteExt;
use triune_ipc::{CallEnd, Driver, LinkEnd, ProtocolError, Request};
use triune_wire::{
    CancelCause, CancelMessage, Codec, FRAME_MAX, Header, Kind, Limits, Payload, Postcard, Report,
    ReportKind, flag,
};

const MIB: usize = 1024 * 1024;

fn pattern(len: usize) -> Bytes {
    (0..len).map(|at| (at % 251) as u8).collect::<Vec<u8>>().into()
}

fn explicit() -> CancelMessage {
    CancelMessage::new(CancelCause::Explicit, "enough")
}

#[tokio::test]
async fn messages_of_any_length_arrive_whole() {
    let ((link, driver, _none), (_link, other_driver, incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run(), echo(incoming)) };
    alongside(background, async {
        let frame = FRAME_MAX as usize;
        for len in [frame - 6, frame - 5, frame - 4, frame, frame + 1, 2 * frame, 3 * frame + 7, 5 * MIB] {
            let sent = pattern(len);
            assert_eq!(link.call(0, sent.clone()).await.unwrap(), sent, "{len} bytes");
        }
    })
    .await;
}

#[tokio::test]
async fn the_parts_of_a_message_arrive_as_one() {
    let ((link, driver, _none), (_link, other_driver, incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run(), echo(incoming)) };
    alongside(background, async {
        let value = (7_u8, Payload::from(pattern(10_000)), "between", Payload::from(pattern(300_000)));
        let answer = link.call(0, Postcard::to_message(&value).unwrap()).await.unwrap();
        let (number, small, text, large) =
            Postcard::decode_shared::<(u8, Payload, String, Payload)>(&answer).unwrap();
        assert_eq!((number, text.as_str()), (7, "between"));
        assert!(*small == pattern(10_000) && *large == pattern(300_000));
    })
    .await;
}

#[tokio::test]
async fn items_keep_their_order_around_long_ones() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    let lengths = [3, 200_000, 0, 5, 70_000, FRAME_MAX as usize, FRAME_MAX as usize + 1, 1];
    alongside(background, async {
        let serve = async {
            let Some(Request::Open(mut dialog)) = incoming.recv().await else { panic!("not a dialog") };
            dialog.responder.started(pattern(400_000)).unwrap();
            for len in lengths {
                dialog.sender.send(pattern(len)).await.unwrap();
            }
            dialog.sender.end();
            dialog.responder.reply(pattern(300_000));
        };
        let ask = async {
            let (mut dialog, _sender, mut receiver) = link.open(0, pattern(100_000));
            assert_eq!(dialog.started().await.unwrap(), pattern(400_000));
            for len in lengths {
                assert_eq!(receiver.recv().await.unwrap().unwrap(), pattern(len), "{len} bytes");
            }
            assert!(receiver.recv().await.unwrap().is_none());
            assert_eq!(dialog.ended().await.unwrap(), pattern(300_000));
        };
        tokio::join!(serve, ask);
    })
    .await;
}

/// A peer that reads nothing until everything is queued, and then tells the order in which it comes.
#[tokio::test]
async fn a_small_call_and_a_cancel_overtake_a_large_message() {
    let (mut raw, (link, driver, _incoming)) = Raw::connect(config("caller")).await;
    alongside(driver.run(), async {
        let large = link.call(0, vec![0; 32 * MIB]);
        // The socket is full of it before the others are made.
        let first = raw.recv().await.unwrap();
        assert_eq!((first.kind, first.flags), (Kind::Call, flag::PIECES));
        let small = link.call(0, bytes("small"));
        large.cancel(explicit());
        let mut pieces = 0;
        let mut order = Vec::new();
        while order.len() < 3 {
            let frame = raw.recv().await.unwrap();
            match frame.kind {
                Kind::Piece if frame.body.is_empty() => order.push("given up"),
                Kind::Piece => pieces += 1,
                Kind::Cancel => order.push("cancel"),
                Kind::Call => order.push("small"),
                other => panic!("unexpected {other}"),
            }
        }
        assert_eq!(order, ["cancel", "small", "given up"]);
        // What was in the socket (1 MiB each way) and in the batch of the driver; not the 512 of the message.
        assert!(pieces < 64, "{pieces} pieces went first");
        drop((small, large));
    })
    .await;
}

#[tokio::test]
async fn a_large_call_that_is_cancelled_on_its_way_ends_as_cancelled() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        for len in [MIB, 8 * MIB, 60 * MIB] {
            let call = link.call(0, vec![0; len]);
            call.cancel(explicit());
            match call.await {
                Err(CallEnd::Failed(report)) => assert_eq!(report.kind, ReportKind::Cancelled, "{report}"),
                Err(CallEnd::Cancelled(_)) => {}
                other => panic!("not cancelled: {other:?}"),
            }
        }
        // The link is as good as new, and the handler has seen none of them.
        let (answer, ()) = tokio::join!(link.call(0, bytes("next")), async {
            let Some(Request::Call(call)) = incoming.recv().await else { panic!("not a call") };
            call.responder.reply(call.args);
        });
        assert_eq!(answer.unwrap(), "next");
    })
    .await;
}

#[tokio::test]
async fn a_dialog_that_ends_in_the_middle_of_a_long_item_leaves_nothing_behind() {
    let mut limits = Limits::default();
    limits.max_in_flight = 2;
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair_with(limits).await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        for _ in 0..50 {
            let serve = async {
                let Some(Request::Open(mut dialog)) = incoming.recv().await else { panic!("not a dialog") };
                dialog.responder.started(Bytes::new()).unwrap();
                dialog.responder.fail(Report::new(ReportKind::Error, "had enough"));
            };
            let ask = async {
                let (mut dialog, mut sender, _receiver) = link.open(0, Bytes::new());
                dialog.started().await.unwrap();
                // It may have ended before the item was begun.
                let _sent = sender.send(vec![0; 20 * MIB]).await;
                assert!(dialog.ended().await.is_err());
            };
            tokio::join!(serve, ask);
        }
    })
    .await;
}

async fn protocol_error(driver: Driver) -> Arc<ProtocolError> {
    match driver.run().await {
        LinkEnd::Protocol(error) => error,
        other => panic!("not a protocol error: {other:?}"),
    }
}

/// The first frame of a message that claims to be so long.
fn first(kind: Kind, id: u64, total: u32) -> Vec<u8> {
    let mut header = Header::new(kind, id);
    header.flags |= flag::PIECES;
    let mut out = Vec::new();
    header.frame(&[&total.to_le_bytes()[..], &[0; 5]].concat(), &mut out);
    out
}

fn piece(id: u64, len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    Header::new(Kind::Piece, id).frame(&vec![0; len], &mut out);
    out
}

#[tokio::test]
async fn pieces_that_do_not_fit_end_the_link() {
    const LONG: u32 = FRAME_MAX + 100;
    let call = Kind::Call;
    let plain = |kind, id| {
        let mut out = Vec::new();
        Header::new(kind, id).frame(&[0; 5], &mut out);
        out
    };
    let cases = [
        (first(call, 1, u32::MAX), "exceeds the limit of a message"),
        (first(call, 1, FRAME_MAX), "a length that needs no pieces"),
        (first(call, 1, 3), "a length that needs no pieces"),
        (piece(1, 5), "no message that it belongs to"),
        ([first(call, 1, LONG), piece(2, 5)].concat(), "no message that it belongs to"),
        ([first(call, 1, LONG), piece(1, 60_000), piece(1, 60_000)].concat(), "longer than the message"),
        ([first(call, 1, LONG), first(call, 1, LONG)].concat(), "the message before it is not complete"),
        ([first(call, 2, LONG), first(call, 1, LONG)].concat(), "ids of requests must grow"),
        ([first(call, 1, LONG), plain(Kind::Item, 1)].concat(), "the message before it is not complete"),
        (first(Kind::Item, 7, LONG), "there is no such dialog"),
        ([first(call, 1, LONG), piece(1, 0), piece(1, 5)].concat(), "no message that it belongs to"),
    ];
    for (attack, reason) in cases {
        let (mut raw, (_link, driver, _incoming)) = Raw::connect(config("victim")).await;
        raw.stream.write_all(&attack).await.unwrap();
        let error = protocol_error(driver).await;
        assert!(error.to_string().contains(reason), "{reason}: {error}");
    }
}

#[tokio::test]
async fn an_answer_that_is_given_up_ends_the_link_and_with_it_the_wait() {
    for kind in [Kind::Reply, Kind::Error] {
        let (mut raw, (link, driver, _incoming)) = Raw::connect(config("victim")).await;
        let call = link.call(0, Bytes::new());
        let attack = async {
            let id = raw.recv().await.unwrap().id;
            let mut beginning = Header::new(kind, id).to_caller();
            beginning.flags |= flag::PIECES;
            raw.send(beginning, &[&(FRAME_MAX + 1).to_le_bytes()[..], &[0; 5]].concat()).await;
            raw.send(Header::new(Kind::Piece, id).to_caller(), b"").await;
        };
        let (error, answer, ()) = tokio::join!(protocol_error(driver), call, attack);
        assert!(error.to_string().contains("an answer cannot be given up"), "{error}");
        assert!(matches!(answer, Err(CallEnd::Lost(LinkEnd::Protocol(_)))));
    }
}

/// Beginnings of long messages: each claims much and sends little.
#[tokio::test]
async fn a_bomb_of_beginnings_is_counted_by_what_it_claims() {
    let (mut raw, (_link, driver, _incoming)) = Raw::connect(config("victim")).await;
    for id in 1..=3 {
        raw.stream.write_all(&first(Kind::Call, id, 60 * 1024 * 1024)).await.unwrap();
    }
    let error = protocol_error(driver).await;
    assert!(error.to_string().contains("bytes of requests in flight"), "{error}");

    let mut limits = Limits::default();
    limits.max_in_flight = 8;
    let (mut raw, (_link, driver, _incoming)) = Raw::connect(config("victim").with_limits(limits)).await;
    for id in 1..=9 {
        raw.stream.write_all(&first(Kind::Open, id, FRAME_MAX + 1)).await.unwrap();
    }
    let error = protocol_error(driver).await;
    assert!(error.to_string().contains("requests in flight"), "{error}");
}

/// A peer that begins long items of dialogs that end at once, and never gives them up.
#[tokio::test]
async fn beginnings_of_items_of_ended_dialogs_do_not_pile_up() {
    let mut limits = Limits::default();
    limits.max_in_flight = 4;
    let (mut raw, (_link, driver, mut incoming)) = Raw::connect(config("victim").with_limits(limits)).await;
    let serve = async {
        while let Some(request) = incoming.recv().await {
            if let Request::Open(mut dialog) = request {
                dialog.responder.started(Bytes::new()).unwrap();
                dialog.responder.reply(Bytes::new());
            }
        }
    };
    let attack = async {
        for id in 1.. {
            raw.request(Kind::Open, id, b"").await;
            loop {
                match raw.recv().await {
                    None => return id,
                    Some(frame) if frame.kind == Kind::Reply => break,
                    Some(_) => {}
                }
            }
            if raw.stream.write_all(&first(Kind::Item, id, FRAME_MAX + 1)).await.is_err() {
                return id;
            }
        }
        unreachable!("the ids do not run out")
    };
    let (error, (), rounds) = tokio::join!(protocol_error(driver), serve, attack);
    assert!(error.to_string().contains("the limit of messages in pieces"), "{error}");
    assert!(rounds < 16, "{rounds} beginnings were kept");
}

#[tokio::test]
async fn a_deadline_travels_as_the_time_that_is_left() {
    use tokio::time::{Duration, Instant};
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let mut options = triune_ipc::CallOptions::default();
        let at = Instant::now() + Duration::from_secs(60);
        options.deadline = Some(at);
        options.trace = Some(triune_wire::TraceContext { trace_id: [1; 16], span_id: [2; 8], flags: 1 });
        let _call = link.call_with(0, bytes("x"), options);
        let _plain = link.call(0, bytes("y"));
        let Some(Request::Call(call)) = incoming.recv().await else { panic!("not a call") };
        let there = call.deadline.unwrap();
        let late = there.saturating_duration_since(at).max(at.saturating_duration_since(there));
        assert!(late < Duration::from_secs(5), "{late:?} apart");
        assert_eq!(call.trace, options.trace);
        let Some(Request::Call(plain)) = incoming.recv().await else { panic!("not a call") };
        assert!(plain.deadline.is_none() && plain.trace.is_none());
    })
    .await;
}

/// A short item right behind one that is still being written waits for its end, with all that is in it.
#[tokio::test]
async fn short_typed_items_behind_a_long_one_keep_their_content() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    let talk = async {
        let (mut dialog, sender, _receiver) = link.open(0, Bytes::new());
        let Some(Request::Open(mut handler)) = incoming.recv().await else { panic!("not a dialog") };
        handler.responder.started(Bytes::new()).unwrap();
        dialog.started().await.unwrap();
        let mut sender = triune_ipc::TypedSender::<Vec<u32>>::new(sender);
        let mut receiver = triune_ipc::TypedReceiver::<Vec<u32>>::new(handler.receiver);
        for round in 0..20_u32 {
            let items = [
                vec![u32::MAX; 40_000],
                vec![round],
                vec![],
                vec![round; 1_000],
                vec![7; 30_000],
                vec![1, 2],
            ];
            for item in &items {
                sender.send(item).await.unwrap();
            }
            for item in items {
                assert_eq!(receiver.recv().await.unwrap().unwrap(), item);
            }
        }
        // What was queued is accounted for: more than the queue has room for goes through.
        for _ in 0..200 {
            sender.send(&vec![u32::MAX; 40_000]).await.unwrap();
            sender.send(&vec![3]).await.unwrap();
            receiver.recv().await.unwrap().unwrap();
            receiver.recv().await.unwrap().unwrap();
        }
    };
    alongside(background, Box::pin(talk)).await;
}
