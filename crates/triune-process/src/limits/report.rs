//! [`LimitsReport`]: what came of the limits, and the error if that is not enough.

use std::error::Error;
use std::fmt;

use super::text;

/// One thing that can be limited.
///
/// ```
/// use triune_process::Limit;
///
/// assert_eq!(Limit::OpenFiles.to_string(), "open-files");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Limit {
    /// Private memory.
    Memory,
    /// Processor time.
    CpuTime,
    /// Open descriptors.
    OpenFiles,
    /// The size of a file that is written.
    FileSize,
    /// The size of a memory image after a crash.
    CoreSize,
    /// Processes and threads of the user.
    Processes,
    /// The stack of the main thread of what is started.
    Stack,
    /// The processor cores to run on.
    Cores,
    /// The niceness.
    Nice,
    /// Privileges that a started program would gain.
    NewPrivileges,
    /// The paths within reach.
    Paths,
    /// Sockets to other machines.
    Network,
    /// Programs that may be executed.
    Programs,
}

impl Limit {
    pub(super) const ALL: [Self; 13] = [
        Self::Memory,
        Self::CpuTime,
        Self::OpenFiles,
        Self::FileSize,
        Self::CoreSize,
        Self::Processes,
        Self::Stack,
        Self::Cores,
        Self::Nice,
        Self::NewPrivileges,
        Self::Paths,
        Self::Network,
        Self::Programs,
    ];

    /// Its name in texts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::CpuTime => "cpu-time",
            Self::OpenFiles => "open-files",
            Self::FileSize => "file-size",
            Self::CoreSize => "core-size",
            Self::Processes => "processes",
            Self::Stack => "stack",
            Self::Cores => "cores",
            Self::Nice => "nice",
            Self::NewPrivileges => "new-privileges",
            Self::Paths => "paths",
            Self::Network => "network",
            Self::Programs => "programs",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a limit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Enforcement {
    /// The system holds the process to it.
    Enforced,
    /// The system holds the process to a part of it, or to something close to it.
    Partial,
    /// The system does not hold the process to it.
    Unsupported,
}

impl Enforcement {
    pub(super) const ALL: [Self; 3] = [Self::Enforced, Self::Partial, Self::Unsupported];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Enforced => "enforced",
            Self::Partial => "partial",
            Self::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What came of one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitStatus {
    /// Which limit.
    pub limit: Limit,
    /// Whether it holds.
    pub enforcement: Enforcement,
    /// What is missing and what would help. Empty if it is enforced.
    pub why: String,
}

impl fmt::Display for LimitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, enforcement, why } = self;
        write!(f, "{limit}: {enforcement}")?;
        if why.is_empty() { Ok(()) } else { write!(f, " ({why})") }
    }
}

/// What came of the limits of one process: an entry for each limit that was asked for.
///
/// Printed, it is a line for each.
///
/// ```
/// use triune_process::{Enforcement, LimitsReport};
///
/// fn log(report: &LimitsReport) -> Vec<String> {
///     let line = |entry: &triune_process::LimitStatus| match entry.enforcement {
///         Enforcement::Enforced => format!("{} holds", entry.limit),
///         _ => format!("{} does not hold: {}", entry.limit, entry.why),
///     };
///     report.iter().map(line).collect()
/// }
///
/// // That of a process for which nothing was asked.
/// let none = LimitsReport::default();
/// assert!(log(&none).is_empty() && none.is_enforced() && none.missing().next().is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitsReport {
    entries: Vec<LimitStatus>,
}

impl LimitsReport {
    pub(super) fn push(&mut self, limit: Limit, enforcement: Enforcement, why: impl Into<String>) {
        self.entries.push(LimitStatus { limit, enforcement, why: why.into() });
    }

    /// The entries, in the order in which the limits were applied.
    pub fn iter(&self) -> impl Iterator<Item = &LimitStatus> {
        self.entries.iter()
    }

    /// Whether this limit holds. `None` if nobody asked for it.
    #[must_use]
    pub fn get(&self, limit: Limit) -> Option<Enforcement> {
        self.entries.iter().find(|entry| entry.limit == limit).map(|entry| entry.enforcement)
    }

    /// Whether every limit that was asked for is enforced.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        self.missing().next().is_none()
    }

    /// The entries that are not enforced.
    pub fn missing(&self) -> impl Iterator<Item = &LimitStatus> {
        self.entries.iter().filter(|entry| entry.enforcement != Enforcement::Enforced)
    }

    /// As text, for the way to the parent.
    #[doc(hidden)]
    #[must_use]
    pub fn encode(&self) -> String {
        text::encode_report(self)
    }

    /// What [`encode`](Self::encode) wrote.
    #[doc(hidden)]
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        text::decode_report(text)
    }
}

impl fmt::Display for LimitsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        self.entries.iter().try_for_each(|entry| {
            write!(f, "{between}{entry}")?;
            between = "\n";
            Ok(())
        })
    }
}

/// A limit that was required is not enforced here.
///
/// ```
/// use triune_process::{LimitsError, LimitsReport, StartError, StartErrorKind};
///
/// fn report(error: &StartError) -> Option<&LimitsReport> {
///     match error.kind() {
///         StartErrorKind::Limits(error) => Some(error.report()),
///         _ => None,
///     }
/// }
///
/// assert!(report(&StartError::limits("careful", LimitsReport::default())).is_some());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsError {
    report: LimitsReport,
}

impl LimitsError {
    /// The error of a process with this report.
    #[must_use]
    pub fn new(report: LimitsReport) -> Self {
        Self { report }
    }

    /// What came of each limit.
    #[must_use]
    pub fn report(&self) -> &LimitsReport {
        &self.report
    }
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("limits are required that this system does not enforce: ")?;
        let mut between = "";
        self.report.missing().try_for_each(|entry| {
            write!(f, "{between}{entry}")?;
            between = ", ";
            Ok(())
        })?;
        f.write_str("; change what is named, or accept less with `Limits::enforce(Enforce::BestEffort)`")
    }
}

impl Error for LimitsError {}
