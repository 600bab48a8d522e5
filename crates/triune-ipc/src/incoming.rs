//! Requests of the other side, and the duty to answer each exactly once.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::time::Instant;
use triune_wire::{CancelMessage, Message, Report, ReportKind, TraceContext};

use crate::mux::{Arrival, Arrived, Shared};
use crate::{CallEnd, DialogReceiver, DialogSender, Introduction};

/// Where the requests of the other side come out.
///
/// Dropping it refuses those that were not fetched and all that follow; handlers that run go on.
#[derive(Debug)]
pub struct Incoming {
    shared: Arc<Shared>,
}

impl Incoming {
    pub(crate) const fn new(shared: Arc<Shared>) -> Incoming {
        Incoming { shared }
    }

    /// Waits for the next request. `None`: the link has ended.
    ///
    /// # Cancel safety
    /// Nothing is lost: a request is taken out only when it is returned.
    pub async fn recv(&mut self) -> Option<Request> {
        let next =
            poll_fn(|cx| self.shared.update(|state, wakes| state.poll_arrived(cx.waker(), wakes))).await?;
        let Arrived { id, target, args, deadline, trace, is_dialog } = match next {
            Arrival::Request(arrived) => arrived,
            Arrival::Cancel(message) => return Some(Request::Cancel(message)),
            Arrival::Introduction(introduction) => return Some(Request::Introduction(introduction)),
        };
        let shared = &self.shared;
        let responder = Responder { shared: Arc::clone(shared), id, answered: false };
        if !is_dialog {
            return Some(Request::Call(IncomingCall { target, args, deadline, trace, responder }));
        }
        let sender = DialogSender::of_handler(Arc::clone(shared), id);
        let receiver = DialogReceiver::of_handler(Arc::clone(shared), id);
        Some(Request::Open(IncomingDialog { target, args, deadline, trace, responder, sender, receiver }))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.shared.update(|state, wakes| state.close_incoming(wakes));
    }
}

/// What the other side asks for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Request {
    /// One answer.
    Call(IncomingCall),
    /// Items both ways, then one answer.
    Open(IncomingDialog),
    /// This whole side is asked to cancel itself.
    Cancel(CancelMessage),
    /// Somebody whom this side can talk to.
    Introduction(Introduction),
}

/// A call of the other side.
#[derive(Debug)]
#[non_exhaustive]
pub struct IncomingCall {
    /// Index of the target in this side's registry.
    pub target: u32,
    /// The arguments, as the caller gave them.
    pub args: Bytes,
    /// When the caller stops to be interested, if it said so.
    pub deadline: Option<Instant>,
    /// The place in a trace that the request belongs to.
    pub trace: Option<TraceContext>,
    /// The duty to answer.
    pub responder: Responder,
}

/// A dialog that the other side opens.
#[derive(Debug)]
#[non_exhaustive]
pub struct IncomingDialog {
    /// Index of the target in this side's registry.
    pub target: u32,
    /// The arguments, as the caller gave them.
    pub args: Bytes,
    /// When the caller stops to be interested, if it said so.
    pub deadline: Option<Instant>,
    /// The place in a trace that the request belongs to.
    pub trace: Option<TraceContext>,
    /// The duty to answer; also says [`started`](Responder::started).
    pub responder: Responder,
    /// Items to the caller.
    pub sender: DialogSender,
    /// Items from the caller.
    pub receiver: DialogReceiver,
}

/// The duty to answer a request exactly once.
///
/// Dropping it answers with a report of kind [`ReportKind::Dropped`], so that no caller waits for ever.
#[must_use = "dropping it tells the caller that its request was dropped; reply or fail"]
pub struct Responder {
    shared: Arc<Shared>,
    id: u64,
    answered: bool,
}

impl Responder {
    /// Takes a dialog up: sends its first value and opens both directions. Once, before the first item.
    ///
    /// # Errors
    /// The link has ended, the value is too large, or (misuse) the request is a call or has started already.
    pub fn started(&mut self, value: impl Into<Message>) -> Result<(), CallEnd> {
        let value = value.into();
        self.shared.update(|state, _| state.start(self.id, value))
    }

    /// Answers with a result. One that is larger than the caller accepts becomes a report of kind
    /// [`ReportKind::Protocol`].
    pub fn reply(mut self, value: impl Into<Message>) {
        let value = value.into();
        self.answered = true;
        self.shared.update_now(|state, wakes| state.answer(self.id, Ok(value), wakes));
    }

    /// Answers with a failure.
    pub fn fail(mut self, report: Report) {
        self.answered = true;
        self.shared.update(|state, wakes| state.answer(self.id, Err(report), wakes));
    }

    /// The caller's cancel of the request, if it has come; see [`cancelled`](Responder::cancelled) for the wait.
    pub fn cancel(&self) -> Option<CancelMessage> {
        self.shared.lock().cancel_of(self.id)
    }

    /// Waits until the caller cancels the request. When the link ends, that is a cancellation too, with
    /// the cause [`Peer`](triune_wire::CancelCause::Peer).
    pub const fn cancelled(&self) -> Cancelled<'_> {
        Cancelled { responder: self, key: None }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        self.shared.update(|state, wakes| {
            if state.is_served(self.id) {
                let text = "the handler went away without an answer";
                state.answer(self.id, Err(Report::new(ReportKind::Dropped, text)), wakes);
            }
        });
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Waits for the cancellation of a request; see [`Responder::cancelled`].
///
/// # Cancel safety
/// Nothing is lost: the cancellation is told to each future that is made.
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub struct Cancelled<'a> {
    responder: &'a Responder,
    key: Option<u64>,
}

impl Future for Cancelled<'_> {
    type Output = CancelMessage;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CancelMessage> {
        let Responder { shared, id, .. } = self.responder;
        shared.update(|state, wakes| state.poll_cancelled(*id, &mut self.key, cx.waker(), wakes))
    }
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let Responder { shared, id, .. } = self.responder;
            shared.update(|state, wakes| state.forget_cancelled(*id, key, wakes));
        }
    }
}
