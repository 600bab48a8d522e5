//! Why something was cancelled: cause, text and who did it. Text only, so a kept reason keeps nothing alive.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The kind of event that cancelled a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Somebody called `cancel`.
    Explicit,
    /// A child of the same nursery, or its body, failed.
    Sibling,
    /// A child of the same nursery, or its body, panicked.
    Panic,
    /// A scope further up was cancelled by something that left no other reason.
    Parent,
    /// A deadline passed.
    Deadline,
    /// The run or the process is shutting down.
    Shutdown,
    /// The process received this signal.
    Signal(i32),
    /// The other side of a link asked for it, failed, or is gone.
    Peer,
    /// The body and the other children of the nursery are done, so its service children end.
    Finished,
    /// The future that owned the scope was dropped.
    Dropped,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Explicit => f.write_str("cancelled"),
            Self::Sibling => f.write_str("a sibling failed"),
            Self::Panic => f.write_str("a sibling panicked"),
            Self::Parent => f.write_str("a parent scope was cancelled"),
            Self::Deadline => f.write_str("the deadline passed"),
            Self::Shutdown => f.write_str("shutdown"),
            Self::Signal(number) => write!(f, "signal {number}"),
            Self::Peer => f.write_str("the other side ended"),
            Self::Finished => f.write_str("the nursery has no other work left"),
            Self::Dropped => f.write_str("the owner was dropped"),
        }
    }
}

/// Why a scope was cancelled. The first reason wins and everything beneath sees the same one. A cheap handle.
#[derive(Clone, PartialEq, Eq)]
pub struct CancelReason(Arc<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    cause: Cause,
    message: Cow<'static, str>,
    by: Option<Cow<'static, str>>,
}

impl CancelReason {
    /// A reason with a text of one line for people; an empty text leaves only the cause.
    pub fn new(cause: Cause, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner { cause, message: message.into(), by: None }))
    }

    /// The same reason, naming who cancelled: a task, or the path of an actor.
    #[must_use = "the reason is returned, not changed in place"]
    pub fn with_by(self, by: impl Into<Cow<'static, str>>) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        inner.by = Some(by.into());
        Self(Arc::new(inner))
    }

    /// The kind of event.
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// The text; empty if there is none.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Who cancelled, where that is known.
    pub fn by(&self) -> Option<&str> {
        self.0.by.as_deref()
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.cause)?;
        if let Some(by) = &self.0.by {
            write!(f, " (by {by})")?;
        }
        if !self.0.message.is_empty() {
            write!(f, ": {}", self.0.message)?;
        }
        Ok(())
    }
}

impl fmt::Debug for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CancelReason({self})")
    }
}

impl From<Cause> for CancelReason {
    fn from(cause: Cause) -> Self {
        Self::new(cause, "")
    }
}

impl From<&'static str> for CancelReason {
    fn from(message: &'static str) -> Self {
        Self::new(Cause::Explicit, message)
    }
}

impl From<String> for CancelReason {
    fn from(message: String) -> Self {
        Self::new(Cause::Explicit, message)
    }
}
