//! A call that waits for its answer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use triune_wire::{CancelCause, CancelMessage};

use crate::CallEnd;
use crate::mux::Shared;

/// A call that was made; awaits to the bytes of its result. Made by [`Link::call`](crate::Link::call).
///
/// When the link ends, it ends at once with [`CallEnd::Lost`] or [`CallEnd::NotSent`].
///
/// # Cancel safety
/// Dropping it before the answer is there sends CANCEL; the handler over there may still be at work, and its
/// answer is thrown away. To cancel *and* hear how the call ended, use [`cancel`](PendingCall::cancel) and
/// go on waiting. Waiting by reference (`&mut call`) and giving up the wait loses nothing.
///
/// ```
/// use triune_ipc::{CallEnd, Request};
/// use triune_wire::{CancelCause, CancelMessage, Report, ReportKind};
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
/// let call = link.call(0, Vec::new());
/// let Some(Request::Call(request)) = incoming.recv().await else { panic!("a call was made") };
///
/// call.cancel(CancelMessage::new(CancelCause::Explicit, "it takes too long"));
/// let why = request.responder.cancelled().await;
/// request.responder.fail(Report::new(ReportKind::Cancelled, format!("cancelled: {why}")));
///
/// let Err(CallEnd::Failed(report)) = call.await else { panic!("it has not ended well") };
/// assert_eq!(report.to_string(), "cancelled: it takes too long");
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a call cancels it; await it for its result"]
pub struct PendingCall {
    shared: Arc<Shared>,
    slot: usize,
}

impl PendingCall {
    pub(crate) const fn new(shared: Arc<Shared>, slot: usize) -> PendingCall {
        PendingCall { shared, slot }
    }

    /// Asks the other side to end the call, once. The call goes on until its terminal frame comes; one that
    /// was not sent yet ends at once with [`CallEnd::Cancelled`].
    pub fn cancel(&self, message: CancelMessage) {
        self.shared.update(|state, wakes| state.cancel_request(self.slot, || message, wakes));
    }
}

impl Future for PendingCall {
    type Output = Result<Bytes, CallEnd>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.shared.read_for(self.slot);
        self.shared.update(|state, wakes| state.poll_terminal(self.slot, cx.waker(), wakes))
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        let slot = self.slot;
        self.shared.update(|state, wakes| {
            state.cancel_request(slot, dropped, wakes);
            state.release_request(slot, wakes);
        });
    }
}

impl fmt::Debug for PendingCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingCall").field("slot", &self.slot).finish_non_exhaustive()
    }
}

pub(crate) fn dropped() -> CancelMessage {
    CancelMessage::new(CancelCause::Dropped, "the caller no longer waits for it")
}
