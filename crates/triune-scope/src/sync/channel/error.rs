//! What can go wrong at the ends of a channel. A value that was not sent comes back with the error.

use std::error::Error as StdError;
use std::fmt;

use super::state::Refusal;
use crate::error::Cancelled;

/// A value was not sent. It is in here.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::sync::{SendErrorKind, channel};
///
/// let (sender, receiver) = channel(1);
/// receiver.close();
/// let error = sender.send("precious").await.unwrap_err();
/// assert_eq!(error.kind(), &SendErrorKind::Broken);
/// assert_eq!(error.into_value(), "precious");
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SendError<T> {
    kind: SendErrorKind,
    value: T,
}

/// Why a value was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// The scope around it was cancelled before the value was taken.
    Cancelled(Cancelled),
    /// This sender was closed.
    Closed,
    /// All receivers are closed.
    Broken,
}

impl<T> SendError<T> {
    pub(super) fn new(kind: SendErrorKind, value: T) -> Self {
        Self { kind, value }
    }

    /// Why it was not sent.
    pub fn kind(&self) -> &SendErrorKind {
        &self.kind
    }

    /// The value.
    #[must_use = "the value is lost"]
    pub fn into_value(self) -> T {
        self.value
    }

    /// The same error without the value, for values that cannot travel in an error.
    #[must_use = "the error is returned, not changed in place"]
    pub fn without_value(self) -> SendError<()> {
        SendError { kind: self.kind, value: () }
    }
}

impl From<Refusal> for SendErrorKind {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Closed => Self::Closed,
            Refusal::Gone => Self::Broken,
        }
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            SendErrorKind::Cancelled(_) => f.write_str("the value was not sent"),
            SendErrorKind::Closed => f.write_str(SENDER_CLOSED),
            SendErrorKind::Broken => f.write_str(BROKEN),
        }
    }
}

impl<T> StdError for SendError<T> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.kind {
            SendErrorKind::Cancelled(cancelled) => Some(cancelled),
            SendErrorKind::Closed | SendErrorKind::Broken => None,
        }
    }
}

const SENDER_CLOSED: &str = "this sender is closed; clone one that is open";
const BROKEN: &str = "all receivers of the channel are closed; keep one for as long as something is sent";
const RECEIVER_CLOSED: &str = "this receiver is closed; clone one that is open";
const END: &str = "all senders of the channel are closed and everything was received; stop receiving";

/// A value was not sent at once. It is in here.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError<T> {
    /// There is no room, and no receiver waits.
    Full(T),
    /// This sender was closed.
    Closed(T),
    /// All receivers are closed.
    Broken(T),
}

impl<T> TrySendError<T> {
    pub(super) fn refused(value: T, refusal: Refusal) -> Self {
        match refusal {
            Refusal::Closed => Self::Closed(value),
            Refusal::Gone => Self::Broken(value),
        }
    }

    /// The value.
    #[must_use = "the value is lost"]
    pub fn into_value(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) | Self::Broken(value) => value,
        }
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
            Self::Broken(_) => "Broken(..)",
        })
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the channel has no room; use `send` to wait",
            Self::Closed(_) => SENDER_CLOSED,
            Self::Broken(_) => BROKEN,
        })
    }
}

impl<T> StdError for TrySendError<T> {}

/// Nothing was received.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// The scope around it was cancelled before a value came.
    Cancelled(Cancelled),
    /// This receiver was closed.
    Closed,
    /// All senders are closed, and everything was received.
    EndOfChannel,
}

impl From<Refusal> for RecvError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Closed => Self::Closed,
            Refusal::Gone => Self::EndOfChannel,
        }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled(_) => "nothing was received",
            Self::Closed => RECEIVER_CLOSED,
            Self::EndOfChannel => END,
        })
    }
}

impl StdError for RecvError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Cancelled(cancelled) => Some(cancelled),
            Self::Closed | Self::EndOfChannel => None,
        }
    }
}

/// Nothing was received at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryRecvError {
    /// There is nothing to receive.
    Empty,
    /// This receiver was closed.
    Closed,
    /// All senders are closed, and everything was received.
    EndOfChannel,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the channel is empty; use `recv` to wait",
            Self::Closed => RECEIVER_CLOSED,
            Self::EndOfChannel => END,
        })
    }
}

impl StdError for TryRecvError {}
