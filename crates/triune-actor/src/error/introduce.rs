//! How an introduction comes to nothing.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use triune_process::ActorDied;
use triune_scope::Cancelled;

use super::{Closed, RemoteError};

/// Why two actors were not introduced to each other.
///
/// ```
/// use triune::actor::{IntroduceError, introduce};
/// use triune::prelude::*;
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let (one, other) = (n.actor("one").start().await?, n.actor("other").start().await?);
///         assert!(matches!(introduce(&one, &one.clone()).await, Err(IntroduceError::Itself { .. })));
///
///         other.cancel("it is not needed any more");
///         let error = introduce(&one, &other).await.unwrap_err();
///         assert!(error.is_closed() && error.died().is_none() && !error.is_cancelled());
///         Ok(())
///     })
///     .await
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum IntroduceError {
    /// Both portals are of one actor.
    #[non_exhaustive]
    Itself {
        /// Its path.
        path: String,
    },
    /// The system gives no pair of sockets.
    Socket(io::Error),
    /// One of the two has died.
    Died(ActorDied),
    /// One of the two was stopped.
    Closed(Closed),
    /// One of the two has not met the other, for this reason.
    #[non_exhaustive]
    Failed {
        /// The path of the one that says so.
        path: String,
        /// What it says.
        error: RemoteError,
    },
    /// The scope around the caller was cancelled.
    Cancelled(Cancelled),
}

impl IntroduceError {
    /// How one of the two died, if that is the reason.
    pub const fn died(&self) -> Option<&ActorDied> {
        match self {
            Self::Died(died) => Some(died),
            _ => None,
        }
    }

    /// Whether one of the two was stopped.
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// Whether the caller's own scope was cancelled.
    pub const fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }
}

impl fmt::Display for IntroduceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Itself { path } => {
                write!(f, "`{path}` cannot be introduced to itself: use two portals of two actors")
            }
            Self::Failed { path, .. } => write!(f, "`{path}` has not met the other actor"),
            _ => f.write_str("the two actors were not introduced to each other"),
        }
    }
}

impl StdError for IntroduceError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Itself { .. } => None,
            Self::Socket(error) => Some(error),
            Self::Died(died) => Some(died),
            Self::Closed(closed) => Some(closed),
            Self::Failed { error, .. } => Some(error),
            Self::Cancelled(cancelled) => Some(cancelled),
        }
    }
}
