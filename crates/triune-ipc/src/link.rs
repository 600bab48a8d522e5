//! The handle through which a side makes requests and ends the link.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;

use tokio::time::Instant;
use triune_wire::{CancelMessage, Hello, Message, TraceContext};

use crate::mux::{Asked, Shared, Wakes};
use crate::{DialogReceiver, DialogSender, LinkEnd, PendingCall, PendingCalls, PendingDialog};

/// One end of a link. A cheap handle: clones are the same link.
///
/// The link lives as long as its [`Driver`](crate::Driver); handles do not keep it up.
///
/// ```
/// use triune_ipc::{LinkEnd, Request};
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
/// assert_eq!(link.peer().role, "actor");
/// let serve = async {
///     if let Some(Request::Call(call)) = incoming.recv().await {
///         call.responder.reply([&call.args[..], b" yourself"].concat());
///     }
/// };
/// let (answer, ()) = tokio::join!(link.call(0, b"hello".to_vec()), serve);
/// assert_eq!(&answer?[..], b"hello yourself");
///
/// assert!(link.end().is_none());
/// link.goodbye();
/// assert!(matches!(link.ended().await, LinkEnd::Goodbye));
/// # Ok(())
/// # }
/// ```
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

    /// Makes several calls, each of a target with its arguments. They go out together, and their answers are given in their order.
    pub fn call_all<'a>(&self, calls: impl IntoIterator<Item = (u32, &'a Message)>) -> PendingCalls {
        let options = CallOptions::default();
        let calls = calls.into_iter();
        let slots = self.shared.update_now(|state, _| {
            let request = |(target, args)| {
                state.request(Asked { target, args: Cow::Borrowed(args), options, is_dialog: false })
            };
            let slots: VecDeque<usize> = calls.map(request).collect();
            (slots.len(), slots)
        });
        PendingCalls::new(Arc::clone(&self.shared), slots)
    }

    fn request(&self, target: u32, args: Message, options: CallOptions, is_dialog: bool) -> usize {
        let args = Cow::Owned(args);
        self.shared.update_now(|state, _| (1, state.request(Asked { target, args, options, is_dialog })))
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
    ///
    /// ```
    /// use triune_ipc::Request;
    /// use triune_wire::{CancelCause, CancelMessage};
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
    /// link.cancel_all(&CancelMessage::new(CancelCause::Shutdown, "closing time").with_by("/"));
    /// let Some(Request::Cancel(message)) = incoming.recv().await else { panic!("it was asked to end") };
    /// assert_eq!(message.to_string(), "closing time (by /)");
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// ```
    /// use triune_ipc::{CallEnd, LinkEnd, Request};
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
    /// let open = link.call(0, b"one more thing".to_vec());
    /// link.goodbye_when_idle();
    /// assert!(matches!(link.call(0, Vec::new()).await, Err(CallEnd::NotSent(_))));
    ///
    /// let Some(Request::Call(call)) = incoming.recv().await else { panic!("the first call goes on") };
    /// call.responder.reply(b"good".to_vec());
    /// assert_eq!(&open.await?[..], b"good");
    /// assert!(matches!(link.ended().await, LinkEnd::Goodbye));
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    /// use triune_ipc::Request;
    /// # use triune_ipc::{Config, Incoming, Link, connect};
    /// # use triune_wire::{BuildId, Hello};
    /// # async fn two_ends() -> Result<(Link, Link, Incoming), Box<dyn std::error::Error>> {
    /// #     let (one, other) = std::os::unix::net::UnixStream::pair()?;
    /// #     let config = |role| Config::new(Hello::new(BuildId::new([7; 16]), role, "example"));
    /// #     let (caller, callee) = tokio::try_join!(connect(one, config("root")), connect(other, config("actor")))?;
    /// #     tokio::spawn(async { tokio::join!(caller.1.run(), callee.1.run()) });
    /// #     Ok((caller.0, callee.0, callee.2))
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let (link, other, mut incoming) = two_ends().await?; // of a link whose drivers run
    /// other.expect_introduction();
    /// let (here, there) = UnixStream::pair()?;
    /// link.pass_socket("sibling", there);
    ///
    /// let Some(Request::Introduction(mut met)) = incoming.recv().await else { panic!("it was passed") };
    /// assert_eq!(met.name, "sibling");
    /// (&here).write_all(b"hello")?;
    /// let mut heard = [0; 5];
    /// met.socket.read_exact(&mut heard)?;
    /// assert_eq!(&heard, b"hello");
    /// # Ok(())
    /// # }
    /// ```
    pub fn expect_introduction(&self) {
        self.shared.update(|state, _| state.expect_introduction());
    }

    /// Lends a file to the other side, which serves its calls one by one: it has it before the arguments of every call that
    /// is made after this, under a number that is chosen here. See
    /// [`Server::next_taking`](crate::blocking::Server::next_taking).
    pub fn lend(&self, number: u64, file: std::sync::Arc<std::os::fd::OwnedFd>) {
        self.shared.update(|state, _| state.lend(number, file));
    }

    /// Has the other side forget what was lent to it under this number. It is told when no request of this side is open: at once, or
    /// with the answer to the last one. So [`Driver::left_unread`](crate::Driver::left_unread) stays about a request.
    pub fn recall(&self, number: u64) {
        self.shared.update(|state, _| state.recall(number));
    }

    /// Takes answers that did not come over the link, or not yet: frames of a [`Server`](crate::blocking::Server) that writes some of them
    /// [later](crate::blocking::Server::reply_later). Those that are no answers to open calls of this side are passed over; those that
    /// come over the link after all count once.
    pub fn recover<'a>(&self, frames: impl IntoIterator<Item = &'a [u8]>) {
        self.shared.update(|state, wakes| {
            for frame in frames {
                state.recover(frame, wakes);
            }
        });
    }

    /// Ends the link at once and tells every wait on it this end. The first end wins; later ones are
    /// ignored. Nothing that is queued is written any more.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use triune_ipc::{CallEnd, LinkEnd};
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
    /// assert!(incoming.recv().await.is_some());
    /// // Whoever watches the other process knows more than the socket tells.
    /// link.close(LinkEnd::Died(Arc::new(std::io::Error::other("killed by SIGKILL"))));
    /// let error = call.await.unwrap_err();
    /// assert!(matches!(error, CallEnd::Lost(_)), "it was being served");
    /// assert_eq!(error.link_end().expect("that is why").to_string(), "killed by SIGKILL");
    /// # Ok(())
    /// # }
    /// ```
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
///
/// ```
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use triune_ipc::{CallOptions, Request};
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
/// let mut options = CallOptions::default();
/// options.deadline = Some(Instant::now() + Duration::from_secs(5));
/// let call = link.call_with(3, Vec::new(), options);
///
/// let Some(Request::Call(request)) = incoming.recv().await else { panic!("a call was made") };
/// assert_eq!(request.target, 3);
/// let left = request.deadline.expect("it travels along") - Instant::now();
/// assert!(left <= Duration::from_secs(5));
/// request.responder.reply(Vec::new());
/// assert_eq!(call.await?.len(), 0);
/// # Ok(())
/// # }
/// ```
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
