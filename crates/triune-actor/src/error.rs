//! How calls, dialogs and starts fail.
//!
//! Owns the error types of the crate. Three things are kept apart everywhere: that the *own* scope was cancelled (only that is a
//! [`Cancelled`], which the scope absorbs), that the *other side* was cancelled (an error like any other here), and that the process at
//! the other end is gone.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;

use triune_ipc::{CallEnd, LinkEnd, SendError, SendErrorKind};
use triune_process::ActorDied;
use triune_scope::{CancelReason, Cancelled};
use triune_wire::{DecodeError, EncodeError, Report};

mod remote;

pub use remote::{PeerCancelled, PeerEnd, RemoteError};

/// Why a call, or the endpoint's half of a dialog, gave no value. `E` is the endpoint's own error type.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError<E = Infallible> {
    /// The endpoint failed, and its error type can travel.
    #[non_exhaustive]
    App {
        /// The endpoint's own error.
        error: E,
        /// The same as texts, and where it happened.
        remote: RemoteError,
    },
    /// The endpoint failed with an error that cannot travel as itself: its texts, and where it happened.
    Remote(RemoteError),
    /// The endpoint panicked. Its actor goes on.
    Panic(RemoteError),
    /// The actor's process died before it answered.
    Died(ActorDied),
    /// The scope around the caller was cancelled; the endpoint was told.
    Cancelled(Cancelled),
    /// The endpoint was cancelled, and not by this caller.
    PeerCancelled(PeerCancelled),
    /// The actor was stopped before the call.
    Closed(Closed),
    /// The arguments cannot be encoded; nothing was sent.
    Encode(EncodeError),
    /// The value or the first value cannot be decoded.
    Decode(DecodeError),
    /// The arguments are larger than the actor accepts; nothing was sent.
    #[non_exhaustive]
    TooLarge {
        /// Length of the message in bytes.
        len: usize,
        /// The largest length that the actor accepts, in bytes.
        max: usize,
    },
    /// The two sides misunderstood each other: an endpoint that returned without `started`, a value that cannot be encoded.
    Protocol(RemoteError),
    /// The actor has no such endpoint.
    Unknown(RemoteError),
    /// The actor for a single call could not be started.
    Start(StartError),
}

impl<E> CallError<E> {
    /// Whether the endpoint's own error arrived.
    pub const fn is_app(&self) -> bool {
        matches!(self, Self::App { .. })
    }

    /// The endpoint's own error, if it arrived.
    pub const fn app(&self) -> Option<&E> {
        match self {
            Self::App { error, .. } => Some(error),
            _ => None,
        }
    }

    /// Whether the endpoint panicked.
    pub const fn is_panic(&self) -> bool {
        matches!(self, Self::Panic(_))
    }

    /// Whether the actor's process died.
    pub const fn is_died(&self) -> bool {
        matches!(self, Self::Died(_))
    }

    /// How the actor's process died, if it did.
    pub const fn died(&self) -> Option<&ActorDied> {
        match self {
            Self::Died(died) => Some(died),
            _ => None,
        }
    }

    /// Whether the caller's own scope was cancelled.
    pub const fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }

    /// Whether the endpoint was cancelled by somebody else.
    pub const fn is_peer_cancelled(&self) -> bool {
        matches!(self, Self::PeerCancelled(_))
    }

    /// Whether the actor had been stopped.
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// What the other process said about the failure, if it said something.
    pub fn report(&self) -> Option<&Report> {
        match self {
            Self::App { remote, .. }
            | Self::Remote(remote)
            | Self::Panic(remote)
            | Self::Protocol(remote)
            | Self::Unknown(remote) => Some(remote.report()),
            _ => None,
        }
    }
}

impl<E> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App { remote, .. } | Self::Remote(remote) => write!(f, "{} failed", remote.place()),
            Self::Panic(remote) => {
                write!(f, "{} panicked", remote.place())?;
                remote.report().location.as_ref().map_or(Ok(()), |location| write!(f, " at {location}"))
            }
            Self::Died(_) => f.write_str("the call was not answered"),
            Self::Cancelled(_) => f.write_str("the call was given up"),
            Self::PeerCancelled(peer) => peer.fmt(f),
            Self::Closed(closed) => closed.fmt(f),
            Self::Encode(_) => f.write_str("the arguments of the call were not sent"),
            Self::Decode(_) => f.write_str("the answer to the call cannot be read"),
            Self::TooLarge { len, max } => write!(
                f,
                "the arguments have {len} bytes, the actor accepts {max}: send the data in pieces, as items of a dialog"
            ),
            Self::Protocol(remote) => write!(f, "{} did not give a proper answer", remote.place()),
            Self::Unknown(_) => f.write_str("the actor does not have the endpoint"),
            Self::Start(_) => f.write_str("the actor for the call was not started"),
        }
    }
}

impl<E: fmt::Debug> StdError for CallError<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::App { remote, .. }
            | Self::Remote(remote)
            | Self::Panic(remote)
            | Self::Protocol(remote)
            | Self::Unknown(remote) => Some(remote),
            Self::Died(died) => Some(died),
            Self::Cancelled(cancelled) => Some(cancelled),
            Self::Encode(error) => Some(error),
            Self::Decode(error) => Some(error),
            Self::Start(error) => Some(error),
            Self::Closed(closed) => closed.source(),
            Self::PeerCancelled(_) | Self::TooLarge { .. } => None,
        }
    }
}

/// The actor is no longer there to be called: it was stopped.
#[derive(Debug, Clone)]
pub struct Closed {
    actor: String,
    stopped: Option<CancelReason>,
    end: LinkEnd,
}

impl Closed {
    pub(crate) fn new(actor: &str, stopped: Option<CancelReason>, end: LinkEnd) -> Self {
        Self { actor: actor.to_owned(), stopped, end }
    }

    /// Why the actor was stopped.
    pub fn reason(&self) -> Option<&CancelReason> {
        self.stopped.as_ref()
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stopped {
            Some(reason) => write!(f, "actor `{}` was stopped: {reason}", self.actor),
            None => write!(f, "the link to actor `{}` has ended", self.actor),
        }
    }
}

impl StdError for Closed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self.stopped {
            Some(_) => None,
            None => Some(&self.end),
        }
    }
}

/// Why an item of a dialog was not sent or not received.
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

    pub(crate) fn from_send(error: &SendError) -> Self {
        match error.kind() {
            SendErrorKind::TooLarge { len, max, .. } => Self::TooLarge { len: *len, max: *max },
            SendErrorKind::Cancelled(_) | SendErrorKind::Lost(_) => {
                Self::Ended(PeerEnd::new(error.to_string()))
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

/// Why an actor was not started. No process is left behind.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The name cannot be that of an actor.
    #[non_exhaustive]
    Name {
        /// The refused name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The process was not started, or did not get as far as its role.
    Process(triune_process::StartError),
    /// The scope around the caller was cancelled.
    Cancelled(Cancelled),
}

impl StartError {
    /// Whether the program forgot to send its children into their roles; the text names the remedy.
    pub fn is_entry_not_reached(&self) -> bool {
        matches!(self, Self::Process(error) if error.is_entry_not_reached())
    }

    /// Whether the caller's scope was cancelled.
    pub const fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name, reason } => {
                write!(f, "`{}` cannot be the name of an actor: {reason}", name.escape_debug())
            }
            Self::Process(_) => f.write_str("the actor was not started"),
            Self::Cancelled(_) => f.write_str("the start of the actor was given up"),
        }
    }
}

impl StdError for StartError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Name { .. } => None,
            Self::Process(error) => Some(error),
            Self::Cancelled(cancelled) => Some(cancelled),
        }
    }
}

/// Both halves of a dialog failed, each by itself: the later failure is kept beside the one that came first.
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
