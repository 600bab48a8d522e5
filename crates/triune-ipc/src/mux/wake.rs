//! Wakers that are collected under the lock and woken after it, and sets of waiters.
//!
//! Invariant: no waker is dropped under the lock either, because the last one of a task may drop the task,
//! and the task may own a handle of the same link.

use std::task::Waker;

/// Wakers to wake, and wakers to drop, once the lock is free.
#[derive(Default)]
pub(crate) struct Wakes {
    // The common case is one waker; it needs no allocation.
    first: Option<Waker>,
    more: Vec<Waker>,
    discarded: Vec<Waker>,
}

impl Wakes {
    pub(crate) fn wake(&mut self, waker: Option<Waker>) {
        let Some(waker) = waker else { return };
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.more.push(waker);
        }
    }

    pub(crate) fn discard(&mut self, waker: Option<Waker>) {
        self.discarded.extend(waker);
    }

    /// Wakes them all. Must not be called under the lock.
    pub(crate) fn run(&mut self) {
        if let Some(waker) = self.first.take() {
            waker.wake();
        }
        // Both are empty nearly always, and this runs for each item.
        if !self.more.is_empty() {
            self.more.drain(..).for_each(Waker::wake);
        }
        if !self.discarded.is_empty() {
            self.discarded.clear();
        }
    }
}

/// Puts the waker of the current task into its place; the one that was there is dropped later.
pub(crate) fn register(place: &mut Option<Waker>, waker: &Waker, wakes: &mut Wakes) {
    if !place.as_ref().is_some_and(|there| there.will_wake(waker)) {
        wakes.discard(place.replace(waker.clone()));
    }
}

/// The waiters for one event that several futures may wait for. Each has a key, so that it can go away.
#[derive(Default)]
pub(crate) struct Waiters {
    next: u64,
    list: Vec<(u64, Waker)>,
}

impl Waiters {
    pub(crate) fn register(&mut self, key: &mut Option<u64>, waker: &Waker, wakes: &mut Wakes) {
        if let Some((_, there)) = self.list.iter_mut().find(|(k, _)| Some(*k) == *key) {
            if !there.will_wake(waker) {
                wakes.discard(Some(std::mem::replace(there, waker.clone())));
            }
            return;
        }
        self.next += 1;
        *key = Some(self.next);
        self.list.push((self.next, waker.clone()));
    }

    pub(crate) fn remove(&mut self, key: u64, wakes: &mut Wakes) {
        if let Some(at) = self.list.iter().position(|(k, _)| *k == key) {
            wakes.discard(Some(self.list.swap_remove(at).1));
        }
    }

    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        self.list.drain(..).for_each(|(_, waker)| wakes.wake(Some(waker)));
    }
}
