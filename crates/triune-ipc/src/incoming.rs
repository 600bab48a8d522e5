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
///
/// ```
/// use triune_ipc::Request;
/// use triune_wire::{Report, ReportKind};
/// # use triune_ipc::{Config, Incoming, Link, connect};
/// # use triune_wire::{BuildId, Hello};
/// # async fn two_ends() -> Result<(Link, Incoming), Box<dyn std::error::Error>> {
/// #     let (one, other) = std::os::unix::net::UnixStream::pair()?;
/// #     let config = |role| Config::new(Hello::new(BuildId::new([7; 16]), role, "example"));
/// #     let (caller, callee) = tokio::try_join!(connect(one, config("root")), connect(other, config("actor")))?;
/// #     tokio::spawn(async { tokio::join!(caller.1.run(), callee.1.run()) });
/// #     Ok((caller.0, callee.2))
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let (link, mut incoming) = two_ends().await?; // of a link whose drivers run
/// let serve = async {
///     while let Some(request) = incoming.recv().await {
///         match request {
///             Request::Call(call) if call.target == 0 => call.responder.reply(call.args),
///             Request::Call(call) => call.responder.fail(Report::new(ReportKind::Unknown, "no such method")),
///             Request::Open(dialog) => dialog.responder.fail(Report::new(ReportKind::Unknown, "no dialogs")),
///             _ => break,
///         }
///     }
/// };
/// let ask = async {
///     assert_eq!(&link.call(0, b"echo".to_vec()).await?[..], b"echo");
///     assert_eq!(link.call(1, b"echo".to_vec()).await.unwrap_err().to_string(), "no such method");
///     link.goodbye();
///     Ok::<_, Box<dyn std::error::Error>>(())
/// };
/// let (asked, ()) = tokio::join!(ask, serve);
/// asked?;
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// use triune_ipc::{CallEnd, Request};
/// use triune_wire::{CancelCause, ReportKind};
/// # use triune_ipc::{Config, Incoming, Link, connect};
/// # use triune_wire::{BuildId, Hello};
/// # async fn two_ends() -> Result<(Link, Incoming), Box<dyn std::error::Error>> {
/// #     let (one, other) = std::os::unix::net::UnixStream::pair()?;
/// #     let config = |role| Config::new(Hello::new(BuildId::new([7; 16]), role, "example"));
/// #     let (caller, callee) = tokio::try_join!(connect(one, config("root")), connect(other, config("actor")))?;
/// #     tokio::spawn(async { tokio::join!(caller.1.run(), callee.1.run()) });
/// #     Ok((caller.0, callee.2))
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let (link, mut incoming) = two_ends().await?; // of a link whose drivers run
/// let (forgotten, given_up) = (link.call(0, Vec::new()), link.call(0, Vec::new()));
/// let Some(Request::Call(one)) = incoming.recv().await else { panic!("a call was made") };
/// let Some(Request::Call(other)) = incoming.recv().await else { panic!("another one was made") };
///
/// drop(one.responder);
/// let Err(CallEnd::Failed(report)) = forgotten.await else { panic!("there is no answer") };
/// assert_eq!(report.kind, ReportKind::Dropped);
///
/// assert!(other.responder.cancel().is_none());
/// drop(given_up);
/// assert_eq!(other.responder.cancelled().await.cause, CancelCause::Dropped);
/// assert!(other.responder.cancel().is_some());
/// # Ok(())
/// # }
/// ```
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
        self.shared.update_now(|state, wakes| (1, state.answer(self.id, Ok(value), wakes)));
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
