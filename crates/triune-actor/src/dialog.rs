//! The open dialog: typed items both ways. The same type on both sides, with the directions swapped.
//!
//! 1. Every wait is a soft checkpoint; a cancel means that the item was neither sent nor taken.
//! 2. Both directions have windows of their own: a full one waits, and never delays a cancel.
//! 3. What the caller's block leaves unread is read and thrown away by its context, so that an endpoint which still sends can end in its own time.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, oneshot};
use triune_ipc::{CallEnd, TypedSender};
use triune_scope::__primitive::primitive;
use triune_wire::{Codec, Message, Postcard};

use crate::error::{DialogError, TrySendError};

/// An open dialog that sends `Out` and receives `In`.
///
/// Dropping it closes the sending direction. How the dialog as a whole ends is the business of the two tasks that hold its ends.
///
/// ```
/// use triune::prelude::*;
///
/// #[triune::endpoint]
/// async fn shout(cx: Context<Started<()>, Out<String>, In<String>>) -> Result {
///     let mut dialog = cx.started(()).await?;
///     while let Some(word) = dialog.recv().await? {
///         dialog.send(word.to_uppercase()).await?;
///     }
///     Ok(())
/// }
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let actor = n.actor("shouter").start().await?;
///         let talk = actor.context(shout::with(), async |(), mut dialog| {
///             for word in ["never", "mind"] {
///                 dialog.send(word.to_owned()).await?;
///             }
///             dialog.close_send(); // Receiving goes on.
///             let mut heard = Vec::new();
///             while let Some(word) = dialog.recv().await? {
///                 heard.push(word);
///             }
///             Ok(heard)
///         });
///         let (heard, ()) = talk.await?;
///         assert_eq!(heard, ["NEVER", "MIND"]);
///         Ok(())
///     })
///     .await
/// }
/// ```
#[must_use = "dropping a dialog tells the other side that nothing more will be sent"]
pub struct Dialog<Out, In> {
    sender: DialogSender<Out>,
    receiver: DialogReceiver<In>,
}

/// The sending half of a [`Dialog`]. Dropping it is [`close`](Self::close).
#[must_use = "dropping the half tells the other side that nothing more will be sent"]
pub struct DialogSender<Out> {
    raw: TypedSender<Out>,
}

/// The receiving half of a [`Dialog`].
#[must_use = "a half that is dropped receives nothing"]
pub struct DialogReceiver<In> {
    /// Taken when dropped.
    raw: Option<triune_ipc::DialogReceiver>,
    home: Option<Arc<Leftover>>,
    items: PhantomData<fn() -> In>,
}

impl<Out: Serialize, In: DeserializeOwned> Dialog<Out, In> {
    /// Sends an item; waits while the other side is behind.
    ///
    /// # Cancel safety
    ///
    /// A cancelled or dropped send has sent nothing.
    ///
    /// # Errors
    ///
    /// See [`DialogError`].
    pub async fn send(&mut self, item: Out) -> Result<(), DialogError> {
        self.sender.send(item).await
    }

    /// Sends an item if there is room for it now.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] with the item while the other side is behind.
    pub fn try_send(&mut self, item: Out) -> Result<(), TrySendError<Out>> {
        self.sender.try_send(item)
    }

    /// The next item; `None` when the other side sends no more.
    ///
    /// # Cancel safety
    ///
    /// A cancelled or dropped receive has taken nothing: the next one gets the item.
    ///
    /// # Errors
    ///
    /// See [`DialogError`].
    pub async fn recv(&mut self) -> Result<Option<In>, DialogError> {
        self.receiver.recv().await
    }
}

impl<Out, In> Dialog<Out, In> {
    pub(crate) fn new(
        sender: triune_ipc::DialogSender,
        receiver: triune_ipc::DialogReceiver,
        home: Option<Arc<Leftover>>,
    ) -> Self {
        Self {
            sender: DialogSender { raw: TypedSender::new(sender) },
            receiver: DialogReceiver { raw: Some(receiver), home, items: PhantomData },
        }
    }

    /// Says that nothing more will be sent: the other side's `recv` gives `None` after the last item. Receiving goes on.
    pub fn close_send(&mut self) {
        self.sender.raw.end();
    }

    /// Both halves, for two tasks.
    ///
    /// ```
    /// use triune::prelude::*;
    ///
    /// #[triune::endpoint]
    /// async fn double(cx: Context<Started<()>, Out<u64>, In<u64>>) -> Result {
    ///     let mut dialog = cx.started(()).await?;
    ///     while let Some(number) = dialog.recv().await? {
    ///         dialog.send(number * 2).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// #[triune::main]
    /// async fn main() -> Result {
    ///     nursery(async |n| {
    ///         let actor = n.actor("doubler").start().await?;
    ///         let talk = actor.context(double::with(), async |(), dialog| {
    ///             let (mut sender, mut receiver) = dialog.split();
    ///             nursery(async |n| {
    ///                 n.spawn(async move {
    ///                     for number in 1..=1000 {
    ///                         sender.send(number).await?;
    ///                     }
    ///                     sender.close();
    ///                     Ok(())
    ///                 });
    ///                 let mut sum = 0;
    ///                 while let Some(number) = receiver.recv().await? {
    ///                     sum += number;
    ///                 }
    ///                 Ok(sum)
    ///             })
    ///             .await
    ///         });
    ///         assert_eq!(talk.await?, (1_001_000, ()));
    ///         Ok(())
    ///     })
    ///     .await
    /// }
    /// ```
    pub fn split(self) -> (DialogSender<Out>, DialogReceiver<In>) {
        (self.sender, self.receiver)
    }
}

impl<Out: Serialize> DialogSender<Out> {
    /// Sends an item; waits while the other side is behind.
    ///
    /// # Cancel safety
    ///
    /// A cancelled or dropped send has sent nothing.
    ///
    /// # Errors
    ///
    /// See [`DialogError`].
    pub async fn send(&mut self, item: Out) -> Result<(), DialogError> {
        let sent = primitive("dialog.send", self.raw.send(&item)).await.map_err(DialogError::Cancelled)?;
        match sent {
            Ok(()) => Ok(()),
            Err(error) => Err(own_cancel_first(DialogError::from_send(error)).await),
        }
    }

    /// Sends an item if there is room for it now.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] with the item while the other side is behind.
    pub fn try_send(&mut self, item: Out) -> Result<(), TrySendError<Out>> {
        self.raw.try_send(&item).map_err(|error| match error {
            error if error.is_full() => TrySendError::Full(item),
            error => TrySendError::Failed(DialogError::from_send(error)),
        })
    }

    /// Says that nothing more will be sent.
    pub fn close(mut self) {
        self.raw.end();
    }
}

impl<In: DeserializeOwned> DialogReceiver<In> {
    /// The next item; `None` when the other side sends no more.
    ///
    /// # Cancel safety
    ///
    /// A cancelled or dropped receive has taken nothing: the next one gets the item.
    ///
    /// # Errors
    ///
    /// See [`DialogError`].
    pub async fn recv(&mut self) -> Result<Option<In>, DialogError> {
        let Some(raw) = &mut self.raw else { unreachable!("the half is there until it is dropped") };
        let received = primitive("dialog.recv", raw.recv()).await.map_err(DialogError::Cancelled)?;
        match received {
            Ok(Some(item)) => Postcard::decode_shared(&item).map(Some).map_err(DialogError::Decode),
            Ok(None) => Ok(None),
            Err(end) => Err(own_cancel_first(DialogError::from_end(&end)).await),
        }
    }
}

impl<In> Drop for DialogReceiver<In> {
    fn drop(&mut self) {
        if let (Some(home), Some(raw)) = (&self.home, self.raw.take()) {
            home.put(raw);
        }
    }
}

/// The end of the other side cancels the scope around this one, and the same news comes by the item that waits. The cancel is what tells
/// who and why, so it is what the code sees, unless it shields itself or has not heard of it yet.
async fn own_cancel_first(error: DialogError) -> DialogError {
    match error {
        DialogError::Ended(_) => {
            triune_scope::checkpoint().await.map_or_else(DialogError::Cancelled, |()| error)
        }
        error => error,
    }
}

/// Where a caller's receiving half goes when the block drops it: its context reads what is left.
#[derive(Debug, Default)]
pub(crate) struct Leftover {
    raw: Mutex<Option<triune_ipc::DialogReceiver>>,
    put: Notify,
}

impl Leftover {
    fn put(&self, raw: triune_ipc::DialogReceiver) {
        *self.raw.lock().unwrap_or_else(PoisonError::into_inner) = Some(raw);
        self.put.notify_one();
    }

    fn take(&self) -> Option<triune_ipc::DialogReceiver> {
        self.raw.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for the half, and reads it to its end. Never returns: how the dialog ends is told elsewhere.
    pub(crate) async fn drain(&self) -> std::convert::Infallible {
        let mut raw = loop {
            match self.take() {
                Some(raw) => break raw,
                None => self.put.notified().await,
            }
        };
        while let Ok(Some(_unread)) = raw.recv().await {}
        std::future::pending().await
    }
}

/// The endpoint's end of a dialog before `started`.
pub struct EndpointDialog {
    pub(crate) sender: triune_ipc::DialogSender,
    pub(crate) receiver: triune_ipc::DialogReceiver,
    pub(crate) start: oneshot::Sender<StartRequest>,
}

/// The first value on its way to the task that owns the duty to answer.
pub(crate) struct StartRequest {
    pub(crate) value: Message,
    pub(crate) sent: oneshot::Sender<Result<(), CallEnd>>,
}

impl EndpointDialog {
    pub(crate) async fn start<Out, In>(self, value: Message) -> Result<Dialog<Out, In>, DialogError> {
        let (sent, answer) = oneshot::channel();
        let gone = || DialogError::Ended(crate::error::PeerEnd::new("the request is over".to_owned()));
        self.start.send(StartRequest { value, sent }).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?.map_err(|end| DialogError::from_end(&end))?;
        Ok(Dialog::new(self.sender, self.receiver, None))
    }
}

impl fmt::Debug for EndpointDialog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointDialog").finish_non_exhaustive()
    }
}

impl<Out, In> fmt::Debug for Dialog<Out, In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialog").finish_non_exhaustive()
    }
}

impl<Out> fmt::Debug for DialogSender<Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DialogSender").finish_non_exhaustive()
    }
}

impl<In> fmt::Debug for DialogReceiver<In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DialogReceiver").finish_non_exhaustive()
    }
}
