//! Why a child could not be started.
//!
//! One error for the whole way from the system call to the handshake, so that workers and actors report it alike. The
//! part behind the system call (boot, handshake) is raised by the crates above through the constructors here.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::exit::{Exit, exit_code};
use crate::limits::{LimitsError, LimitsReport};
use crate::program::Program;

const REMEDY: &str =
    "call triune::init() first thing in main, use #[triune::main], or enable the feature auto-init";

const PROGRAM_REMEDY: &str = "a Rust program calls triune::init() first thing in main, or uses #[triune::main]; any other one speaks \
                              triune's protocol over descriptor 3 (docs/protocol.md); a program that starts one hands on descriptor 3 and \
                              the environment, and waits for it";

/// A child could not be started. A cheap handle: clones share the cause.
///
/// ```
/// use std::time::Duration;
/// use triune_process::{StartError, StartErrorKind};
///
/// let error = StartError::deadline("counter", Duration::from_secs(10));
/// assert_eq!(error.name(), "counter");
/// assert!(matches!(error.kind(), StartErrorKind::Deadline(limit) if limit.as_secs() == 10));
/// assert!(error.to_string().starts_with("process `counter` did not say hello within 10s;"));
/// ```
#[derive(Clone, Debug)]
pub struct StartError {
    name: Arc<str>,
    kind: StartErrorKind,
    /// Of a child that is another program.
    program: Option<Arc<Other>>,
}

/// What is known of another program that did not become a child.
#[derive(Debug)]
struct Other {
    program: Program,
    /// Where it is looked for.
    path: OsString,
    stderr_tail: String,
}

/// What stood in the way of a start.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StartErrorKind {
    /// The system refused a process, its descriptors or its current folder.
    Spawn(Arc<io::Error>),
    /// The system did not execute the other program that the child was to become.
    Execute(Arc<io::Error>),
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
        Self { name: Arc::from(name), kind, program: None }
    }

    /// A child for which there was no process, or none of its descriptors, to be had.
    ///
    /// ```
    /// use std::error::Error as _;
    /// use std::io;
    /// use triune_process::StartError;
    ///
    /// let error = StartError::spawn("counter", io::ErrorKind::OutOfMemory.into());
    /// assert_eq!(error.to_string(), "cannot start process `counter`");
    /// assert_eq!(error.source().unwrap().to_string(), "out of memory");
    /// ```
    #[must_use]
    pub fn spawn(name: &str, error: io::Error) -> Self {
        Self::new(name, StartErrorKind::Spawn(Arc::new(error)))
    }

    /// A child that could not become another program.
    #[must_use]
    pub fn execute(name: &str, error: io::Error) -> Self {
        Self::new(name, StartErrorKind::Execute(Arc::new(error)))
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

    /// A child that ended before it said hello, and that has no entry to miss.
    ///
    /// ```
    /// use triune_process::{Exit, StartError};
    ///
    /// // A script that has nothing to do with triune, and ends at once.
    /// let error = StartError::exited("script", 4711, Exit::Code(2));
    /// assert_eq!(error.to_string(), "process `script` (pid 4711) ended while it started: exit code 2");
    /// ```
    #[must_use]
    pub fn exited(name: &str, pid: u32, exit: Exit) -> Self {
        Self::new(name, StartErrorKind::Exited { pid, exit })
    }

    /// The same error of a child that is another program, with the last that it wrote to standard error.
    ///
    /// ```
    /// use triune_process::{Exit, Program, StartError};
    ///
    /// let script = Program::new("python3").arg("worker.py");
    /// let error = StartError::exited("script", 4711, Exit::Code(2)).of_program(&script, "no such file\n".to_owned());
    /// assert_eq!(error.program(), Some(&script));
    /// assert_eq!(error.stderr_tail(), "no such file\n");
    /// assert!(error.to_string().contains("which is `python3 worker.py`, ended while it started: exit code 2"));
    /// ```
    #[must_use]
    pub fn of_program(mut self, program: &Program, stderr_tail: String) -> Self {
        let (program, path) = (program.clone(), program.path());
        self.program = Some(Arc::new(Other { program, path, stderr_tail }));
        self
    }

    /// A child that did not say hello within `limit`.
    #[must_use]
    pub fn deadline(name: &str, limit: Duration) -> Self {
        Self::new(name, StartErrorKind::Deadline(limit))
    }

    /// A child whose hello was refused.
    ///
    /// ```
    /// use triune_process::{StartError, StartErrorKind};
    ///
    /// let error = StartError::handshake("counter", std::io::Error::other("the builds differ"));
    /// assert!(matches!(error.kind(), StartErrorKind::Handshake(why) if why.to_string() == "the builds differ"));
    /// ```
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

    /// The program that was to be started, if it is another one than this.
    #[must_use]
    pub fn program(&self) -> Option<&Program> {
        self.program.as_deref().map(|other| &other.program)
    }

    /// The last that such a program wrote to its standard error, as far as it was kept; empty if there is none.
    #[must_use]
    pub fn stderr_tail(&self) -> &str {
        self.program.as_deref().map_or("", |other| &other.stderr_tail)
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

impl Other {
    /// Says what can be done about a program that the system did not execute.
    fn advise(&self, error: &io::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) if self.program.is_path() => write!(
                f,
                "; there is no `{path}`, or not the interpreter that its first line names; a relative path begins in the current \
                 folder of this process, whatever `current_dir` says"
            ),
            Some(libc::ENOENT | libc::ENOTDIR) => write!(
                f,
                "; no folder of the `PATH` in its environment has a `{path}`; install it, give its whole path, or set `PATH` with \
                 `Program::env`"
            ),
            Some(libc::EACCES | libc::EPERM) => write!(
                f,
                "; make `{path}` a file that may be executed (`chmod +x`), and if its paths are limited, name its folder and those \
                 that it reads to begin with `Limits::read_only`"
            ),
            Some(libc::ENOEXEC) => write!(
                f,
                "; `{path}` is neither a binary for this machine nor a script with a first line such as `#!/bin/sh`, and no shell \
                 is asked: name one, as in `Program::new(\"sh\").arg(..)`"
            ),
            _ => Ok(()),
        }
    }
}

impl StartError {
    fn fmt_of_program(&self, f: &mut fmt::Formatter<'_>, other: &Other) -> fmt::Result {
        let (name, Other { program, stderr_tail, .. }) = (&self.name, other);
        match &self.kind {
            StartErrorKind::Spawn(_) => {
                return write!(f, "cannot start process `{name}`, which is `{program}`");
            }
            StartErrorKind::Execute(error) => {
                write!(f, "cannot start process `{name}`: `{program}` cannot be executed")?;
                return other.advise(error, f);
            }
            StartErrorKind::EntryNotReached(_) => {
                return write!(
                    f,
                    "cannot start `{program}`: this program never reached triune's entry; {REMEDY}"
                );
            }
            StartErrorKind::Limits(_) => {
                return write!(f, "process `{name}`, which is `{program}`, cannot be limited as is required");
            }
            StartErrorKind::Exited { pid, exit } => {
                write!(
                    f,
                    "process `{name}` (pid {pid}), which is `{program}`, ended while it started: {exit}"
                )?;
            }
            StartErrorKind::Deadline(limit) => {
                write!(f, "process `{name}`, which is `{program}`, did not say hello within {limit:?}")?;
            }
            StartErrorKind::Handshake(_) => {
                write!(f, "process `{name}`, which is `{program}`, was refused at the handshake")?;
            }
        }
        if let Some(last) = stderr_tail.lines().rev().find(|line| !line.trim().is_empty()) {
            write!(f, ", and wrote last {last:?}")?;
        }
        match &self.kind {
            // What it said tells what is wrong with it.
            StartErrorKind::Handshake(_) => Ok(()),
            StartErrorKind::Deadline(_) => write!(f, "; {PROGRAM_REMEDY}, or raise the boot deadline"),
            _ => write!(f, "; {PROGRAM_REMEDY}"),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        if let Some(other) = &self.program {
            return self.fmt_of_program(f, other);
        }
        match &self.kind {
            StartErrorKind::Spawn(_) | StartErrorKind::Execute(_) => {
                write!(f, "cannot start process `{name}`")
            }
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
            StartErrorKind::Spawn(error) | StartErrorKind::Execute(error) => Some(&**error),
            StartErrorKind::Limits(error) => Some(error),
            StartErrorKind::Handshake(error) => Some(&**error as &(dyn Error + 'static)),
            _ => None,
        }
    }
}
