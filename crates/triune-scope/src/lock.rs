//! The one lock of this crate: a mutex whose poison is ignored.
//!
//! No user code runs while one of these locks is held (futures are polled, dropped and woken outside), so a panic
//! cannot leave the data half-written.

use std::sync::{MutexGuard, PoisonError};

/// A mutex that cannot be poisoned.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Wraps a value.
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// Locks, for a few instructions only.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
