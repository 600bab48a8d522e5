//! What the handle of a child tells when the child left no value.

use std::error::Error as StdError;
use std::fmt;

use super::cancelled::deep_chain;
use crate::task::{TaskId, TaskInfo};

/// A child left no value. The nursery holds the error itself; this tells the waiter what happened.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{ChildError, ChildErrorKind, Error, nursery};
///
/// let mut handle = None;
/// let failed = nursery(async |n| {
///     handle = Some(n.spawn_named("parse", async { Ok("x".parse::<u32>()?) }));
///     Ok(())
/// });
/// assert!(failed.await.is_err(), "the nursery has the error itself");
/// let told = handle.unwrap().await.unwrap_err().downcast::<ChildError>().unwrap();
/// assert_eq!(told.task().name(), "parse");
/// assert!(matches!(told.kind(), ChildErrorKind::Failed(text) if text.starts_with("invalid digit")));
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ChildError {
    task: TaskInfo,
    kind: ChildErrorKind,
    reported: ReportedBy,
}

/// How a child ended without a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildErrorKind {
    /// It failed; the text of its error.
    Failed(String),
    /// It panicked; the message.
    Panicked(String),
    /// It was cancelled; the reason in words.
    Cancelled(String),
    /// Its nursery had ended, or was dropped, before it could start or end.
    Abandoned,
    /// The value was taken by an earlier await.
    Taken,
}

impl ChildError {
    pub(crate) fn new(task: TaskInfo, kind: ChildErrorKind) -> Self {
        let reported = ReportedBy(task.id().get());
        Self { task, kind, reported }
    }

    /// The child.
    pub fn task(&self) -> &TaskInfo {
        &self.task
    }

    /// What happened to it.
    pub fn kind(&self) -> &ChildErrorKind {
        &self.kind
    }

    /// The child's number.
    pub fn task_id(&self) -> TaskId {
        self.task.id()
    }
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "child `{}` ", self.task)?;
        match &self.kind {
            ChildErrorKind::Failed(text) => write!(f, "failed: {text}"),
            ChildErrorKind::Panicked(text) => write!(f, "panicked: {text}"),
            ChildErrorKind::Cancelled(text) => write!(f, "was cancelled: {text}"),
            ChildErrorKind::Abandoned => f.write_str("was abandoned: its nursery has ended"),
            ChildErrorKind::Taken => f.write_str("gave its value to an earlier await"),
        }
    }
}

impl StdError for ChildError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self.kind {
            ChildErrorKind::Failed(_) | ChildErrorKind::Panicked(_) => Some(&self.reported),
            _ => None,
        }
    }
}

/// A marker at the end of a chain of sources: the nursery child with this number reports the same failure.
///
/// One event may be told to several waiters, the death of a process for instance. When a nursery gathers both the
/// report of the child and such an echo of it, the echo is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReportedBy(pub u64);

impl ReportedBy {
    pub(crate) fn find(error: &(dyn StdError + 'static)) -> Option<Self> {
        deep_chain(error).find_map(|error| error.downcast_ref::<Self>().copied())
    }
}

impl fmt::Display for ReportedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reported by task #{}", self.0)
    }
}

impl StdError for ReportedBy {}
