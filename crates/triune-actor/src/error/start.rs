//! How the start of an actor comes to nothing.

use std::error::Error as StdError;
use std::fmt;

use triune_scope::Cancelled;

/// Why an actor was not started. No process is left behind.
///
/// ```
/// use triune::actor::StartError;
/// use triune::prelude::*;
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let error = n.actor("a/b").start().await.unwrap_err();
///         assert!(matches!(&error, StartError::Name { name, .. } if name == "a/b"));
///         assert_eq!(error.to_string(), "`a/b` cannot be the name of an actor: `/` separates the parts of a path");
///         assert!(!error.is_entry_not_reached() && !error.is_cancelled());
///         Ok(())
///     })
///     .await
/// }
/// ```
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
