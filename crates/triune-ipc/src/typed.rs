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
    ///
    /// ```
    /// use triune_ipc::{CallOptions, Request};
    /// use triune_wire::{Codec, Postcard};
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
    ///     let Some(Request::Call(call)) = incoming.recv().await else { panic!("a call was made") };
    ///     let (width, height): (u32, u32) = Postcard::decode_shared(&call.args)?;
    ///     call.responder.reply(Postcard::to_message(&(width * height))?);
    ///     Ok::<_, Box<dyn std::error::Error>>(())
    /// };
    /// let ask = link.call_typed::<Postcard, _, u32>(0, &(6_u32, 7_u32), CallOptions::default());
    /// let (area, served) = tokio::join!(ask, serve);
    /// served?;
    /// assert_eq!(area?, 42);
    /// # Ok(())
    /// # }
    /// ```
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
///
/// ```
/// use triune_ipc::{CallOptions, Request, TypedCallError};
/// use triune_wire::Postcard;
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
///     if let Some(Request::Call(call)) = incoming.recv().await {
///         call.responder.reply(b"no number".to_vec());
///     }
/// };
/// let ask = link.call_typed::<Postcard, _, bool>(0, "is it true?", CallOptions::default());
/// let (answer, ()) = tokio::join!(ask, serve);
/// assert!(matches!(answer, Err(TypedCallError::Decode(error)) if error.type_name() == "bool"));
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// use triune_ipc::{Request, TypedReceiver, TypedSender};
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
/// let (mut dialog, sender, receiver) = link.open(0, Vec::new());
/// let (mut words, mut lengths) = (TypedSender::<String>::new(sender), TypedReceiver::<usize>::new(receiver));
/// let serve = async {
///     let Some(Request::Open(mut dialog)) = incoming.recv().await else { panic!("a dialog was opened") };
///     dialog.responder.started(Vec::new())?;
///     let mut words = TypedReceiver::<String>::new(dialog.receiver);
///     let mut lengths = TypedSender::<usize>::new(dialog.sender);
///     while let Some(word) = words.recv().await? {
///         lengths.send(&word.len()).await?;
///     }
///     dialog.responder.reply(Vec::new());
///     Ok::<_, Box<dyn std::error::Error>>(())
/// };
/// let talk = async {
///     words.send(&"three".to_owned()).await?;
///     assert_eq!(lengths.recv().await?, Some(5));
///     words.end();
///     assert_eq!(lengths.recv().await?, None);
///     dialog.ended().await?;
///     Ok::<_, Box<dyn std::error::Error>>(())
/// };
/// tokio::try_join!(talk, serve)?;
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// use triune_ipc::TypedSender;
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
/// let (link, incoming) = two_ends().await?; // of a link whose drivers run
/// drop(incoming);
/// let (_dialog, sender, _receiver) = link.open(0, Vec::new());
/// let mut numbers = TypedSender::<u64>::new(sender);
/// let error = numbers.try_send(&7).unwrap_err();
/// assert!(error.is_full(), "nobody has taken the dialog up yet");
/// assert_eq!(error.to_string(), "the item was not sent: no room now");
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// use triune_ipc::{RecvError, Request, TypedReceiver};
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
/// let (_dialog, _sender, receiver) = link.open(0, Vec::new());
/// let mut flags = TypedReceiver::<bool>::new(receiver);
/// let Some(Request::Open(mut theirs)) = incoming.recv().await else { panic!("a dialog was opened") };
/// theirs.responder.started(Vec::new())?;
/// theirs.sender.send(vec![7]).await.map_err(|error| error.to_string())?;
/// theirs.sender.send(vec![1]).await.map_err(|error| error.to_string())?;
/// assert!(matches!(flags.recv().await, Err(RecvError::Decode(_))), "7 is neither true nor false");
/// assert_eq!(flags.recv().await?, Some(true));
/// # Ok(())
/// # }
/// ```
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
