//! Why there was no token, or none to give back.

use std::error::Error as StdError;
use std::fmt;

use super::borrower::Borrower;
use crate::error::Cancelled;

/// Why [`CapacityLimiter::acquire`](super::CapacityLimiter::acquire) gave no token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError {
    /// The scope around it was cancelled before there was a token.
    Cancelled(Cancelled),
    /// The borrower has a token, and would wait for itself.
    AlreadyBorrowed(Borrower),
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled(_) => f.write_str("no token was acquired"),
            Self::AlreadyBorrowed(borrower) => already_borrowed(borrower, f),
        }
    }
}

impl StdError for AcquireError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Cancelled(cancelled) => Some(cancelled),
            Self::AlreadyBorrowed(_) => None,
        }
    }
}

/// Why [`CapacityLimiter::try_acquire`](super::CapacityLimiter::try_acquire) gave no token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// All tokens are borrowed.
    WouldBlock,
    /// The borrower has a token.
    AlreadyBorrowed(Borrower),
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("all tokens are borrowed; use `acquire` to wait for one"),
            Self::AlreadyBorrowed(borrower) => already_borrowed(borrower, f),
        }
    }
}

impl StdError for TryAcquireError {}

fn already_borrowed(borrower: &Borrower, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "{borrower} has a token of this limiter already; drop it first, or acquire for another borrower"
    )
}

/// Somebody gave back a token that it had not borrowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotBorrowed {
    pub(super) borrower: Borrower,
}

impl fmt::Display for NotBorrowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has no token of this limiter; release only what was acquired", self.borrower)
    }
}

impl StdError for NotBorrowed {}
