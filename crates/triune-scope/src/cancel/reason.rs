//! Why something was cancelled: cause, text, who did it and where. Text only, so a kept reason keeps nothing alive.
//!
//! 1. A reason can be taken to [`ReasonParts`] and back without loss, for whatever format carries it elsewhere.
//! 2. `carried` counts the [`Cancelled`](crate::Cancelled) values of this reason that exist, so that a scope can tell
//!    whether the value that its code returned is its own cancel. Each cancel of a scope has a reason of its own.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

impl Cause {
    /// The stable name of the cause, for whatever carries it elsewhere; [`FromStr`] is the way back.
    ///
    /// ```
    /// use triune_scope::Cause;
    ///
    /// assert_eq!(Cause::Signal(15).code(), "signal:15");
    /// assert_eq!("deadline".parse(), Ok(Cause::Deadline));
    /// ```
    pub fn code(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Explicit => "explicit",
            Self::Sibling => "sibling",
            Self::Panic => "panic",
            Self::Parent => "parent",
            Self::Deadline => "deadline",
            Self::Shutdown => "shutdown",
            Self::Signal(number) => return Cow::Owned(format!("signal:{number}")),
            Self::Peer => "peer",
            Self::Finished => "finished",
            Self::Dropped => "dropped",
        })
    }
}

impl FromStr for Cause {
    type Err = UnknownCause;

    fn from_str(code: &str) -> Result<Self, UnknownCause> {
        Ok(match code {
            "explicit" => Self::Explicit,
            "sibling" => Self::Sibling,
            "panic" => Self::Panic,
            "parent" => Self::Parent,
            "deadline" => Self::Deadline,
            "shutdown" => Self::Shutdown,
            "peer" => Self::Peer,
            "finished" => Self::Finished,
            "dropped" => Self::Dropped,
            _ => {
                let number = code.strip_prefix("signal:").and_then(|number| number.parse().ok());
                Self::Signal(number.ok_or(UnknownCause)?)
            }
        })
    }
}

/// A text is not the [`code`](Cause::code) of a cause that this version knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownCause;

impl fmt::Display for UnknownCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a cause of a cancel that this version knows; take `Cause::Peer` for it")
    }
}

impl StdError for UnknownCause {}

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
///
/// Two reasons are equal when cause, text and who are; the place in the code is not compared. `{}` leaves the place
/// out, `{:#}` and `{:?}` show it.
///
/// ```
/// use triune_scope::{CancelReason, Cause};
///
/// let reason = CancelReason::new(Cause::Peer, "disk full").with_by("/writer");
/// assert_eq!((reason.cause(), reason.message(), reason.by()), (&Cause::Peer, "disk full", Some("/writer")));
/// assert_eq!(reason.to_string(), "the other side ended (by /writer): disk full");
/// assert_eq!(reason.location(), None, "nobody has cancelled with it yet");
/// assert_eq!(*CancelReason::from("enough").cause(), Cause::Explicit);
/// ```
#[derive(Clone)]
pub struct CancelReason(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cause: Cause,
    message: Cow<'static, str>,
    by: Option<Cow<'static, str>>,
    place: Option<Place>,
    /// How many `Cancelled` of this very reason exist.
    carried: AtomicUsize,
}

/// Where in the code; a text if that was in another process.
#[derive(Debug, Clone)]
enum Place {
    Here(&'static Location<'static>),
    Elsewhere(String),
}

/// A [`CancelReason`] as plain data: to send it somewhere, and to make it again there.
///
/// ```
/// use triune_scope::{CancelReason, Cause};
///
/// let reason = CancelReason::new(Cause::Sibling, "disk full").with_by("writer#4");
/// let parts = reason.to_parts();
/// assert_eq!((parts.cause.as_str(), parts.message.as_str()), ("sibling", "disk full"));
/// assert_eq!(CancelReason::from_parts(parts), Ok(reason));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ReasonParts {
    /// The [code](Cause::code) of the cause.
    pub cause: String,
    /// The text for people; may be empty.
    pub message: String,
    /// Who cancelled.
    pub by: Option<String>,
    /// Where in the code the cancel came from: `file:line:column`.
    pub location: Option<String>,
}

impl CancelReason {
    /// A reason with a text of one line for people; an empty text leaves only the cause.
    pub fn new(cause: Cause, message: impl Into<Cow<'static, str>>) -> Self {
        Self::of(cause, message.into(), None, None)
    }

    fn of(
        cause: Cause,
        message: Cow<'static, str>,
        by: Option<Cow<'static, str>>,
        place: Option<Place>,
    ) -> Self {
        Self(Arc::new(Inner { cause, message, by, place, carried: AtomicUsize::new(0) }))
    }

    /// Makes the reason again from what [`to_parts`](Self::to_parts) gave.
    ///
    /// # Errors
    ///
    /// [`UnknownCause`] when the cause is not one of this version's.
    pub fn from_parts(parts: ReasonParts) -> Result<Self, UnknownCause> {
        let ReasonParts { cause, message, by, location } = parts;
        let place = location.map(Place::Elsewhere);
        Ok(Self::of(cause.parse()?, message.into(), by.map(Cow::Owned), place))
    }

    /// Everything that the reason tells, as plain data.
    pub fn to_parts(&self) -> ReasonParts {
        ReasonParts {
            cause: self.0.cause.code().into_owned(),
            message: self.message().to_owned(),
            by: self.by().map(ToOwned::to_owned),
            location: self.location(),
        }
    }

    /// The same reason, naming who cancelled: a task, or the path of an actor.
    #[must_use = "the reason is returned, not changed in place"]
    pub fn with_by(self, by: impl Into<Cow<'static, str>>) -> Self {
        let mut inner = self.into_inner();
        inner.by = Some(by.into());
        Self(Arc::new(inner))
    }

    /// The same reason for one cancel, naming where it was called unless that is known already.
    pub(crate) fn at(self, location: &'static Location<'static>) -> Self {
        let mut inner = self.into_inner();
        inner.place.get_or_insert(Place::Here(location));
        Self(Arc::new(inner))
    }

    fn into_inner(self) -> Inner {
        Arc::try_unwrap(self.0).unwrap_or_else(|shared| Inner {
            cause: shared.cause,
            message: shared.message.clone(),
            by: shared.by.clone(),
            place: shared.place.clone(),
            carried: AtomicUsize::new(0),
        })
    }

    /// Counts the [`Cancelled`](crate::Cancelled) values: one more, or one less.
    pub(crate) fn count_carried(&self, one_more: bool) {
        if one_more {
            self.0.carried.fetch_add(1, Ordering::Relaxed);
        } else {
            self.0.carried.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether some [`Cancelled`](crate::Cancelled) of this reason is still on its way up.
    pub(crate) fn is_carried(&self) -> bool {
        self.0.carried.load(Ordering::Relaxed) > 0
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

    /// Where in the code the cancel came from, as `file:line:column`: the call of `cancel`, or of what set the deadline.
    pub fn location(&self) -> Option<String> {
        self.0.place.as_ref().map(ToString::to_string)
    }
}

impl PartialEq for CancelReason {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (&self.0.cause, &self.0.message, &self.0.by) == (&other.0.cause, &other.0.message, &other.0.by)
    }
}

impl Eq for CancelReason {}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(location) => location.fmt(f),
            Self::Elsewhere(location) => f.write_str(location),
        }
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
        if f.alternate()
            && let Some(place) = &self.0.place
        {
            write!(f, ", at {place}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CancelReason({self:#})")
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
