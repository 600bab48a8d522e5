//! The leaf error of a cancelled await.

use std::error::Error as StdError;
use std::fmt;

use crate::cancel::CancelReason;

/// An await was cut short because the scope around it is cancelled. Only triune makes it.
///
/// From a triune primitive it means that nothing happened: nothing was taken, sent or started.
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

    /// Finds a cancel in a chain of sources, also inside `std::io::Error`.
    pub fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        /// Deeper chains are not searched: an error may be its own source.
        const MAX_DEPTH: usize = 64;
        let mut next = Some(error);
        for _ in 0..MAX_DEPTH {
            let error = next?;
            if let Some(cancelled) = error.downcast_ref::<Self>() {
                return Some(cancelled);
            }
            let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            next = match inner {
                Some(inner) => Some(inner as &(dyn StdError + 'static)),
                None => error.source(),
            };
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

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return write!(f, "cancelled ({:#})", self.reason);
        }
        write!(f, "cancelled ({})", self.reason)
    }
}

impl StdError for Cancelled {}
