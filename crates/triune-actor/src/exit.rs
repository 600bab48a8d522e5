//! How an actor ended, for whoever waits for it.

use std::fmt;

use triune_process::{ActorDied, Exit};
use triune_scope::CancelReason;

/// How an actor ended. A cheap handle.
///
/// ```
/// use triune::prelude::*;
///
/// #[triune::endpoint]
/// async fn hello() -> String {
///     "hello".to_owned()
/// }
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let actor = n.actor("greeter").start().await?;
///         actor.call(hello::with()).await?;
///         actor.cancel("no more visitors");
///
///         let report = actor.wait().await?;
///         assert_eq!((report.path(), report.pid()), ("/greeter", actor.pid()));
///         assert!(report.is_graceful() && report.died().is_none());
///         assert_eq!(report.exit().and_then(|exit| exit.code()), Some(0));
///         assert_eq!(report.stop_reason().map(|reason| reason.message()), Some("no more visitors"));
///         Ok(())
///     })
///     .await
/// }
/// ```
#[derive(Debug, Clone)]
pub struct ExitReport {
    pub(crate) path: String,
    pub(crate) pid: u32,
    pub(crate) exit: Option<Exit>,
    pub(crate) stopped: Option<CancelReason>,
    pub(crate) died: Option<ActorDied>,
}

impl ExitReport {
    /// The actor's path in the tree.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its process number. The system may have given it to somebody else since.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The status that its process left; `None` if nobody could wait for it, because the runtime was shut down.
    pub fn exit(&self) -> Option<Exit> {
        self.exit
    }

    /// Why the actor was stopped, if it was asked to.
    pub fn stop_reason(&self) -> Option<&CancelReason> {
        self.stopped.as_ref()
    }

    /// The death, if the actor did not end as it should: by itself, or otherwise than asked to.
    pub fn died(&self) -> Option<&ActorDied> {
        self.died.as_ref()
    }

    /// Whether the actor ended in good order: it was asked to, cleaned up within its grace and exited with code 0.
    pub fn is_graceful(&self) -> bool {
        self.stopped.is_some() && self.exit.is_some_and(|exit| exit.is_success())
    }
}

impl fmt::Display for ExitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(died) = &self.died {
            return died.fmt(f);
        }
        write!(f, "actor `{}` (pid {}) ended", self.path, self.pid)?;
        if let Some(exit) = self.exit {
            write!(f, ": {exit}")?;
        }
        match &self.stopped {
            Some(reason) => write!(f, ", stopped: {reason}"),
            None => Ok(()),
        }
    }
}
