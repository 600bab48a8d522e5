//! The leaf error of a passed deadline.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// The deadline of a [`fail_after`](crate::fail_after) or a [`fail_at`](crate::fail_at) passed. Only triune makes it,
/// and only for a deadline: a cancel by other means is [`Cancelled`](crate::Cancelled).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use triune_scope::{Timeout, fail_after};
///
/// let limit = Duration::from_millis(1);
/// let error = fail_after(limit, std::future::pending::<()>()).await.unwrap_err();
/// let timeout: Timeout = error.downcast().unwrap();
/// assert_eq!(timeout.limit(), Some(limit));
/// assert!(timeout.location().is_some(), "where the limit was set");
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeout {
    limit: Option<Duration>,
    location: Option<String>,
}

impl Timeout {
    /// For the other crates of triune, which have deadlines of their own.
    #[doc(hidden)]
    pub const fn new(limit: Option<Duration>) -> Self {
        Self { limit, location: None }
    }

    pub(crate) fn set_at(self, location: Option<String>) -> Self {
        Self { location, ..self }
    }

    /// How long the code was allowed to take, where that was told as a span.
    pub const fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Where in the code the deadline was set, as `file:line:column`; `{:#}` prints it, too.
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            Some(limit) => write!(f, "did not end within {limit:?}")?,
            None => f.write_str("did not end before its deadline")?,
        }
        match &self.location {
            Some(location) if f.alternate() => write!(f, ", set at {location}"),
            _ => Ok(()),
        }
    }
}

impl StdError for Timeout {}
