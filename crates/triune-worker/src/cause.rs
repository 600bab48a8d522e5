//! What ended a worker that had a job, as far as its end tells.

use std::fmt;

use triune_process::{Exit, WorkerDied, signal_name};

/// What ended the process of a job; see [`RunError::Died`](crate::RunError::Died).
///
/// Signal, exit code and last words are in the [`WorkerDied`] beside it.
///
/// ```
/// use triune_worker::{DeathCause, job, run};
///
/// fn leave(code: i32) {
///     std::process::exit(code)
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let error = run(job!(leave(3))).await.unwrap_err();
/// assert_eq!(error.death_cause(), Some(DeathCause::Exit));
/// # Ok(()) })
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeathCause {
    /// Somebody killed it (SIGKILL): an operator, a supervisor, or the system when memory was short, if no control group tells.
    Killed,
    /// An allocation failed: it wanted more memory than its limit allows, or than there is. Or the system killed it because memory was
    /// short: it died of SIGKILL, and the control group that it was started in has counted such a kill in its lifetime, which explains
    /// no other death.
    OutOfMemory,
    /// It used up its processor time.
    CpuLimit,
    /// A panic that cannot be caught ended it: the program aborts on panic, or a destructor panicked while another panic was
    /// unwound. The error says its message and its place, if the worker's standard error is kept.
    Panic,
    /// Another signal ended it: a crash, an abort, a stack overflow, a SIGTERM.
    Signal,
    /// It exited by itself.
    Exit,
    /// It closed its link while it lived, so that its answer had no way, and was ended for it.
    LinkClosed,
    /// It gave no sign of life for as long as [`Workers::stall_timeout`](crate::Workers::stall_timeout) says, and was ended for it.
    Stalled,
    /// Its end is not known.
    Unknown,
}

/// What the standard library says before it aborts for want of memory.
const NO_MEMORY: [&str; 2] = ["memory allocation of ", " bytes failed"];

impl DeathCause {
    pub(crate) fn of(died: &WorkerDied) -> Self {
        Self::judge(died.exit(), died.stderr_tail())
    }

    fn judge(exit: Option<Exit>, last_words: &str) -> Self {
        match exit {
            Some(Exit::Code(_)) => Self::Exit,
            Some(Exit::Signal { signal, .. }) => match signal_name(signal) {
                Some("SIGKILL") => Self::Killed,
                Some("SIGXCPU") => Self::CpuLimit,
                Some("SIGABRT") if says_out_of_memory(last_words) => Self::OutOfMemory,
                Some("SIGABRT") if LastPanic::of(last_words).is_some() => Self::Panic,
                _ => Self::Signal,
            },
            _ => Self::Unknown,
        }
    }

    /// What the caller may do about it, if there is anything but to mend the job.
    pub(crate) const fn remedy(self) -> Option<&'static str> {
        match self {
            Self::OutOfMemory => Some(
                "it ran out of memory; split the job, run fewer at a time, or allow more: its pool by `Workers::memory_max`, or the \
                     program by its control group",
            ),
            Self::CpuLimit => Some(
                "it used up its processor time; split the job, or allow its pool more with `Limits::cpu_time`",
            ),
            Self::Exit => Some("a job returns, it does not exit the process"),
            Self::LinkClosed => Some("it closed its link; a job closes only descriptors that it has opened"),
            Self::Stalled => Some(
                "its process gave no sign of life for as long as `Workers::stall_timeout` says; if the machine was only busy, allow more time",
            ),
            Self::Killed | Self::Panic | Self::Signal | Self::Unknown => None,
        }
    }
}

fn says_out_of_memory(last_words: &str) -> bool {
    let [before, after] = NO_MEMORY;
    last_words.lines().any(|line| line.starts_with(before) && line.contains(after))
}

/// The panic that the last words of a process tell of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LastPanic<'a> {
    place: &'a str,
    message: &'a str,
}

impl<'a> LastPanic<'a> {
    /// As the standard library prints it: the place ends a line, the message is what follows, up to a note or a backtrace.
    pub(crate) fn of(last_words: &'a str) -> Option<Self> {
        // The library's own are about a panic that came before: "panic in a destructor during cleanup".
        let is_ours = |place: &str| !place.starts_with("library/") && !place.starts_with("/rustc/");
        let panics = last_words.rmatch_indices("panicked at ").filter_map(|(at, mark)| {
            let (place, rest) = last_words[at + mark.len()..].split_once(":\n")?;
            (!place.contains('\n') && is_ours(place)).then_some((place, rest))
        });
        let (place, rest) = panics.into_iter().next()?;
        let end =
            ["\nnote: ", "\nstack backtrace:", "\n\nthread "].iter().filter_map(|end| rest.find(end)).min();
        Some(Self { place, message: rest[..end.unwrap_or(rest.len())].trim_end() })
    }
}

impl fmt::Display for LastPanic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it panicked at {}: {}", self.place, self.message)
    }
}

impl fmt::Display for DeathCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "killed",
            Self::OutOfMemory => "out of memory",
            Self::CpuLimit => "out of processor time",
            Self::Panic => "panicked",
            Self::Signal => "ended by a signal",
            Self::Exit => "exited",
            Self::LinkClosed => "cut off",
            Self::Stalled => "stalled",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(signal: i32) -> Option<Exit> {
        Some(Exit::Signal { signal, core_dumped: false })
    }

    const PANIC: &str = "reading\n\nthread 'main' (7) panicked at src/main.rs:1:2:\nout of ink,\nand of paper\nnote: run with \
                         `RUST_BACKTRACE=1` environment variable to display a backtrace\n";

    #[test]
    fn the_last_panic_is_that_of_the_job() {
        let said = |words| LastPanic::of(words).map(|panic| panic.to_string());
        assert_eq!(said(PANIC).as_deref(), Some("it panicked at src/main.rs:1:2: out of ink,\nand of paper"));
        let twice = format!(
            "{PANIC}\nthread 'main' (7) panicked at src/bomb.rs:3:4:\nthe second\nstack backtrace:\n   0: x\n\
             \nthread 'main' (7) panicked at library/core/src/panicking.rs:233:5:\npanic in a destructor during cleanup\n"
        );
        assert_eq!(said(&twice).as_deref(), Some("it panicked at src/bomb.rs:3:4: the second"));
        for words in [
            "",
            "panicked at ",
            "panicked at the disco\nand left",
            "panicked at library/core/src/x.rs:1:1:\nx",
        ] {
            assert_eq!(said(words), None, "{words}");
        }
    }

    #[test]
    fn the_cause_follows_from_the_end_and_the_last_words() {
        let no_memory = "reading\nmemory allocation of 8589934592 bytes failed\nstack backtrace:\n";
        for (exit, words, cause) in [
            (signal(9), "", DeathCause::Killed),
            (signal(24), "", DeathCause::CpuLimit),
            (signal(6), no_memory, DeathCause::OutOfMemory),
            (signal(6), "assertion failed", DeathCause::Signal),
            (signal(6), PANIC, DeathCause::Panic),
            (signal(11), PANIC, DeathCause::Signal),
            (signal(11), no_memory, DeathCause::Signal),
            (Some(Exit::Code(0)), no_memory, DeathCause::Exit),
            (None, "", DeathCause::Unknown),
        ] {
            assert_eq!(DeathCause::judge(exit, words), cause, "{exit:?} {words}");
        }
    }
}
