//! The one lock of this crate, a mutex whose poison is ignored, and the atomics.
//!
//! No user code runs while one of these locks is held (futures are polled, dropped and woken outside), so a panic
//! cannot leave the data half-written.
//!
//! With `--cfg shuttle` both are those of the model checker, which then decides every interleaving: `cancel/model.rs`.

#[cfg(shuttle)]
use shuttle::sync as imp;
#[cfg(not(shuttle))]
use std::sync as imp;
use std::sync::PoisonError;

pub(crate) use imp::atomic;

/// A mutex that cannot be poisoned.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    /// Wraps a value.
    pub(crate) const fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    /// Locks, for a few instructions only.
    pub(crate) fn lock(&self) -> imp::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is inside, for its only owner.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}
