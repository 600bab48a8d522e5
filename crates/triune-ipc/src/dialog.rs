//! Dialogs: items both ways, then one result.
//!
//! Owns the handles. The windows are in `mux::stream`.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use triune_wire::{CancelMessage, Message, Report, ReportKind};

use crate::call::dropped;
use crate::mux::{Batch, Shared, StreamKey};
use crate::{CallEnd, SendError, SendErrorKind};

/// The calling side's hold on a dialog: its first value, its result, its cancellation. Made by
/// [`Link::open`](crate::Link::open).
///
/// Dropping it before the dialog has ended sends CANCEL.
///
/// ```
/// use triune_ipc::Request;
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
/// let (mut dialog, mut sender, mut receiver) = link.open(0, b"sum".to_vec());
/// let call = async {
///     assert_eq!(&dialog.started().await?[..], b"ready");
///     for number in [1, 2, 3] {
///         sender.send(vec![number]).await.map_err(|error| error.to_string())?;
///     }
///     sender.end();
///     while let Some(sum) = receiver.recv().await? {
///         println!("{}", sum[0]);
///     }
///     Ok::<_, Box<dyn std::error::Error>>(dialog.ended().await?)
/// };
/// let serve = async {
///     let Some(Request::Open(mut dialog)) = incoming.recv().await else { panic!("a dialog was opened") };
///     dialog.responder.started(b"ready".to_vec())?;
///     let mut sum = 0;
///     while let Some(number) = dialog.receiver.recv().await? {
///         sum += number[0];
///         dialog.sender.send(vec![sum]).await.map_err(|error| error.to_string())?;
///     }
///     dialog.responder.reply(vec![sum]);
///     Ok::<_, Box<dyn std::error::Error>>(())
/// };
/// let (result, ()) = tokio::try_join!(call, serve)?;
/// assert_eq!(result[0], 6);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a dialog cancels it; await its first value and its end"]
#[derive(Debug)]
pub struct PendingDialog {
    shared: Arc<Shared>,
    slot: usize,
}

impl PendingDialog {
    pub(crate) fn parts(shared: &Arc<Shared>, slot: usize) -> (PendingDialog, DialogSender, DialogReceiver) {
        let key = StreamKey::Ours(slot);
        let owner = PendingDialog { shared: Arc::clone(shared), slot };
        (
            owner,
            DialogSender { shared: Arc::clone(shared), key },
            DialogReceiver::new(Arc::clone(shared), key),
        )
    }

    /// Waits for the first value: the other side has taken the dialog up.
    ///
    /// # Cancel safety
    /// Nothing is lost: the value is given again to each call.
    ///
    /// # Errors
    /// The dialog ended without it. One that succeeded without it ends with a report of kind
    /// [`ReportKind::Protocol`].
    pub async fn started(&mut self) -> Result<Bytes, CallEnd> {
        let first =
            poll_fn(|cx| self.shared.update(|state, wakes| state.poll_first(self.slot, cx.waker(), wakes)));
        first.await?.ok_or_else(|| {
            let text = "the dialog ended without a first value: the endpoint must call `started`";
            CallEnd::Failed(Box::new(Report::new(ReportKind::Protocol, text)))
        })
    }

    /// Waits for the end of the dialog and gives its result. Items that were not received yet stay there.
    ///
    /// # Cancel safety
    /// Nothing is lost: the result is given again to each call.
    ///
    /// # Errors
    /// How the dialog ended, if not with a result.
    pub async fn ended(&mut self) -> Result<Bytes, CallEnd> {
        poll_fn(|cx| self.shared.update(|state, wakes| state.poll_terminal(self.slot, cx.waker(), wakes)))
            .await
    }

    /// Asks the other side to end the dialog, once; it goes on until its terminal frame comes.
    pub fn cancel(&self, message: CancelMessage) {
        self.shared.update(|state, wakes| state.cancel_request(self.slot, || message, wakes));
    }
}

impl Drop for PendingDialog {
    fn drop(&mut self) {
        let slot = self.slot;
        self.shared.update(|state, wakes| {
            state.cancel_request(slot, dropped, wakes);
            state.release_request(slot, wakes);
        });
    }
}

/// The sending direction of a dialog, on either side. Dropping it ends the direction.
#[derive(Debug)]
pub struct DialogSender {
    shared: Arc<Shared>,
    key: StreamKey,
}

impl DialogSender {
    pub(crate) const fn of_handler(shared: Arc<Shared>, id: u64) -> DialogSender {
        DialogSender { shared, key: StreamKey::Theirs(id) }
    }

    fn poll(&self, item: &Message, waker: Option<&Waker>) -> Poll<Result<(), SendErrorKind>> {
        self.poll_parts(&[], item, waker)
    }

    /// Sends `prefix` (which is copied, and short) and `item` as one.
    pub(crate) fn poll_parts(
        &self,
        prefix: &[u8],
        item: &Message,
        waker: Option<&Waker>,
    ) -> Poll<Result<(), SendErrorKind>> {
        self.shared.update(|state, wakes| state.poll_send(self.key, prefix, item, waker, wakes))
    }

    /// Sends an item. Waits while the other side has not consumed what it was sent before, while too much is
    /// queued for the socket, and on the calling side for the start of the dialog.
    ///
    /// # Cancel safety
    /// An item whose future was dropped was not sent.
    ///
    /// # Errors
    /// The dialog or this direction has ended, or the item is too large. The error gives the item back.
    pub async fn send(&mut self, item: impl Into<Message>) -> Result<(), SendError> {
        let item = item.into();
        let sent = poll_fn(|cx| self.poll(&item, Some(cx.waker()))).await;
        sent.map_err(|kind| SendError { item, kind })
    }

    /// Sends an item if that needs no waiting.
    ///
    /// # Errors
    /// As [`send`](DialogSender::send), and [`SendErrorKind::Full`] where that would wait.
    ///
    /// ```
    /// use triune_ipc::Request;
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
    /// let (_dialog, mut sender, _receiver) = link.open(0, Vec::new());
    /// let error = sender.try_send(b"early".to_vec()).unwrap_err();
    /// assert!(error.is_full(), "the dialog has not been taken up yet");
    /// let item = error.into_item();
    ///
    /// let Some(Request::Open(mut theirs)) = incoming.recv().await else { panic!("a dialog was opened") };
    /// theirs.responder.started(Vec::new())?;
    /// sender.send(item).await.map_err(|error| error.to_string())?;
    /// assert_eq!(&theirs.receiver.recv().await?.expect("an item was sent")[..], b"early");
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_send(&mut self, item: impl Into<Message>) -> Result<(), SendError> {
        let item = item.into();
        let kind = match self.poll(&item, None) {
            Poll::Ready(Ok(())) => return Ok(()),
            Poll::Ready(Err(kind)) => kind,
            Poll::Pending => SendErrorKind::Full,
        };
        Err(SendError { item, kind })
    }

    /// Ends this direction; the other one goes on. The receiver gets `None` after the last item.
    pub fn end(&mut self) {
        self.shared.update(|state, _| state.end_stream(self.key));
    }
}

impl Drop for DialogSender {
    fn drop(&mut self) {
        self.shared.update(|state, wakes| {
            state.drop_sender(self.key);
            if let StreamKey::Ours(slot) = self.key {
                state.release_request(slot, wakes);
            }
        });
    }
}

/// The receiving direction of a dialog, on either side. Dropping it tells the other side to send no more.
#[derive(Debug)]
pub struct DialogReceiver {
    shared: Arc<Shared>,
    key: StreamKey,
    batch: Batch,
}

impl DialogReceiver {
    const fn new(shared: Arc<Shared>, key: StreamKey) -> DialogReceiver {
        DialogReceiver { shared, key, batch: Batch::new() }
    }

    pub(crate) const fn of_handler(shared: Arc<Shared>, id: u64) -> DialogReceiver {
        DialogReceiver::new(shared, StreamKey::Theirs(id))
    }

    /// Waits for the next item. `None`: the other side ended this direction, or the dialog ended well.
    ///
    /// Items that came before the end are given first.
    ///
    /// # Cancel safety
    /// Nothing is lost: an item is taken out only when it is returned.
    ///
    /// # Errors
    /// The calling side: how the dialog ended, if not with a result. A handler: its caller has cancelled, or
    /// the link has ended.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, CallEnd> {
        if let Some(item) = self.next_of_batch() {
            return Ok(Some(item));
        }
        let DialogReceiver { shared, key, batch } = self;
        poll_fn(|cx| shared.update(|state, wakes| state.poll_recv(*key, batch, cx.waker(), wakes))).await
    }

    /// An item that was taken over before, unless something must be heard of first.
    fn next_of_batch(&mut self) -> Option<Bytes> {
        if !self.batch.is_current(&self.shared.news) {
            return None;
        }
        let item = self.batch.take()?;
        if self.batch.is_due() {
            let freed = self.batch.take_freed();
            self.shared.update(|state, _| {
                state.give_back(self.key, freed);
                state.rearm(self.key, &mut self.batch);
            });
        }
        Some(item)
    }
}

impl Drop for DialogReceiver {
    fn drop(&mut self) {
        self.shared.update(|state, wakes| {
            state.close_receiver(self.key);
            if let StreamKey::Ours(slot) = self.key {
                state.release_request(slot, wakes);
            }
        });
    }
}
