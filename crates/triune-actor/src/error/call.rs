//! How a call ends without a value.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;

use triune_ipc::LinkEnd;
use triune_process::ActorDied;
use triune_scope::{CancelReason, Cancelled};
use triune_wire::{DecodeError, EncodeError, Report};

use super::{PeerCancelled, RemoteError, StartError};

/// Why a call, or the endpoint's half of a dialog, gave no value. `E` is the endpoint's own error type.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use triune::actor::CallError;
/// use triune::prelude::*;
///
/// /// An error that is serialisable travels as itself.
/// #[derive(Debug, Serialize, Deserialize)]
/// enum Fault {
///     Negative(i64),
/// }
///
/// impl std::fmt::Display for Fault {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         let Self::Negative(number) = self;
///         write!(f, "{number} is negative")
///     }
/// }
///
/// impl std::error::Error for Fault {}
///
/// #[triune::endpoint]
/// async fn root_of(number: i64) -> Result<i64, Fault> {
///     assert!(number < 1_000_000, "{number} is too large");
///     if number < 0 { Err(Fault::Negative(number)) } else { Ok(number.isqrt()) }
/// }
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let actor = n.actor("roots").start().await?;
///         let error = actor.call(root_of::with(-4)).await.unwrap_err();
///         assert!(matches!(error.app(), Some(Fault::Negative(-4))));
///
///         // A panic ends its call, and the actor goes on.
///         let error = actor.call(root_of::with(4_000_000)).await.unwrap_err();
///         let CallError::Panic(remote) = &error else { panic!("{error}") };
///         assert_eq!(remote.report().message, "4000000 is too large");
///         assert!(error.is_panic() && !error.is_app());
///         assert_eq!(actor.call(root_of::with(4)).await?, 2);
///         Ok(())
///     })
///     .await
/// }
/// ```
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
    ///
    /// ```
    /// use triune::prelude::*;
    ///
    /// #[triune::endpoint]
    /// async fn leave() {
    ///     std::process::exit(3)
    /// }
    ///
    /// #[triune::main]
    /// async fn main() -> Result {
    ///     let ended = nursery(async |n| {
    ///         let actor = n.actor("deserter").start().await?;
    ///         let error = actor.call(leave::with()).await.unwrap_err();
    ///         let died = error.died().expect("its process has ended");
    ///         assert_eq!((died.name(), died.exit().and_then(|exit| exit.code())), ("/deserter", Some(3)));
    ///         assert!(error.is_died());
    ///         Ok(())
    ///     });
    ///     // Nobody had asked it to end, so the nursery fails, whatever the call has made of it.
    ///     let error = ended.await.unwrap_err();
    ///     assert!(error.downcast_ref::<triune::actor::ActorDied>().is_some());
    ///     Ok(())
    /// }
    /// ```
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
    ///
    /// ```
    /// use triune::prelude::*;
    ///
    /// #[triune::endpoint]
    /// async fn read(path: String) -> Result<String> {
    ///     std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    /// }
    ///
    /// #[triune::main]
    /// async fn main() -> Result {
    ///     nursery(async |n| {
    ///         let actor = n.actor("reader").start().await?;
    ///         let error = actor.call(read::with("/nowhere".to_owned())).await.unwrap_err();
    ///         let report = error.report().expect("the endpoint has failed by itself");
    ///         assert_eq!(report.message, "cannot read /nowhere");
    ///         assert_eq!(report.path.as_deref(), Some("/reader"));
    ///         assert_eq!(report.pid, Some(actor.pid()));
    ///         assert!(report.chain[0].starts_with("No such file"));
    ///         Ok(())
    ///     })
    ///     .await
    /// }
    /// ```
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
///
/// ```
/// use triune::actor::CallError;
/// use triune::prelude::*;
///
/// #[triune::endpoint]
/// async fn ping() {}
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let actor = n.actor("service").start().await?;
///         actor.cancel("it is not needed any more");
///         let CallError::Closed(closed) = actor.call(ping::with()).await.unwrap_err() else { panic!("it is closed") };
///         assert_eq!(closed.reason().map(|reason| reason.message()), Some("it is not needed any more"));
///         Ok(())
///     })
///     .await
/// }
/// ```
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
