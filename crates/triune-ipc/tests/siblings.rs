//! What one request or one peer does is never felt by the others: neither on the same link nor on another one.

mod common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Raw, alongside, bytes, config, echo, pair};
use futures_util::FutureExt;
use triune_ipc::{CallEnd, Incoming, IncomingDialog, LinkEnd, ProtocolError, Request};
use triune_wire::{CancelCause, CancelMessage, Kind, Limits, Report, ReportKind};

async fn next_dialog(incoming: &mut Incoming) -> IncomingDialog {
    match incoming.recv().await {
        Some(Request::Open(dialog)) => dialog,
        other => panic!("not a dialog: {other:?}"),
    }
}

fn enough() -> CancelMessage {
    CancelMessage::new(CancelCause::Explicit, "enough")
}

#[tokio::test]
async fn a_slow_clean_up_of_one_dialog_does_not_stall_another() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    let talk = async {
        let (mut slow, _slow_sender, _slow_receiver) = link.open(0, Bytes::new());
        let mut slow_handler = next_dialog(&mut incoming).await;
        slow_handler.responder.started(Bytes::new()).unwrap();
        slow.started().await.unwrap();
        let (mut quick, mut quick_sender, mut quick_receiver) = link.open(0, Bytes::new());
        let mut quick_handler = next_dialog(&mut incoming).await;
        quick_handler.responder.started(Bytes::new()).unwrap();
        quick.started().await.unwrap();

        slow.cancel(enough());
        assert_eq!(slow_handler.responder.cancelled().await, enough());
        // It cleans up, with items that nobody reads in its window, while the other one talks.
        while slow_handler.sender.try_send(vec![0; 50_000]).is_ok() {}
        for n in 0..10_000_u32 {
            let item = Bytes::copy_from_slice(&n.to_le_bytes());
            quick_sender.send(item.clone()).await.unwrap();
            assert_eq!(quick_handler.receiver.recv().await.unwrap().unwrap(), item);
            quick_handler.sender.send(item.clone()).await.unwrap();
            assert_eq!(quick_receiver.recv().await.unwrap().unwrap(), item);
        }
        assert!(slow.ended().now_or_never().is_none(), "it is still at it");
        slow_handler.responder.fail(Report::new(ReportKind::Cancelled, "cleaned up"));
        assert!(matches!(slow.ended().await, Err(CallEnd::Failed(report)) if report.message == "cleaned up"));
    };
    alongside(background, Box::pin(talk)).await;
}

/// Nobody reads the items of the saturated dialog; the call, the cancel and its answer pass them.
#[tokio::test]
async fn a_cancel_and_a_call_pass_a_saturated_dialog() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    let talk = async {
        let (mut dialog, _sender, _receiver) = link.open(0, Bytes::new());
        let mut handler = next_dialog(&mut incoming).await;
        handler.responder.started(Bytes::new()).unwrap();
        dialog.started().await.unwrap();
        handler.sender.send(vec![0; 60 << 20]).await.unwrap();
        let call = async {
            let answer = link.call(0, bytes("quick")).await.unwrap();
            let cancelled = Instant::now();
            dialog.cancel(enough());
            let _end = dialog.ended().await.unwrap_err();
            (answer, cancelled.elapsed())
        };
        let serve = async {
            let Some(Request::Call(call)) = incoming.recv().await else { panic!("not a call") };
            call.responder.reply(call.args);
            let _why = handler.responder.cancelled().await;
            handler.responder.fail(Report::new(ReportKind::Cancelled, "stopped"));
        };
        let ((answer, took), ()) = tokio::join!(call, serve);
        assert_eq!(answer, "quick");
        // Not a measurement: 60 MiB in a debug build on a busy machine take longer.
        assert!(took < Duration::from_secs(10), "{took:?}");
    };
    alongside(background, Box::pin(talk)).await;
}

/// A peer that never reads: what this side queues for it is bounded, and its other links do not notice.
#[tokio::test]
async fn a_peer_that_stops_reading_costs_its_queue_and_disturbs_nobody() {
    let ((good, good_driver, _none), (_link, good_other, good_incoming)) = pair().await;
    let (mut raw, (link, driver, mut incoming)) = Raw::connect(config("victim")).await;
    let background =
        async { tokio::join!(good_driver.run(), good_other.run(), echo(good_incoming), driver.run()) };
    let talk = async {
        raw.request(Kind::Open, 1, b"").await;
        let mut dialog = next_dialog(&mut incoming).await;
        dialog.responder.started(Bytes::new()).unwrap();
        let mut queued = 0_usize;
        while dialog.sender.try_send(vec![0; 50_000]).is_ok() {
            queued += 50_000;
            assert_eq!(good.call(0, bytes("fine")).await.unwrap(), "fine");
        }
        assert!(queued <= 2 << 20, "{queued} bytes were queued against a window of 1 MiB");
        // Calls wait in their order; none of them is written beyond the bound, and all end with the link.
        let calls: Vec<_> = (0..100).map(|_| link.call(0, vec![0; 1 << 20])).collect();
        assert_eq!(good.call(0, bytes("fine")).await.unwrap(), "fine");
        drop(raw);
        for call in calls {
            assert!(matches!(call.await, Err(CallEnd::Lost(_) | CallEnd::NotSent(_))));
        }
        assert_eq!(good.call(0, bytes("fine")).await.unwrap(), "fine");
    };
    alongside(background, Box::pin(talk)).await;
}

#[tokio::test]
async fn a_flood_of_opens_ends_only_that_link() {
    let ((good, good_driver, _none), (_link, good_other, good_incoming)) = pair().await;
    let background = async { tokio::join!(good_driver.run(), good_other.run(), echo(good_incoming)) };
    let flood = async {
        let mut limits = Limits::default();
        limits.max_in_flight = 100;
        let (mut raw, (_victim, driver, mut incoming)) =
            Raw::connect(config("victim").with_limits(limits)).await;
        let serve = async {
            let mut held = Vec::new();
            while let Some(request) = incoming.recv().await {
                held.push(request);
            }
            held.len()
        };
        let attack = async {
            for id in 1..=101 {
                raw.request(Kind::Open, id, b"").await;
            }
        };
        let (end, held, ()) = tokio::join!(driver.run(), serve, attack);
        match end {
            LinkEnd::Protocol(error) => {
                assert!(
                    matches!(*error, ProtocolError::Overrun { kind: Kind::Open, id: 101, .. }),
                    "{error}"
                );
            }
            other => panic!("not a protocol error: {other:?}"),
        }
        assert!(held <= 100);
        assert_eq!(good.call(0, bytes("fine")).await.unwrap(), "fine");
    };
    alongside(background, Box::pin(flood)).await;
}

/// The other side's descriptors are closed with its link, and a link that ended says the same to everybody.
#[tokio::test]
async fn garbage_before_the_handshake_is_refused_and_disturbs_nobody() {
    let ((good, good_driver, _none), (_link, good_other, good_incoming)) = pair().await;
    let background = async { tokio::join!(good_driver.run(), good_other.run(), echo(good_incoming)) };
    let attack = async {
        for garbage in
            [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xff; 64], &[0; 4096], b"TRIU\x01\x00\x01\x00"]
        {
            let (mine, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            std::io::Write::write_all(&mut &mine, garbage).unwrap();
            drop(mine);
            let error = triune_ipc::connect(theirs, config("victim")).await.unwrap_err().to_string();
            assert!(error.contains("no triune process"), "{error}");
            assert_eq!(good.call(0, bytes("fine")).await.unwrap(), "fine");
        }
    };
    alongside(background, Box::pin(attack)).await;
}
