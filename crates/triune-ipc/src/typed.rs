//! Typed channels over a link: values instead of bytes, with a codec that is chosen statically.
//!
//! A call is [`Link::call_typed`](crate::Link::call_typed). A one-way stream and a dialog are the halves of
//! [`Link::open`](crate::Link::open) with a type each: [`TypedSender`] and [`TypedReceiver`]; a half that is
//! dropped or ended says so to the other side, while the other direction goes on.
//!
//! Owns the coding only. Small items are encoded into a buffer that is kept, so that sending one takes no
//! memory; large byte strings ([`Payload`](triune_wire::Payload)) are not copied.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::task::Poll;

use serde::{Serialize, de::DeserializeOwned};
use triune_wire::{Codec, DecodeError, EncodeError, Message, Postcard};

use crate::{CallEnd, CallOptions, DialogReceiver, DialogSender, Link, SendErrorKind};

/// An item that is at most so long when encoded is copied into the buffer of the link, in bytes.
const SMALL: usize = 4 * 1024;

impl Link {
    /// Calls a target of the other side with a value, and decodes its answer.
    ///
    /// # Cancel safety
    /// As [`PendingCall`](crate::PendingCall): dropping the future sends CANCEL.
    ///
    /// # Errors
    /// The value cannot be encoded, the call ended without a result, or its result cannot be decoded.
    pub async fn call_typed<C: Codec, A: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        target: u32,
        args: &A,
        options: CallOptions,
    ) -> Result<R, TypedCallError> {
        let args = C::to_message(args).map_err(TypedCallError::Encode)?;
        let answer = self.call_with(target, args, options).await.map_err(TypedCallError::End)?;
        C::decode_shared(&answer).map_err(TypedCallError::Decode)
    }
}

/// Why a typed call left no value.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TypedCallError {
    /// The arguments cannot be encoded; nothing was sent.
    Encode(EncodeError),
    /// The call ended without a result.
    End(CallEnd),
    /// The result is not what was expected.
    Decode(DecodeError),
}

impl fmt::Display for TypedCallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TypedCallError::Encode(error) => error.fmt(f),
            TypedCallError::End(end) => end.fmt(f),
            TypedCallError::Decode(error) => error.fmt(f),
        }
    }
}

impl Error for TypedCallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TypedCallError::Encode(error) => error.source(),
            TypedCallError::End(end) => end.source(),
            TypedCallError::Decode(error) => error.source(),
        }
    }
}

/// The sending direction of a dialog for values of one type. Dropping it ends the direction.
#[derive(Debug)]
pub struct TypedSender<T, C = Postcard> {
    raw: DialogSender,
    scratch: Vec<u8>,
    items: PhantomData<fn(T, C)>,
}

impl<T, C> TypedSender<T, C> {
    /// Gives the items of this direction a type.
    pub const fn new(raw: DialogSender) -> TypedSender<T, C> {
        TypedSender { raw, scratch: Vec::new(), items: PhantomData }
    }

    /// Ends this direction; the other one goes on. The receiver gets `None` after the last item.
    pub fn end(&mut self) {
        self.raw.end();
    }
}

impl<T: Serialize, C: Codec> TypedSender<T, C> {
    /// Sends an item; waits as [`DialogSender::send`] does.
    ///
    /// # Cancel safety
    /// An item whose future was dropped was not sent.
    ///
    /// # Errors
    /// The item cannot be encoded or is too large, or the dialog or this direction has ended.
    pub async fn send(&mut self, item: &T) -> Result<(), TypedSendError> {
        let body = self.encode(item)?;
        let TypedSender { raw, scratch, .. } = self;
        let sent = poll_fn(|cx| raw.poll_parts(scratch, &body, Some(cx.waker()))).await;
        sent.map_err(TypedSendError::Send)
    }

    /// Sends an item if that needs no waiting.
    ///
    /// # Errors
    /// As [`send`](TypedSender::send), and [`SendErrorKind::Full`] where that would wait.
    pub fn try_send(&mut self, item: &T) -> Result<(), TypedSendError> {
        let body = self.encode(item)?;
        match self.raw.poll_parts(&self.scratch, &body, None) {
            Poll::Ready(sent) => sent.map_err(TypedSendError::Send),
            Poll::Pending => Err(TypedSendError::Send(SendErrorKind::Full)),
        }
    }

    /// A short item goes into the scratch buffer, and the message is empty.
    fn encode(&mut self, item: &T) -> Result<Message, TypedSendError> {
        C::to_short_message(item, &mut self.scratch, SMALL).map_err(TypedSendError::Encode)
    }
}

/// Why a value was not sent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TypedSendError {
    /// It cannot be encoded.
    Encode(EncodeError),
    /// The dialog does not take it.
    Send(SendErrorKind),
}

impl TypedSendError {
    /// Whether the item could be sent later.
    pub const fn is_full(&self) -> bool {
        matches!(self, TypedSendError::Send(SendErrorKind::Full))
    }
}

impl fmt::Display for TypedSendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TypedSendError::Encode(error) => error.fmt(f),
            TypedSendError::Send(kind) => kind.fmt(f),
        }
    }
}

impl Error for TypedSendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TypedSendError::Encode(error) => error.source(),
            TypedSendError::Send(SendErrorKind::Lost(end)) => Some(end),
            TypedSendError::Send(_) => None,
        }
    }
}

/// The receiving direction of a dialog for values of one type. Dropping it tells the other side to send no
/// more.
#[derive(Debug)]
pub struct TypedReceiver<T, C = Postcard> {
    raw: DialogReceiver,
    items: PhantomData<fn() -> (T, C)>,
}

impl<T: DeserializeOwned, C: Codec> TypedReceiver<T, C> {
    /// Gives the items of this direction a type.
    pub const fn new(raw: DialogReceiver) -> TypedReceiver<T, C> {
        TypedReceiver { raw, items: PhantomData }
    }

    /// Waits for the next item. `None`: the other side ended this direction, or the dialog ended well.
    ///
    /// # Cancel safety
    /// Nothing is lost: an item is taken out only when it is returned.
    ///
    /// # Errors
    /// How the dialog ended, if not well; or the item is not what was expected, and the next call goes on
    /// behind it.
    pub async fn recv(&mut self) -> Result<Option<T>, RecvError> {
        match self.raw.recv().await.map_err(RecvError::End)? {
            Some(item) => C::decode_shared(&item).map(Some).map_err(RecvError::Decode),
            None => Ok(None),
        }
    }
}

/// Why no value was received.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RecvError {
    /// The dialog ended without a result.
    End(CallEnd),
    /// The item is not a value of the expected type.
    Decode(DecodeError),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::End(end) => end.fmt(f),
            RecvError::Decode(error) => error.fmt(f),
        }
    }
}

impl Error for RecvError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            RecvError::End(end) => end.source(),
            RecvError::Decode(error) => error.source(),
        }
    }
}
