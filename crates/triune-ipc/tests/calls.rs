//! Calls: each finds its answer, exactly one, whatever happens.

#[expect(dead_code, reason = "this file needs a part of it")]
mod common;

use bytes::Bytes;
use common::{alongside, bytes, echo, pair, pair_with};
use futures_util::FutureExt;
use futures_util::future::join_all;
use triune_ipc::{CallEnd, Incoming, IncomingCall, Request};
use triune_wire::{CancelCause, CancelMessage, Limits, Message, Report, ReportKind};

async fn next_call(incoming: &mut Incoming) -> IncomingCall {
    match incoming.recv().await {
        Some(Request::Call(call)) => call,
        other => panic!("not a call: {other:?}"),
    }
}

fn report(end: CallEnd) -> Report {
    match end {
        CallEnd::Failed(report) => *report,
        other => panic!("not a report: {other:?}"),
    }
}

#[tokio::test]
async fn many_concurrent_calls_find_their_answers() {
    let ((link, driver, _none), (_link, other_driver, incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run(), echo(incoming)) };
    alongside(background, async {
        // More than may be in flight at a time.
        let calls = (0..5_000_u32).map(|n| {
            let link = &link;
            async move { (n, link.call(n, Bytes::copy_from_slice(&n.to_le_bytes())).await) }
        });
        for (n, answer) in join_all(calls).await {
            assert_eq!(answer.unwrap(), &n.to_le_bytes()[..]);
        }
    })
    .await;
}

#[tokio::test]
async fn both_sides_can_call_with_the_same_ids() {
    let ((one, driver, incoming), (other, other_driver, other_incoming)) = pair().await;
    let background =
        async { tokio::join!(driver.run(), other_driver.run(), echo(incoming), echo(other_incoming)) };
    alongside(background, async {
        let (there, back) = tokio::join!(one.call(0, bytes("there")), other.call(0, bytes("back")));
        assert_eq!((&there.unwrap()[..], &back.unwrap()[..]), (&b"there"[..], &b"back"[..]));
    })
    .await;
}

#[tokio::test]
async fn answers_in_any_order_find_their_calls() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let (one, two) = (link.call(1, bytes("one")), link.call(2, bytes("two")));
        let first = next_call(&mut incoming).await;
        let second = next_call(&mut incoming).await;
        assert_eq!((first.target, second.target), (1, 2));
        second.responder.reply(bytes("2"));
        assert_eq!(two.await.unwrap(), "2");
        first.responder.reply(bytes("1"));
        assert_eq!(one.await.unwrap(), "1");
    })
    .await;
}

#[tokio::test]
async fn large_messages_arrive_whole() {
    let ((link, driver, _none), (_link, other_driver, incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run(), echo(incoming)) };
    alongside(background, async {
        let large: Bytes = (0..9_000_000_u32).map(|n| n as u8).collect();
        let calls = join_all((0..4).map(|_| link.call(0, large.clone()))).await;
        assert!(calls.into_iter().all(|answer| answer.unwrap() == large));
    })
    .await;
}

#[tokio::test]
async fn a_responder_that_is_dropped_answers_with_an_error() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let call = link.call(0, Bytes::new());
        drop(next_call(&mut incoming).await);
        assert_eq!(report(call.await.unwrap_err()).kind, ReportKind::Dropped);
    })
    .await;
}

#[tokio::test]
async fn a_failure_arrives_as_it_was_sent() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let call = link.call(0, Bytes::new());
        let mut sent = Report::new(ReportKind::Panic, "boom");
        sent.location = Some("src/lib.rs:1:1".into());
        next_call(&mut incoming).await.responder.fail(sent.clone());
        assert_eq!(report(call.await.unwrap_err()), sent);
    })
    .await;
}

#[tokio::test]
async fn a_side_without_incoming_refuses_requests() {
    let ((link, driver, _none), (_link, other_driver, incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let before = link.call(0, Bytes::new());
        drop(incoming);
        let after = link.call(0, Bytes::new());
        assert_eq!(report(before.await.unwrap_err()).kind, ReportKind::Unknown);
        assert_eq!(report(after.await.unwrap_err()).kind, ReportKind::Unknown);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_over_there() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let call = link.call(0, Bytes::new());
        let handler = next_call(&mut incoming).await.responder;
        assert!(handler.cancelled().now_or_never().is_none());
        drop(call);
        // Two waiters: each is told.
        let (one, two) = tokio::join!(handler.cancelled(), handler.cancelled());
        assert_eq!((one.cause, two.cause), (CancelCause::Dropped, CancelCause::Dropped));
        handler.reply(bytes("too late"));
        // The link is none the worse.
        let call = link.call(0, Bytes::new());
        next_call(&mut incoming).await.responder.reply(bytes("fine"));
        assert_eq!(call.await.unwrap(), "fine");
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_call_goes_on_to_its_terminal_frame() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let call = link.call(0, Bytes::new());
        let handler = next_call(&mut incoming).await.responder;
        call.cancel(CancelMessage::new(CancelCause::Deadline, "too slow").with_by("root"));
        call.cancel(CancelMessage::new(CancelCause::Explicit, "the first cancel wins"));
        let message = handler.cancelled().await;
        assert_eq!((message.cause, message.by.as_deref()), (CancelCause::Deadline, Some("root")));
        handler.fail(Report::new(ReportKind::Cancelled, "cleaned up"));
        assert_eq!(report(call.await.unwrap_err()).kind, ReportKind::Cancelled);
    })
    .await;
}

#[tokio::test]
async fn a_cancel_that_overtakes_its_call_is_kept_in_mind() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    // Nothing is written yet, so the CANCEL goes first, in its own lane.
    let call = link.call(0, Bytes::new());
    call.cancel(CancelMessage::new(CancelCause::Explicit, "never mind"));
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        assert_eq!(report(call.await.unwrap_err()).kind, ReportKind::Cancelled);
        assert!(incoming.recv().now_or_never().is_none(), "no handler is troubled with it");
    })
    .await;
}

#[tokio::test]
async fn a_call_without_a_permit_waits_and_can_be_cancelled() {
    let mut limits = Limits::default();
    limits.max_in_flight = 1;
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair_with(limits).await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let first = link.call(1, Bytes::new());
        let (second, third, fourth) =
            (link.call(2, Bytes::new()), link.call(3, Bytes::new()), link.call(4, Bytes::new()));
        let handler = next_call(&mut incoming).await;
        second.cancel(CancelMessage::new(CancelCause::Explicit, "never mind"));
        assert!(matches!(second.await.unwrap_err(), CallEnd::Cancelled(_)));
        drop(third);
        assert!(incoming.recv().now_or_never().is_none());
        handler.responder.reply(Bytes::new());
        first.await.unwrap();
        let handler = next_call(&mut incoming).await;
        assert_eq!(handler.target, 4);
        handler.responder.reply(Bytes::new());
        fourth.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_call_waits_while_too_many_bytes_are_in_flight() {
    let mut limits = Limits::default();
    limits.max_request_bytes = 100;
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair_with(limits).await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        // The first may exceed the bound, alone.
        let (first, second) = (link.call(1, Bytes::from(vec![0; 200])), link.call(2, bytes("x")));
        let handler = next_call(&mut incoming).await;
        assert!(incoming.recv().now_or_never().is_none());
        handler.responder.reply(Bytes::new());
        first.await.unwrap();
        next_call(&mut incoming).await.responder.reply(Bytes::new());
        second.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_link_goes_on() {
    let mut limits = Limits::default();
    limits.max_message = 100_000;
    let ((link, driver, callers_incoming), (callee, other_driver, incoming)) = pair_with(limits).await;
    let background =
        async { tokio::join!(driver.run(), other_driver.run(), echo(incoming), echo(callers_incoming)) };
    alongside(background, async {
        let end = link.call(0, Bytes::from(vec![0; 100_001])).await.unwrap_err();
        assert!(matches!(end, CallEnd::TooLarge { len: 100_001, max: 100_000, .. }), "{end:?}");
        // The answer of this one is too large for its caller.
        let end = callee.call(0, Bytes::from(vec![0; 100_001])).await.unwrap_err();
        let report = report(end);
        assert_eq!(report.kind, ReportKind::Protocol);
        assert!(report.message.contains("max_message"), "{report}");
        assert_eq!(link.call(0, bytes("fine")).await.unwrap(), "fine");
    })
    .await;
}

#[tokio::test]
async fn the_whole_peer_can_be_cancelled() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        link.cancel_all(&CancelMessage::new(CancelCause::Shutdown, "the program ends"));
        match incoming.recv().await {
            Some(Request::Cancel(message)) => assert_eq!(message.cause, CancelCause::Shutdown),
            other => panic!("not a cancel: {other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn calls_that_are_made_together_give_their_answers_in_their_order() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let words = [bytes("one"), bytes("two"), bytes("three")].map(Message::from);
        let mut calls = link.call_all(words.iter().map(|word| (7, word)));
        let [first, second, third] =
            [next_call(&mut incoming).await, next_call(&mut incoming).await, next_call(&mut incoming).await];
        assert_eq!((&first.args[..], first.target, &third.args[..]), (&b"one"[..], 7, &b"three"[..]));
        third.responder.fail(Report::new(ReportKind::Error, "3"));
        second.responder.reply(bytes("2"));
        assert!(calls.next().now_or_never().is_none(), "the first is missing");
        first.responder.reply(bytes("1"));
        assert_eq!(calls.next().await.unwrap().unwrap(), "1");
        assert_eq!(calls.next().await.unwrap().unwrap(), "2");
        assert_eq!(report(calls.next().await.unwrap().unwrap_err()).message, "3");
        assert!(calls.next().await.is_none());
    })
    .await;
}

#[tokio::test]
async fn more_calls_together_than_may_be_in_flight_wait_for_their_turn() {
    let mut few = Limits::default();
    few.max_in_flight = 2;
    let ((link, driver, _none), (_link, other_driver, incoming)) = pair_with(few).await;
    let background = async { tokio::join!(driver.run(), other_driver.run(), echo(incoming)) };
    alongside(background, async {
        let numbers = (0..9_u8).map(|n| Message::from(vec![n; 2000 * usize::from(n)]));
        let numbers: Vec<Message> = numbers.collect();
        let mut calls = link.call_all(numbers.iter().map(|number| (0, number)));
        for number in &numbers {
            assert_eq!(Message::from(calls.next().await.unwrap().unwrap()), *number);
        }
    })
    .await;
}

#[tokio::test]
async fn dropping_calls_cancels_those_that_have_no_answer() {
    let ((link, driver, _none), (_link, other_driver, mut incoming)) = pair().await;
    let background = async { tokio::join!(driver.run(), other_driver.run()) };
    alongside(background, async {
        let words = [bytes("one"), bytes("two")].map(Message::from);
        let mut calls = link.call_all(words.iter().map(|word| (0, word)));
        let (one, two) = (next_call(&mut incoming).await, next_call(&mut incoming).await);
        one.responder.reply(bytes("1"));
        assert_eq!(calls.next().await.unwrap().unwrap(), "1");
        assert!(two.responder.cancel().is_none());
        drop(calls);
        assert_eq!(two.responder.cancelled().await.cause, CancelCause::Dropped);
    })
    .await;
}
