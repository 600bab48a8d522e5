//! [`CapacityLimiter`]: how many may do something at once, by name.
//!
//! # Invariants
//!
//! 1. Nobody waits while a token is available; what becomes available goes to the first in the queue.
//! 2. A borrower has at most one token.
//! 3. A loan has a number, so that a [`Token`] never gives back what somebody else borrowed under the same name.

mod borrower;
mod capacity;
mod error;
mod token;

pub use borrower::Borrower;
pub use capacity::{CapacityLimiter, LimiterStatistics};
pub use error::{AcquireError, NotBorrowed, TryAcquireError};
pub use token::Token;
