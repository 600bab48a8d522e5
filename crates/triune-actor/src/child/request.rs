//! One request: find the endpoint, run it in a scope of its own, answer exactly once.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::sync::oneshot;
use tokio::time::Instant;
use triune_ipc::{IncomingCall, IncomingDialog, Responder};
use triune_scope::{CancelReason, CancelScope, Outcome, Result};
use triune_wire::{Message, Report, ReportKind};

use super::panic::{self, Caught};
use crate::dialog::{EndpointDialog, StartRequest};
use crate::failure::Failure;
use crate::identity::current_path;
use crate::reason::{from_message, to_message};
use crate::registry::{Entry, Handler};

/// How the body of an endpoint ended.
type Ended = Outcome<Result<Result<Message, Failure>, Caught>>;

/// Serves a call.
pub(super) async fn call(call: IncomingCall) -> Result {
    let IncomingCall { target, args, deadline, mut responder, .. } = call;
    let Some(entry) = Entry::find(target) else {
        responder.fail(unknown(target));
        return Ok(());
    };
    let Handler::Call(handler) = entry.handler() else {
        responder.fail(misused(entry, "a dialog, and was called without one; use `Portal::context`"));
        return Ok(());
    };
    run(entry, &mut responder, deadline, None, handler(args)).await.answer(entry, responder);
    Ok(())
}

/// Serves a dialog.
pub(super) async fn dialog(dialog: IncomingDialog) -> Result {
    let IncomingDialog { target, args, deadline, mut responder, sender, receiver, .. } = dialog;
    let Some(entry) = Entry::find(target) else {
        responder.fail(unknown(target));
        return Ok(());
    };
    let Handler::Dialog(handler) = entry.handler() else {
        responder.fail(misused(entry, "a call, and was opened as a dialog; use `Portal::call`"));
        return Ok(());
    };
    let (start, started) = oneshot::channel();
    let body = handler(args, EndpointDialog { sender, receiver, start });
    run(entry, &mut responder, deadline, Some(started), body).await.answer(entry, responder);
    Ok(())
}

/// What is to be answered.
struct Answer {
    ended: Ended,
    /// Knows why the caller, or the whole actor, cancelled the request.
    scope: CancelScope,
}

/// Runs the endpoint beside the caller's cancel and its own wish to start the dialog.
async fn run(
    entry: &'static Entry,
    responder: &mut Responder,
    deadline: Option<Instant>,
    mut started: Option<oneshot::Receiver<StartRequest>>,
    body: impl Future<Output = Result<Message, Failure>>,
) -> Answer {
    tracing::trace!(endpoint = entry.name(), "request begins");
    let scope = CancelScope::new();
    if deadline.is_some() {
        // Nobody waits for the answer after it.
        scope.set_deadline(deadline);
    }
    let mut body = pin!(scope.run(panic::catch(body)));
    let ended = loop {
        let step = {
            let mut cancelled = pin!(responder.cancelled());
            let mut is_first = true;
            std::future::poll_fn(|cx| {
                let is_first = std::mem::take(&mut is_first);
                // First, so that the endpoint learns of the cancel by its scope and not by a failing item.
                if !scope.cancel_called()
                    && let Some(message) = match is_first {
                        true => responder.cancel(),
                        false => ready(cancelled.as_mut().poll(cx)),
                    }
                {
                    scope.cancel(from_message(&message));
                }
                if let Poll::Ready(ended) = body.as_mut().poll(cx) {
                    return Poll::Ready(Step::Ended(ended));
                }
                // Only now, because most endpoints are done at once and then need no registration. The scope wakes.
                if is_first
                    && !scope.cancel_called()
                    && let Poll::Ready(message) = cancelled.as_mut().poll(cx)
                {
                    scope.cancel(from_message(&message));
                }
                let Some(waiting) = &mut started else { return Poll::Pending };
                match Pin::new(waiting).poll(cx) {
                    Poll::Ready(Ok(request)) => Poll::Ready(Step::Start(request)),
                    // The context was dropped without `started`; the caller learns of it by the end.
                    Poll::Ready(Err(_)) => {
                        started = None;
                        Poll::Pending
                    }
                    Poll::Pending => Poll::Pending,
                }
            })
            .await
        };
        match step {
            Step::Ended(ended) => break ended,
            Step::Start(StartRequest { value, sent }) => {
                started = None;
                // If the endpoint is gone meanwhile, its end is told next.
                let _endpoint_gone = sent.send(responder.started(value));
            }
        }
    };
    Answer { ended, scope }
}

fn ready<T>(polled: Poll<T>) -> Option<T> {
    match polled {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// What happens next to a running request.
enum Step {
    Ended(Ended),
    Start(StartRequest),
}

impl Answer {
    fn answer(self, entry: &'static Entry, responder: Responder) {
        let Self { ended, scope } = self;
        match ended {
            Outcome::Done(Ok(Ok(value))) => responder.reply(value),
            Outcome::Done(Ok(Err(failure))) => match scope.reason().filter(|_| failure.is_by_cancel()) {
                Some(reason) => responder.fail(at(entry, cancelled_report(&reason))),
                None => match failure.cancelled {
                    Some(reason) => responder.fail(at(entry, cancelled_report(&reason))),
                    None => responder.fail(at(entry, *failure.report)),
                },
            },
            Outcome::Done(Err(caught)) => responder.fail(at(entry, panic_report(caught))),
            Outcome::Cancelled(reason) => responder.fail(at(entry, cancelled_report(&reason))),
        }
    }
}

/// Adds the place, unless the failure was passed on from elsewhere and has one.
fn at(entry: &'static Entry, mut report: Report) -> Report {
    if report.path.is_none() {
        report.path = Some(current_path().to_owned());
        report.pid = Some(std::process::id());
    }
    report.task.get_or_insert_with(|| entry.name().to_owned());
    report
}

fn cancelled_report(reason: &CancelReason) -> Report {
    let mut report = Report::new(ReportKind::Cancelled, reason.to_string());
    report.typed = Some(to_message(reason).to_bytes());
    report
}

fn panic_report(caught: Caught) -> Report {
    let mut report = Report::new(ReportKind::Panic, caught.message);
    report.location = caught.place.location;
    report.backtrace = caught.place.backtrace;
    report
}

fn unknown(target: u32) -> Report {
    Report::new(ReportKind::Unknown, format!("there is no endpoint with the number {target}"))
}

fn misused(entry: &'static Entry, how: &str) -> Report {
    Report::new(ReportKind::Unknown, format!("the endpoint `{}` is {how}", entry.name()))
}
