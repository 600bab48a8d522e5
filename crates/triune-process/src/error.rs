//! Why a child could not be started.
//!
//! One error for the whole way from the system call to the handshake, so that workers and actors report it alike. The
//! part behind the system call (boot, handshake) is raised by the crates above through the constructors here.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::exit::{Exit, exit_code};
use crate::limits::{LimitsError, LimitsReport};

const REMEDY: &str =
    "call triune::init() first thing in main, use #[triune::main], or enable the feature auto-init";

/// A child could not be started. A cheap handle: clones share the cause.
#[derive(Clone, Debug)]
pub struct StartError {
    name: Arc<str>,
    kind: StartErrorKind,
}

/// What stood in the way of a start.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StartErrorKind {
    /// The system refused a process or its descriptors.
    Spawn(Arc<io::Error>),
    /// The program does not send its children into their roles. Holds how the child ended, if one was started at all.
    EntryNotReached(Option<Exit>),
    /// The child ended before it said hello.
    Exited {
        /// Its process number.
        pid: u32,
        /// How it ended.
        exit: Exit,
    },
    /// The child did not say hello in time.
    Deadline(Duration),
    /// Limits are required that the system does not enforce.
    Limits(LimitsError),
    /// The child said something else than the hello that was expected, such as that of another build.
    Handshake(Arc<dyn Error + Send + Sync>),
}

impl StartError {
    pub(crate) fn new(name: &str, kind: StartErrorKind) -> Self {
        Self { name: Arc::from(name), kind }
    }

    /// A child for which there was no process, or none of its descriptors, to be had.
    #[must_use]
    pub fn spawn(name: &str, error: io::Error) -> Self {
        Self::new(name, StartErrorKind::Spawn(Arc::new(error)))
    }

    /// A child that ended before it said hello. Tells one that missed its entry from one that died in it.
    ///
    /// ```
    /// use triune_process::{Exit, StartError, exit_code};
    ///
    /// let missed = Exit::Code(exit_code::ENTRY_NOT_REACHED.into());
    /// let error = StartError::ended_early("counter", 4711, missed);
    /// assert!(error.is_entry_not_reached());
    /// assert!(error.to_string().contains("call triune::init() first thing in main"));
    /// ```
    #[must_use]
    pub fn ended_early(name: &str, pid: u32, exit: Exit) -> Self {
        let in_boot = [exit_code::PARENT_GONE, exit_code::BOOT_FAILED, exit_code::PANIC];
        let kind = match exit {
            // The role had begun: these are codes of the way behind the entry.
            Exit::Code(code) if in_boot.iter().any(|known| i32::from(*known) == code) => {
                StartErrorKind::Exited { pid, exit }
            }
            // Whatever else ends by itself without a word ran the program's own main instead of its role.
            Exit::Code(_) => StartErrorKind::EntryNotReached(Some(exit)),
            exit => StartErrorKind::Exited { pid, exit },
        };
        Self::new(name, kind)
    }

    /// A child that did not say hello within `limit`.
    #[must_use]
    pub fn deadline(name: &str, limit: Duration) -> Self {
        Self::new(name, StartErrorKind::Deadline(limit))
    }

    /// A child whose hello was refused.
    #[must_use]
    pub fn handshake(name: &str, error: impl Error + Send + Sync + 'static) -> Self {
        Self::new(name, StartErrorKind::Handshake(Arc::new(error)))
    }

    /// A child that could not be limited as is required.
    #[must_use]
    pub fn limits(name: &str, report: LimitsReport) -> Self {
        Self::new(name, StartErrorKind::Limits(LimitsError::new(report)))
    }

    /// The name of the child that was to be started.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stood in the way.
    #[must_use]
    pub fn kind(&self) -> &StartErrorKind {
        &self.kind
    }

    /// Whether the program forgot to send its children into their roles.
    #[must_use]
    pub fn is_entry_not_reached(&self) -> bool {
        matches!(self.kind, StartErrorKind::EntryNotReached(_))
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.kind {
            StartErrorKind::Spawn(_) => write!(f, "cannot start process `{name}`"),
            StartErrorKind::EntryNotReached(None) => {
                write!(
                    f,
                    "cannot start process `{name}`: this program never reached triune's entry, so its children would not either; {REMEDY}"
                )
            }
            StartErrorKind::EntryNotReached(Some(exit)) => {
                write!(f, "process `{name}` never reached triune's entry ({exit}); {REMEDY}")
            }
            StartErrorKind::Exited { pid, exit } => {
                write!(f, "process `{name}` (pid {pid}) ended while it started: {exit}")
            }
            StartErrorKind::Deadline(limit) => {
                write!(
                    f,
                    "process `{name}` did not say hello within {limit:?}; {REMEDY}, or raise the boot deadline"
                )
            }
            StartErrorKind::Limits(_) => write!(f, "process `{name}` cannot be limited as is required"),
            StartErrorKind::Handshake(_) => write!(f, "process `{name}` was refused at the handshake"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            StartErrorKind::Spawn(error) => Some(&**error),
            StartErrorKind::Limits(error) => Some(error),
            StartErrorKind::Handshake(error) => Some(&**error as &(dyn Error + 'static)),
            _ => None,
        }
    }
}
