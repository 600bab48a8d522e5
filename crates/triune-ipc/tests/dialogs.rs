//! Dialogs: items both ways under credits, half close, one end.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[expect(dead_code, reason = "this file needs a part of it")]
mod common;

use bytes::Bytes;
use common::{Raw, alongside, bytes, config, pair, pair_with};
use futures_util::FutureExt;
use triune_ipc::{CallEnd, Incoming, IncomingDialog, Request, SendErrorKind};
use triune_wire::{CancelCause, CancelMessage, Kind, Limits, Report, ReportKind};

async fn next_dialog(incoming: &mut Incoming) -> IncomingDialog {
    match incoming.recv().await {
        Some(Request::Open(dialog)) => dialog,
        other => panic!("not a dialog: {other:?}"),
    }
}

fn number(n: u32) -> Bytes {
    Bytes::copy_from_slice(&n.to_le_bytes())
}

#[tokio::test]
async fn a_dialog_has_a_first_value_items_both_ways_and_a_result() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    let handler = async {
        let mut dialog = next_dialog(&mut incoming).await;
        assert_eq!((dialog.target, &dialog.args[..]), (5, &b"args"[..]));
        dialog.responder.started(bytes("first")).unwrap();
        while let Some(item) = dialog.receiver.recv().await.unwrap() {
            dialog.sender.send(item).await.unwrap();
        }
        dialog.responder.reply(bytes("result"));
    };
    let caller = async {
        let (mut dialog, mut sender, mut receiver) = link.open(5, bytes("args"));
        assert_eq!(dialog.started().await.unwrap(), "first");
        // Far more than a window, in both directions at once.
        let send = async {
            for n in 0..3_000 {
                sender.send(number(n)).await.unwrap();
            }
            sender.end();
        };
        let receive = async {
            for n in 0..3_000 {
                assert_eq!(receiver.recv().await.unwrap().unwrap(), number(n));
            }
            assert_eq!(receiver.recv().await.unwrap(), None);
        };
        tokio::join!(send, receive);
        assert_eq!(dialog.ended().await.unwrap(), "result");
    };
    alongside(background, async { tokio::join!(handler, caller) }).await;
}

#[tokio::test]
async fn items_that_precede_the_result_are_received_before_the_end() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        for fails in [false, true] {
            let (mut dialog, _sender, mut receiver) = link.open(0, Bytes::new());
            let mut handler = next_dialog(&mut incoming).await;
            handler.responder.started(Bytes::new()).unwrap();
            for n in 0..10 {
                handler.sender.try_send(number(n)).unwrap();
            }
            match fails {
                true => handler.responder.fail(Report::new(ReportKind::Error, "failed")),
                false => handler.responder.reply(Bytes::new()),
            }
            assert_eq!(dialog.ended().await.is_err(), fails);
            for n in 0..10 {
                assert_eq!(receiver.recv().await.unwrap().unwrap(), number(n));
            }
            match receiver.recv().await {
                Ok(None) => assert!(!fails),
                Err(CallEnd::Failed(report)) => assert!(fails && report.message == "failed"),
                other => panic!("neither an end nor a failure: {other:?}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_sender_waits_when_the_window_is_used_up() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let (mut dialog, _sender, mut receiver) = link.open(0, Bytes::new());
        let mut handler = next_dialog(&mut incoming).await;
        handler.responder.started(Bytes::new()).unwrap();
        dialog.started().await.unwrap();
        for n in 0..64 {
            handler.sender.send(number(n)).await.unwrap();
        }
        assert!(handler.sender.try_send(number(64)).unwrap_err().is_full());
        // Half of the window less one gives no credit back; one more does.
        for n in 0..31 {
            assert_eq!(receiver.recv().await.unwrap().unwrap(), number(n));
        }
        // A round trip of a call: had a credit been sent, it would have come in before.
        round_trip(&link, &mut incoming).await;
        assert!(handler.sender.send(number(64)).now_or_never().is_none());
        let (sent, item) = tokio::join!(handler.sender.send(number(64)), receiver.recv());
        sent.unwrap();
        assert_eq!(item.unwrap().unwrap(), number(31));
    })
    .await;
}

#[tokio::test]
async fn a_window_counts_bytes_too() {
    let mut limits = Limits::default();
    limits.window_bytes = 1_000;
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair_with(limits).await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let (mut dialog, mut sender, _receiver) = link.open(0, Bytes::new());
        let mut handler = next_dialog(&mut incoming).await;
        handler.responder.started(Bytes::new()).unwrap();
        dialog.started().await.unwrap();
        // One item may exceed the window, alone.
        sender.send(Bytes::from(vec![1; 5_000])).await.unwrap();
        assert!(sender.try_send(bytes("more")).unwrap_err().is_full());
        let (sent, item) = tokio::join!(sender.send(bytes("more")), handler.receiver.recv());
        sent.unwrap();
        assert_eq!(item.unwrap().unwrap().len(), 5_000);
        assert_eq!(handler.receiver.recv().await.unwrap().unwrap(), "more");
    })
    .await;
}

#[tokio::test]
async fn a_cancel_overtakes_queued_items() {
    let ((link, driver, _none), (_link, mut other_driver, mut incoming)) = pair().await;
    let mut driver = Box::pin(driver.run());
    let mut other = Box::pin(other_driver.drive());
    let (mut dialog, mut sender, _receiver) = link.open(0, Bytes::new());
    let mut handler = alongside(async { tokio::join!(&mut driver, &mut other) }, async {
        let mut handler = next_dialog(&mut incoming).await;
        handler.responder.started(Bytes::new()).unwrap();
        dialog.started().await.unwrap();
        handler
    })
    .await;
    // Nothing is driven here: the items are queued, then the cancel.
    for n in 0..64 {
        sender.try_send(number(n)).unwrap();
    }
    dialog.cancel(CancelMessage::new(CancelCause::Explicit, "stop"));
    alongside(async { tokio::join!(&mut driver, &mut other) }, async {
        // The handler is told before the first item, which is on the same socket.
        let message = handler.responder.cancelled().await;
        assert_eq!(message.message, "stop");
        let end = handler.receiver.recv().await.unwrap_err();
        assert!(matches!(end, CallEnd::Cancelled(_)), "{end:?}");
        let error = handler.sender.send(number(0)).await.unwrap_err();
        assert!(matches!(error.kind(), SendErrorKind::Cancelled(_)), "{error:?}");
        // The items come in late, for an id that has ended: they are ignored.
        handler.responder.fail(Report::new(ReportKind::Cancelled, "stopped"));
        assert!(dialog.ended().await.is_err());
        round_trip(&link, &mut incoming).await;
    })
    .await;
}

#[tokio::test]
async fn each_direction_ends_on_its_own() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let (mut dialog, mut sender, mut receiver) = link.open(0, Bytes::new());
        // Before the start: the end is kept until then.
        sender.end();
        assert!(matches!(sender.send(number(0)).await.unwrap_err().kind(), SendErrorKind::Ended));
        let mut handler = next_dialog(&mut incoming).await;
        handler.responder.started(Bytes::new()).unwrap();
        assert_eq!(handler.receiver.recv().await.unwrap(), None);
        handler.sender.send(number(1)).await.unwrap();
        assert_eq!(receiver.recv().await.unwrap().unwrap(), number(1));
        drop(handler.sender);
        assert_eq!(receiver.recv().await.unwrap(), None);
        handler.responder.reply(bytes("after both"));
        assert_eq!(dialog.ended().await.unwrap(), "after both");
    })
    .await;
}

#[tokio::test]
async fn a_receiver_that_goes_away_stops_the_sender() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let (mut dialog, mut sender, receiver) = link.open(0, Bytes::new());
        // The caller's goes before the start, the handler's after it.
        drop(receiver);
        let mut handler = next_dialog(&mut incoming).await;
        handler.responder.started(Bytes::new()).unwrap();
        while let Ok(()) = handler.sender.send(number(0)).await {}
        dialog.started().await.unwrap();
        drop(handler.receiver);
        while let Ok(()) = sender.send(number(0)).await {}
        handler.responder.reply(bytes("fine"));
        assert_eq!(dialog.ended().await.unwrap(), "fine");
    })
    .await;
}

#[tokio::test]
async fn misuse_is_an_error_and_not_a_hang() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let (mut dialog, _sender, mut receiver) = link.open(0, Bytes::new());
        let mut handler = next_dialog(&mut incoming).await;
        let error = handler.sender.send(number(0)).await.unwrap_err();
        assert!(matches!(error.kind(), SendErrorKind::NotStarted));
        assert_eq!(error.into_item(), number(0));
        handler.responder.reply(bytes("without a first value"));
        assert!(matches!(dialog.started().await, Err(CallEnd::Failed(r)) if r.kind == ReportKind::Protocol));
        assert_eq!(dialog.ended().await.unwrap(), "without a first value");
        assert_eq!(receiver.recv().await.unwrap(), None);

        let (_dialog, _sender, _receiver) = link.open(0, Bytes::new());
        let mut handler = next_dialog(&mut incoming).await;
        handler.responder.started(Bytes::new()).unwrap();
        assert!(handler.responder.started(Bytes::new()).is_err());
    })
    .await;
}

#[tokio::test]
async fn a_dialog_that_is_dropped_is_cancelled_over_there() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        drop(link.open(0, Bytes::new()));
        let parts = link.open(1, Bytes::new());
        // The first was cancelled before it was written, so no handler sees it.
        let handler = next_dialog(&mut incoming).await;
        assert_eq!(handler.target, 1);
        drop(parts);
        assert_eq!(handler.responder.cancelled().await.cause, CancelCause::Dropped);
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_goes_away_ends_its_dialog() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let (mut dialog, mut sender, mut receiver) = link.open(0, Bytes::new());
        drop(next_dialog(&mut incoming).await);
        for end in [dialog.started().await.map(Some), receiver.recv().await, dialog.ended().await.map(Some)] {
            assert!(matches!(end, Err(CallEnd::Failed(report)) if report.kind == ReportKind::Dropped));
        }
        assert!(matches!(sender.send(number(0)).await.unwrap_err().kind(), SendErrorKind::Ended));
    })
    .await;
}

/// An END before the failure would tell the caller that the dialog has come to its regular end, if it reads them apart.
#[tokio::test]
async fn what_a_handler_drops_as_it_answers_is_not_ended_before() {
    let (mut raw, (_link, driver, mut incoming)) = Raw::connect(config("callee")).await;
    alongside(driver.run(), async {
        for (id, fails) in [(1, true), (2, false)] {
            raw.request(Kind::Open, id, b"").await;
            let mut handler = next_dialog(&mut incoming).await;
            handler.responder.started(Bytes::new()).unwrap();
            handler.sender.send(number(0)).await.unwrap();
            drop(handler.sender);
            match fails {
                true => handler.responder.fail(Report::new(ReportKind::Error, "the disk is full")),
                false => handler.responder.reply(bytes("done")),
            }
            let last = if fails { Kind::Error } else { Kind::Reply };
            for expected in [Kind::Started, Kind::Item, last] {
                assert_eq!(raw.recv().await.unwrap().kind, expected);
            }
        }
    })
    .await;
}

/// A handler that drops its half and goes on says so at once.
#[tokio::test]
async fn what_a_handler_drops_long_before_its_answer_is_ended() {
    let (mut raw, (_link, driver, mut incoming)) = Raw::connect(config("callee")).await;
    alongside(driver.run(), async {
        raw.request(Kind::Open, 1, b"").await;
        let mut handler = next_dialog(&mut incoming).await;
        handler.responder.started(Bytes::new()).unwrap();
        handler.sender.send(number(0)).await.unwrap();
        drop(handler.sender);
        for expected in [Kind::Started, Kind::Item, Kind::End] {
            assert_eq!(raw.recv().await.unwrap().kind, expected);
        }
        handler.responder.reply(bytes("done"));
        assert_eq!(raw.recv().await.unwrap().kind, Kind::Reply);
    })
    .await;
}

/// A call there and back: everything that was written before has been read after it.
async fn round_trip(link: &triune_ipc::Link, incoming: &mut Incoming) {
    let call = link.call(0, Bytes::new());
    match incoming.recv().await {
        Some(Request::Call(handler)) => handler.responder.reply(Bytes::new()),
        other => panic!("not a call: {other:?}"),
    }
    call.await.unwrap();
}

/// The receiving half takes over all that is there, but what it has not given out yet is not consumed: no credit for it.
#[tokio::test]
async fn items_that_were_taken_over_give_back_no_credit_before_they_are_received() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let (mut dialog, _sender, mut receiver) = link.open(0, Bytes::new());
        let mut handler = next_dialog(&mut incoming).await;
        handler.responder.started(Bytes::new()).unwrap();
        dialog.started().await.unwrap();
        for window in 0..20 {
            // As many as half of the window has, each time: the first half is there, the second comes with the credit.
            for n in 0..32 {
                handler.sender.send(number(window * 32 + n)).await.unwrap();
            }
            round_trip(&link, &mut incoming).await;
            for n in 0..32 {
                assert_eq!(receiver.recv().await.unwrap().unwrap(), number(window * 32 + n));
            }
        }
        // Now a full window is free again, and not one item more.
        round_trip(&link, &mut incoming).await;
        let mut sent = 0;
        while handler.sender.try_send(number(sent)).is_ok() {
            sent += 1;
        }
        assert_eq!(sent, 64);
        round_trip(&link, &mut incoming).await;
        // One is received; the other 63 are taken over with it.
        assert_eq!(receiver.recv().await.unwrap().unwrap(), number(0));
        round_trip(&link, &mut incoming).await;
        assert!(handler.sender.try_send(number(64)).unwrap_err().is_full());
    })
    .await;
}

/// A handler that has taken over many items hears of its cancellation before the next of them.
#[tokio::test]
async fn a_cancel_is_heard_before_the_items_that_were_taken_over() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let (mut dialog, mut sender, _receiver) = link.open(0, Bytes::new());
        let mut handler = next_dialog(&mut incoming).await;
        handler.responder.started(Bytes::new()).unwrap();
        dialog.started().await.unwrap();
        for n in 0..40 {
            sender.send(number(n)).await.unwrap();
        }
        round_trip(&link, &mut incoming).await;
        assert_eq!(handler.receiver.recv().await.unwrap().unwrap(), number(0));
        // The end of another request is no reason to lose any.
        let other = link.call(1, Bytes::new());
        let Some(Request::Call(call)) = incoming.recv().await else { panic!("not a call") };
        other.cancel(CancelMessage::new(CancelCause::Explicit, "another one"));
        call.responder.cancelled().await;
        assert_eq!(handler.receiver.recv().await.unwrap().unwrap(), number(1));
        dialog.cancel(CancelMessage::new(CancelCause::Explicit, "stop"));
        handler.responder.cancelled().await;
        assert!(
            matches!(handler.receiver.recv().await, Err(CallEnd::Cancelled(why)) if why.message == "stop")
        );
    })
    .await;
}
