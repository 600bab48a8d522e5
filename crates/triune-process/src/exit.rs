//! How a process ended, the exit codes that triune reserves, and the names of signals.
//!
//! Pure data. Decoding the system's status is the business of `sys`.

use std::fmt;

/// How a process ended.
///
/// ```
/// use triune_process::Exit;
///
/// assert_eq!(Exit::Code(3).to_string(), "exit code 3");
/// assert_eq!(Exit::Signal { signal: 9, core_dumped: false }.to_string(), "killed by SIGKILL");
/// assert!(Exit::Code(0).is_success());
/// assert_eq!((Exit::Code(3).code(), Exit::Code(3).signal()), (Some(3), None));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exit {
    /// It exited by itself, with this code.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// The number of the signal.
        signal: i32,
        /// Whether the system wrote a memory image.
        core_dumped: bool,
    },
    /// It has ended, but its status is lost: code in this process that waits for *any* child has taken it, or SIGCHLD
    /// is ignored here.
    Unknown,
}

impl Exit {
    /// Whether the process exited by itself with code 0.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Code(0))
    }

    /// The code that it exited with, unless a signal ended it.
    #[must_use]
    pub const fn code(&self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(*code),
            _ => None,
        }
    }

    /// The signal that ended it, if one did.
    #[must_use]
    pub const fn signal(&self) -> Option<i32> {
        match self {
            Self::Signal { signal, .. } => Some(*signal),
            _ => None,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal { signal, core_dumped } => {
                match signal_name(signal) {
                    Some(name) => write!(f, "killed by {name}")?,
                    None => write!(f, "killed by signal {signal}")?,
                }
                if core_dumped { f.write_str(" (core dumped)") } else { Ok(()) }
            }
            Self::Unknown => f.write_str("exit status unknown"),
        }
    }
}

/// Exit codes that triune's own children use. They follow `sysexits.h` in number, not in meaning.
pub mod exit_code {
    /// A panic ended the role, as in any Rust program.
    pub const PANIC: u8 = 101;
    /// The parent is gone, so the child has ended itself.
    pub const PARENT_GONE: u8 = 70;
    /// The child never reached [`init`](crate::init) and was about to start children of its own.
    pub const ENTRY_NOT_REACHED: u8 = 71;
    /// The child reached its entry but cannot begin its role; it has said why on stderr.
    pub const BOOT_FAILED: u8 = 72;
}

/// Ends this process at once: no destructors, no exit handlers, whatever other threads are doing.
///
/// For a child whose parent is gone. Everything else returns from its role.
///
/// ```
/// use triune_process::{Boot, ROLES, Role, Spec, exit_now, spawn};
///
/// #[linkme::distributed_slice(ROLES)]
/// static HASTY: Role = Role { name: "hasty", main: hasty };
///
/// struct Unheard;
///
/// impl Drop for Unheard {
///     fn drop(&mut self) {
///         panic!("no destructor runs");
///     }
/// }
///
/// fn hasty(_boot: Boot) -> u8 {
///     let _unheard = Unheard;
///     exit_now(7)
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (process, _link) = spawn(Spec::new("hasty", "hasty")).await?;
/// assert_eq!(process.wait().await.code(), Some(7));
/// # Ok(()) })
/// # }
/// ```
pub fn exit_now(code: u8) -> ! {
    crate::sys::exit_now(code)
}

/// The usual name of a signal number, such as `SIGKILL` for 9.
///
/// ```
/// assert_eq!(triune_process::signal_name(15), Some("SIGTERM"));
/// assert_eq!(triune_process::signal_name(0), None);
/// ```
#[must_use]
pub const fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGCHLD => "SIGCHLD",
        libc::SIGCONT => "SIGCONT",
        libc::SIGSTOP => "SIGSTOP",
        libc::SIGTSTP => "SIGTSTP",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}
