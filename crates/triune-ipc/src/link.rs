//! The handle through which a side makes requests and ends the link.

use std::future::poll_fn;
use std::sync::Arc;

use tokio::time::Instant;
use triune_wire::{CancelMessage, Hello, Message, TraceContext};

use crate::mux::{Asked, Shared, Wakes};
use crate::{DialogReceiver, DialogSender, LinkEnd, PendingCall, PendingDialog};

/// One end of a link. A cheap handle: clones are the same link.
///
/// The link lives as long as its [`Driver`](crate::Driver); handles do not keep it up.
#[derive(Debug, Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

impl Link {
    pub(crate) const fn new(shared: Arc<Shared>) -> Link {
        Link { shared }
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Calls a target of the other side. The request is queued at once; if the other side has as many
    /// requests as it accepts, or too much is queued already, it waits for its turn.
    ///
    /// The future gives the answer. Dropping it sends CANCEL.
    pub fn call(&self, target: u32, args: impl Into<Message>) -> PendingCall {
        self.call_with(target, args, CallOptions::default())
    }

    /// The same with a deadline or a place in a trace, which travel with the call.
    pub fn call_with(&self, target: u32, args: impl Into<Message>, options: CallOptions) -> PendingCall {
        PendingCall::new(Arc::clone(&self.shared), self.request(target, args.into(), options, false))
    }

    fn request(&self, target: u32, args: Message, options: CallOptions, is_dialog: bool) -> usize {
        self.shared.update_now(|state, _| state.request(Asked { target, args, options, is_dialog }))
    }

    /// Opens a dialog with a target of the other side: items both ways, then one result. It counts as one
    /// request and is queued like a [`call`](Link::call).
    pub fn open(
        &self,
        target: u32,
        args: impl Into<Message>,
    ) -> (PendingDialog, DialogSender, DialogReceiver) {
        self.open_with(target, args, CallOptions::default())
    }

    /// The same with a deadline or a place in a trace, which travel with the request.
    pub fn open_with(
        &self,
        target: u32,
        args: impl Into<Message>,
        options: CallOptions,
    ) -> (PendingDialog, DialogSender, DialogReceiver) {
        PendingDialog::parts(&self.shared, self.request(target, args.into(), options, true))
    }

    /// Asks the whole other side to cancel itself. It comes out of its [`Incoming`](crate::Incoming).
    pub fn cancel_all(&self, message: &CancelMessage) {
        self.shared.update(|state, _| state.cancel_peer(message));
    }

    /// Says GOODBYE: what is queued is written, then both sides end the link with [`LinkEnd::Goodbye`].
    /// Requests that are open then are lost; wait for their answers before.
    pub fn goodbye(&self) {
        self.shared.update(|state, _| state.goodbye = true);
    }

    /// Says GOODBYE as soon as no request is open any more, in either direction. Until then those that are
    /// open go on and the other side may still make some; new ones of this side end with
    /// [`CallEnd::NotSent`](crate::CallEnd::NotSent).
    pub fn goodbye_when_idle(&self) {
        self.shared.update(|state, _| state.drain());
    }

    /// Tells the other side of somebody whom it can talk to: passes one end of a socket, whose other end is
    /// given to `name`. It comes out of the other side's [`Incoming`](crate::Incoming). See
    /// [`introduce`](crate::introduce) for both halves at once.
    pub fn pass_socket(&self, name: &str, socket: std::os::unix::net::UnixStream) {
        self.shared.update(|state, _| state.introduce(name, socket.into()));
    }

    /// Takes one introduction of the other side, although this side accepts none in general
    /// ([`Config::accepts_introductions`](crate::Config::accepts_introductions)). The other side must not send it before it knows of this:
    /// answer a request of its after this, for instance.
    ///
    /// So a side that is seldom introduced to anybody reads without looking for descriptors, which is cheaper for large messages.
    pub fn expect_introduction(&self) {
        self.shared.update(|state, _| state.expect_introduction());
    }

    /// Lends a file to the other side, which serves its calls one by one: it has it before the arguments of every call that
    /// is made after this, under a number that is chosen here. See [`Server::loans`](crate::blocking::Server::loans).
    pub fn lend(&self, number: u64, file: std::sync::Arc<std::os::fd::OwnedFd>) {
        self.shared.update(|state, _| state.lend(number, file));
    }

    /// Has the other side forget what was lent to it under this number.
    pub fn recall(&self, number: u64) {
        self.shared.update(|state, _| state.recall(number));
    }

    /// Ends the link at once and tells every wait on it this end. The first end wins; later ones are
    /// ignored. Nothing that is queued is written any more.
    pub fn close(&self, end: LinkEnd) {
        self.shared.end(end);
    }

    /// What the other side said about itself.
    pub fn peer(&self) -> &Hello {
        &self.shared.peer
    }

    /// How the link ended, if it has.
    pub fn end(&self) -> Option<LinkEnd> {
        self.shared.lock().end.clone()
    }

    /// Waits for the end of the link.
    ///
    /// # Cancel safety
    /// Nothing is lost: the end is told to each call.
    pub async fn ended(&self) -> LinkEnd {
        let mut guard = EndGuard { shared: &self.shared, key: None };
        poll_fn(|cx| guard.shared.update(|state, wakes| state.poll_ended(&mut guard.key, cx.waker(), wakes)))
            .await
    }
}

/// What travels with a request besides its arguments.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// When the caller stops to be interested. It travels as the time that is left when the request is handed
    /// to the socket; what to do when it has passed is up to both sides.
    pub deadline: Option<Instant>,
    /// The place in a trace that the request belongs to.
    pub trace: Option<TraceContext>,
}

/// Takes the waiter out of the set when the future is dropped.
struct EndGuard<'a> {
    shared: &'a Shared,
    key: Option<u64>,
}

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.shared.update(|state, wakes: &mut Wakes| state.end_waiters.remove(key, wakes));
        }
    }
}
