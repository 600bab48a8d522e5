//! The leaf error of a cancelled await.

use std::error::Error as StdError;
use std::fmt;

use super::ErrorGroup;
use crate::cancel::{CancelReason, Cause};

/// An await was cut short because the scope around it is cancelled. Only triune makes it.
///
/// From a triune primitive it means that nothing happened: nothing was taken, sent or started.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::io;
/// use triune_scope::{CancelScope, Cancelled, checkpoint};
///
/// let scope = CancelScope::new();
/// scope.cancel("low on fuel");
/// let cut = scope.run(checkpoint()).await.done().unwrap().unwrap_err();
/// assert_eq!(cut.reason().message(), "low on fuel");
///
/// // However deep it is wrapped.
/// let wrapped = io::Error::other(cut);
/// assert!(Cancelled::find(&wrapped).is_some());
/// # }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Cancelled {
    reason: CancelReason,
}

impl Cancelled {
    pub(crate) fn new(reason: CancelReason) -> Self {
        reason.count_carried(true);
        Self { reason }
    }

    /// Why the scope was cancelled, and by whom.
    pub fn reason(&self) -> &CancelReason {
        &self.reason
    }

    /// Finds a cancel in a chain of sources, also inside `std::io::Error`. A group is a cancel if all of its members
    /// are: what failed beside the cancelled ones is an error.
    pub fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        for error in deep_chain(error) {
            if let Some(group) = error.downcast_ref::<ErrorGroup>() {
                let mut found = group.iter().map(|member| Self::find(member.error().as_std()));
                let first = found.next().flatten();
                return first.filter(|_| found.all(|cancelled| cancelled.is_some()));
            }
            if let Some(cancelled) = error.downcast_ref::<Self>() {
                return Some(cancelled);
            }
        }
        None
    }
}

impl Clone for Cancelled {
    fn clone(&self) -> Self {
        Self::new(self.reason.clone())
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        self.reason.count_carried(false);
    }
}

/// An error and its causes, and what an `std::io::Error` was made of: its `source()` leaves that out.
pub(super) fn deep_chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    /// Deeper chains are not searched: an error may be its own source.
    const MAX_DEPTH: usize = 64;
    std::iter::successors(Some(error), |error| deeper(*error)).take(MAX_DEPTH)
}

fn deeper<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // That of a call begins with the same word.
        let (before, after) =
            if *self.reason.cause() == Cause::Explicit { ("", "") } else { ("cancelled (", ")") };
        f.write_str(before)?;
        fmt::Display::fmt(&self.reason, f)?;
        f.write_str(after)
    }
}

impl StdError for Cancelled {}
