//! What went wrong on the other side, as it travels with an ERROR frame.
//!
//! Owns the wire form of a failure and its bounds. Does not know the endpoint's own error type: that
//! travels beside it in [`Report::typed`], encoded by whoever knows the type.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bounded::{list, shorten, shorten_list};
use crate::codec::{DecodeError, known, known_bytes};

// Together below `FRAME_MAX`, the least `max_message` that a side can announce, so that a report without its
// typed part always fits into a frame.
const MAX_MESSAGE: usize = 16 * 1024;
const MAX_BACKTRACE: usize = 16 * 1024;
const MAX_NAME: usize = 1024;
const MAX_CHAIN: usize = 16;
const MAX_RELAYS: usize = 16;

/// What kind of failure a [`Report`] tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ReportKind {
    /// The endpoint or job returned an error.
    Error,
    /// It panicked.
    Panic,
    /// It was cancelled.
    Cancelled,
    /// The two sides misunderstood each other: arguments that cannot be decoded, a result that is too large.
    Protocol,
    /// There is no such target.
    Unknown,
    /// It went away without an answer.
    Dropped,
}

/// A failure on the other side of a link, in full.
///
/// The texts are bounded when a report is encoded: what is too long is shortened and says so. `Display`
/// gives the message; `{:#}` adds where it comes from and the chain of causes.
///
/// ```
/// use triune_wire::{Report, ReportKind};
///
/// let error = "x".parse::<u32>().unwrap_err();
/// let mut report = Report::from_error(&error);
/// report.path = Some("/parser".to_owned());
/// report.location = Some("src/parse.rs:7:5".to_owned());
///
/// let read = Report::from_bytes(&report.to_bytes(1 << 20))?;
/// assert!(read.kind == ReportKind::Error && read.type_name.ends_with("ParseIntError"));
/// assert_eq!(read.to_string(), "invalid digit found in string");
/// assert_eq!(format!("{read:#}"), "invalid digit found in string (in /parser, at src/parse.rs:7:5)");
/// # Ok::<(), triune_wire::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// What kind of failure.
    pub kind: ReportKind,
    /// Rust type of the error, empty if unknown.
    pub type_name: String,
    /// The error's own text.
    pub message: String,
    /// The texts of its causes, outermost first.
    #[serde(deserialize_with = "list::<_, _, MAX_CHAIN>")]
    pub chain: Vec<String>,
    /// Where in the source: `file:line:column`.
    pub location: Option<String>,
    /// Backtrace, as text.
    pub backtrace: Option<String>,
    /// Path of the actor or worker it happened in.
    pub path: Option<String>,
    /// Process id of that actor or worker.
    pub pid: Option<u32>,
    /// Name of the task it happened in.
    pub task: Option<String>,
    /// Paths of the actors that passed it on, nearest to the origin first.
    #[serde(deserialize_with = "list::<_, _, MAX_RELAYS>")]
    pub relays: Vec<String>,
    /// The endpoint's own error, encoded. Left out if the peer does not accept a message of that length.
    pub typed: Option<Bytes>,
}

impl Report {
    /// A report with nothing but a kind and a message.
    pub fn new(kind: ReportKind, message: impl Into<String>) -> Report {
        Report {
            kind,
            type_name: String::new(),
            message: message.into(),
            chain: Vec::new(),
            location: None,
            backtrace: None,
            path: None,
            pid: None,
            task: None,
            relays: Vec::new(),
            typed: None,
        }
    }

    /// A report of kind [`ReportKind::Error`] with the texts of an error and of its causes.
    pub fn from_error<E: Error + ?Sized>(error: &E) -> Report {
        let mut report = Report::new(ReportKind::Error, error.to_string());
        std::any::type_name::<E>().clone_into(&mut report.type_name);
        let mut source = error.source();
        while let Some(cause) = source {
            report.chain.push(cause.to_string());
            source = cause.source();
        }
        report
    }

    /// The body of an ERROR frame of at most `max` bytes: texts are shortened, and the typed part is left
    /// out if it does not fit. `max` is what the peer accepts, at least 65 KiB.
    pub fn to_bytes(&self, max: u32) -> Bytes {
        let max = max as usize;
        let mut report = self.clone();
        if report.typed.as_ref().is_some_and(|typed| typed.len() > max) {
            report.typed = None;
        }
        shorten(&mut report.type_name, MAX_NAME);
        shorten(&mut report.message, MAX_MESSAGE);
        shorten_list(&mut report.chain, MAX_CHAIN, MAX_NAME);
        shorten_list(&mut report.relays, MAX_RELAYS, MAX_NAME / 2);
        for text in [&mut report.location, &mut report.path, &mut report.task].into_iter().flatten() {
            shorten(text, MAX_NAME);
        }
        report.backtrace.iter_mut().for_each(|text| shorten(text, MAX_BACKTRACE));
        let body = known_bytes(&report);
        if body.len() <= max {
            return body;
        }
        report.typed = None;
        known_bytes(&report)
    }

    /// Reads the body of an ERROR frame.
    ///
    /// # Errors
    /// The body is not a report.
    pub fn from_bytes(body: &[u8]) -> Result<Report, DecodeError> {
        known(body)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !f.alternate() {
            return Ok(());
        }
        for cause in &self.chain {
            write!(f, ": {cause}")?;
        }
        let origin = [
            ("in", self.path.clone()),
            ("pid", self.pid.map(|pid| pid.to_string())),
            ("task", self.task.clone()),
            ("at", self.location.clone()),
        ];
        let origin: Vec<_> =
            origin.into_iter().filter_map(|(what, text)| text.map(|text| format!("{what} {text}"))).collect();
        if origin.is_empty() { Ok(()) } else { write!(f, " ({})", origin.join(", ")) }
    }
}

impl Error for Report {}
