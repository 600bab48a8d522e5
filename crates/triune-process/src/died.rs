//! The death of a process as an error: who, how, in which phase.
//!
//! One set of facts, [`Died`], and a type of its own for each kind of child, so that a caller can ask an error for the
//! one that it means.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::exit::{Exit, exit_code};

/// What a process was doing when it died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// It was started, and had not said hello yet.
    Booting,
    /// It was waiting for work.
    Idle,
    /// It was serving at least one call.
    Busy,
    /// It had been asked to end.
    Closing,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Booting => "booting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Closing => "closing",
        })
    }
}

/// The facts of a death. A cheap handle: clones share them.
///
/// [`ActorDied`] and [`WorkerDied`] are this with the kind of child as their type.
///
/// ```
/// use triune_process::{Exit, Phase, WorkerDied};
///
/// let died = WorkerDied::new("count_primes", 4711, Phase::Busy)
///     .with_exit(Exit::Signal { signal: 9, core_dumped: false });
/// assert_eq!(died.to_string(), "worker `count_primes` (pid 4711) died while busy: killed by SIGKILL");
/// assert_eq!(died.exit().and_then(|exit| exit.signal()), Some(9));
/// assert_eq!((died.kind(), died.name(), died.pid()), ("worker", "count_primes", 4711));
/// assert_eq!(died.phase(), Phase::Busy);
/// assert_eq!(died.with_stderr_tail("no paper\n").stderr_tail(), "no paper\n");
/// ```
#[derive(Clone)]
pub struct Died {
    facts: Arc<Facts>,
}

#[derive(Clone)]
struct Facts {
    kind: &'static str,
    name: String,
    pid: u32,
    exit: Option<Exit>,
    phase: Phase,
    stderr_tail: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Died {
    fn new(kind: &'static str, name: impl Into<String>, pid: u32, phase: Phase) -> Self {
        let facts = Facts {
            kind,
            name: name.into(),
            pid,
            exit: None,
            phase,
            stderr_tail: String::new(),
            source: None,
        };
        Self { facts: Arc::new(facts) }
    }

    fn with(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        change(Arc::make_mut(&mut self.facts));
        self
    }

    /// The kind of child: `"actor"` or `"worker"`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.facts.kind
    }

    /// The name of the child: an actor's path, a worker's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.facts.name
    }

    /// Its process number. The system may have given it to somebody else since.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.facts.pid
    }

    /// How it ended. `None` if only its link is known to be gone.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.facts.exit
    }

    /// What it was doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.facts.phase
    }

    /// The end of what it wrote to its standard error: at most 16 KiB, its last words included. If a backtrace alone is
    /// longer, what was said right before it is kept in place of its first frames. Empty if it wrote nothing, or if its
    /// [`Stdio`](crate::Stdio) keeps nothing.
    #[must_use]
    pub fn stderr_tail(&self) -> &str {
        &self.facts.stderr_tail
    }
}

impl fmt::Display for Died {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { kind, name, pid, exit, phase, .. } = &*self.facts;
        write!(f, "{kind} `{name}` (pid {pid}) died while {phase}")?;
        match exit {
            Some(Exit::Code(code)) if *code == i32::from(exit_code::PARENT_GONE) => {
                write!(f, ": exit code {code} (it had lost its parent)")
            }
            Some(exit) => write!(f, ": {exit}"),
            None => f.write_str(": its link is gone"),
        }
    }
}

impl fmt::Debug for Died {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { kind, name, pid, exit, phase, stderr_tail, source } = &*self.facts;
        f.debug_struct("Died")
            .field("kind", kind)
            .field("name", name)
            .field("pid", pid)
            .field("exit", exit)
            .field("phase", phase)
            .field("stderr_tail", stderr_tail)
            .field("source", source)
            .finish()
    }
}

impl Error for Died {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.facts.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Defines the death of a kind of child: [`Died`] with that kind as its type.
macro_rules! death_of {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(Died);

        impl $name {
            #[doc = concat!("The death of the ", $kind, " with this name and process number.")]
            #[must_use]
            pub fn new(name: impl Into<String>, pid: u32, phase: Phase) -> Self {
                Self(Died::new($kind, name, pid, phase))
            }

            /// Adds how the process ended.
            #[must_use]
            pub fn with_exit(self, exit: Exit) -> Self {
                Self(self.0.with(|facts| facts.exit = Some(exit)))
            }

            /// Adds the end of what it wrote to its standard error: [`Process::stderr_tail`](crate::Process::stderr_tail).
            #[must_use]
            pub fn with_stderr_tail(self, tail: impl Into<String>) -> Self {
                Self(self.0.with(|facts| facts.stderr_tail = tail.into()))
            }

            /// Adds what [`Error::source`] says: a deeper cause, or who else reports this death.
            #[must_use]
            pub fn with_source(self, source: impl Error + Send + Sync + 'static) -> Self {
                Self(self.0.with(|facts| facts.source = Some(Arc::new(source))))
            }
        }

        impl Deref for $name {
            type Target = Died;

            fn deref(&self) -> &Died {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Error for $name {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                self.0.source()
            }
        }
    };
}

death_of! {
    /// An actor's process ended although nobody had asked it to, or before it had answered. A cheap handle: clones share
    /// the facts, which [`Died`] describes. Its name is the actor's path.
    ActorDied, "actor"
}

death_of! {
    /// A worker's process ended although nobody had asked it to. A cheap handle: clones share the facts, which [`Died`]
    /// describes.
    WorkerDied, "worker"
}
