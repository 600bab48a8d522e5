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
    each(wakers, Waker::wake);
}

/// Does something for each that may wake others, see [`wake_all`].
pub(crate) fn each<T>(items: impl IntoIterator<Item = T>, mut wake: impl FnMut(T)) {
    let mut first = None;
    for item in items {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| wake(item))) {
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
