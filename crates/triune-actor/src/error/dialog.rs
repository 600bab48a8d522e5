//! How an item of a dialog, or a dialog as a whole, fails.

use std::error::Error as StdError;
use std::fmt;

use triune_ipc::{CallEnd, SendErrorKind, TypedSendError};
use triune_scope::Cancelled;
use triune_wire::{DecodeError, EncodeError};

use super::PeerEnd;

/// Why an item of a dialog was not sent or not received.
///
/// ```
/// use triune::actor::DialogError;
/// use triune::prelude::*;
///
/// /// Says no, and fails.
/// #[triune::endpoint]
/// async fn refuse(cx: Context<Started<()>, Out<()>, In<u32>>) -> Result {
///     let _dialog = cx.started(()).await?;
///     Err(Error::msg("not today"))
/// }
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let actor = n.actor("clerk").start().await?;
///         let talk = actor.context(refuse::with(), async |(), mut dialog| {
///             let error = dialog.recv().await.unwrap_err();
///             // The endpoint's failure has cancelled this block.
///             assert!(matches!(error, DialogError::Cancelled(_)) && error.is_cancelled());
///             Err::<(), _>(error.into())
///         });
///         // What the dialog tells is the failure, not its echo.
///         assert!(format!("{:#}", talk.await.unwrap_err()).ends_with("not today"));
///         Ok(())
///     })
///     .await
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum DialogError {
    /// The scope around this side was cancelled. Nothing was sent or taken.
    Cancelled(Cancelled),
    /// The other side failed, was cancelled, or is gone. The dialog's own end tells the whole of it.
    Ended(PeerEnd),
    /// The other side takes no more items: its task, or its half of the dialog, has ended in good order.
    Closed,
    /// The item cannot be encoded; nothing was sent.
    Encode(EncodeError),
    /// The item is not of this type.
    Decode(DecodeError),
    /// The item is larger than the other side accepts; nothing was sent.
    #[non_exhaustive]
    TooLarge {
        /// Length of the item in bytes.
        len: usize,
        /// The largest length that the other side accepts, in bytes.
        max: usize,
    },
}

impl DialogError {
    /// Whether this side's scope was cancelled.
    pub const fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }

    /// Whether the other side failed or is gone.
    pub const fn is_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }

    /// Whether the other side takes no more items, in good order.
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    pub(crate) fn from_send(error: TypedSendError) -> Self {
        match error {
            TypedSendError::Encode(error) => Self::Encode(error),
            TypedSendError::Send(SendErrorKind::TooLarge { len, max, .. }) => Self::TooLarge { len, max },
            TypedSendError::Send(kind @ (SendErrorKind::Cancelled(_) | SendErrorKind::Lost(_))) => {
                Self::Ended(PeerEnd::new(kind.to_string()))
            }
            _ => Self::Closed,
        }
    }

    pub(crate) fn from_end(end: &CallEnd) -> Self {
        match end {
            CallEnd::TooLarge { len, max, .. } => Self::TooLarge { len: *len, max: *max },
            end => Self::Ended(PeerEnd::new(end.to_string())),
        }
    }
}

impl fmt::Display for DialogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled(_) => "the dialog was given up",
            Self::Ended(_) => "the dialog is over",
            Self::Closed => "the other side of the dialog takes no more items",
            Self::Encode(_) => "the item was not sent",
            Self::Decode(_) => "the item cannot be read",
            Self::TooLarge { len, max } => {
                return write!(
                    f,
                    "the item has {len} bytes, the other side accepts {max}: send it in pieces"
                );
            }
        })
    }
}

impl StdError for DialogError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Cancelled(cancelled) => Some(cancelled),
            Self::Ended(end) => Some(end),
            Self::Encode(error) => Some(error),
            Self::Decode(error) => Some(error),
            Self::Closed | Self::TooLarge { .. } => None,
        }
    }
}

/// Why an item was not sent at once.
///
/// ```
/// use triune::actor::TrySendError;
/// use triune::prelude::*;
///
/// /// Is late, and then counts what it gets.
/// #[triune::endpoint]
/// async fn slow(cx: Context<Started<()>, Out<()>, In<u32>>) -> Result<u32> {
///     let mut dialog = cx.started(()).await?;
///     triune::sleep(std::time::Duration::from_millis(10)).await?;
///     let mut count = 0;
///     while dialog.recv().await?.is_some() {
///         count += 1;
///     }
///     Ok(count)
/// }
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let actor = n.actor("slow").start().await?;
///         let (sent, taken) = actor
///             .context(slow::with(), async |(), mut dialog| {
///                 let mut sent = 0;
///                 loop {
///                     match dialog.try_send(sent) {
///                         Ok(()) => sent += 1,
///                         Err(TrySendError::Full(_item)) => return Ok(sent), // It is behind: give up the rest.
///                         Err(error) => return Err(error.into()),
///                     }
///                 }
///             })
///             .await?;
///         assert_eq!(sent, taken);
///         Ok(())
///     })
///     .await
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum TrySendError<T> {
    /// The other side has not taken enough of what was sent before. Here is the item back.
    Full(T),
    /// It could not be sent later either.
    Failed(DialogError),
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the other side of the dialog is behind; use `send`, which waits"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<T: fmt::Debug> StdError for TrySendError<T> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Full(_) => None,
            Self::Failed(error) => error.source(),
        }
    }
}

/// Both halves of a dialog failed, each by itself: the later failure is kept beside the one that came first.
///
/// ```
/// use triune::actor::BothFailed;
/// use triune::prelude::*;
///
/// /// Fails while it cleans up.
/// #[triune::endpoint]
/// async fn stubborn(cx: Context<Started<()>, Out<()>, In<()>>) -> Result {
///     let mut dialog = cx.started(()).await?;
///     let _cancelled = dialog.recv().await;
///     Err(Error::msg("cannot clean up"))
/// }
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let actor = n.actor("stubborn").start().await?;
///         let block = async |(), _dialog| Err::<(), _>(Error::msg("wrong number"));
///         let error = actor.context(stubborn::with(), block).await.unwrap_err();
///         let both = error.downcast_ref::<BothFailed>().expect("each has failed by itself");
///         assert_eq!(both.first().to_string(), "wrong number");
///         assert!(format!("{:#}", both.second()).ends_with("cannot clean up"));
///         Ok(())
///     })
///     .await
/// }
/// ```
#[derive(Debug)]
pub struct BothFailed {
    first: triune_scope::Error,
    second: triune_scope::Error,
}

impl BothFailed {
    pub(crate) fn new(first: triune_scope::Error, second: triune_scope::Error) -> Self {
        Self { first, second }
    }

    /// The failure that came first.
    pub fn first(&self) -> &triune_scope::Error {
        &self.first
    }

    /// The failure of the other half, which came while it was being ended.
    pub fn second(&self) -> &triune_scope::Error {
        &self.second
    }
}

impl fmt::Display for BothFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "both halves of a dialog failed, the other one with: {:#}", self.second)
    }
}

impl StdError for BothFailed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.first.as_std())
    }
}
