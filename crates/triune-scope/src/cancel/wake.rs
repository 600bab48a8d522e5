//! Waking many, each of them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

use crate::error::discard;

/// Wakes all, also behind a waker that panics: wakers are the code of others, and whoever is not woken hangs.
///
/// # Panics
///
/// With the first panic, when all have been woken.
pub(crate) fn wake_all(wakers: Vec<Waker>) {
    let mut first = None;
    for waker in wakers {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            match first {
                None => first = Some(payload),
                Some(_) => discard(payload),
            }
        }
    }
    if let Some(payload) = first {
        resume_unwind(payload);
    }
}
