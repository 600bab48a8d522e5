//! A signal as data.

use std::fmt;

use crate::exit::signal_name;

/// A signal that a process can be sent: a number of the system, by its usual name.
///
/// ```
/// use triune_process::Signal;
///
/// assert_eq!(Signal::HUP.to_string(), "SIGHUP");
/// assert_eq!(Signal::from_number(15), Some(Signal::TERM));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

impl Signal {
    /// A timer of the process has run out.
    pub const ALRM: Self = Self(libc::SIGALRM);
    /// A child has ended or stopped.
    pub const CHLD: Self = Self(libc::SIGCHLD);
    /// The process goes on after it was stopped.
    pub const CONT: Self = Self(libc::SIGCONT);
    /// The terminal is gone; for a service, by custom: read the configuration again.
    pub const HUP: Self = Self(libc::SIGHUP);
    /// Ctrl-C.
    pub const INT: Self = Self(libc::SIGINT);
    /// A write to a pipe or socket that nobody reads. Programs in Rust ignore it.
    pub const PIPE: Self = Self(libc::SIGPIPE);
    /// Ctrl-\.
    pub const QUIT: Self = Self(libc::SIGQUIT);
    /// The polite request to end.
    pub const TERM: Self = Self(libc::SIGTERM);
    /// Ctrl-Z.
    pub const TSTP: Self = Self(libc::SIGTSTP);
    /// For whatever the program makes of it.
    pub const USR1: Self = Self(libc::SIGUSR1);
    /// For whatever the program makes of it.
    pub const USR2: Self = Self(libc::SIGUSR2);
    /// The window of the terminal has another size.
    pub const WINCH: Self = Self(libc::SIGWINCH);

    /// The signal with this number; `None` if there can be none.
    #[must_use]
    pub const fn from_number(number: i32) -> Option<Self> {
        if number >= 1 && number <= crate::sys::LAST_SIGNAL { Some(Self(number)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match signal_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
