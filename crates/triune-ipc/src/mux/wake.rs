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
    rest: Vec<Rest>,
}

enum Rest {
    Wake(Waker),
    /// Only to be dropped.
    Discard {
        _waker: Waker,
    },
}

impl Wakes {
    #[inline]
    pub(crate) fn wake(&mut self, waker: Option<Waker>) {
        let Some(waker) = waker else { return };
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.rest.push(Rest::Wake(waker));
        }
    }

    #[inline]
    pub(crate) fn discard(&mut self, waker: Option<Waker>) {
        self.rest.extend(waker.map(|waker| Rest::Discard { _waker: waker }));
    }

    /// Wakes them all. Must not be called under the lock.
    #[inline]
    pub(crate) fn run(&mut self) {
        if let Some(waker) = self.first.take() {
            waker.wake();
        }
        // It is empty nearly always, and this runs for each item.
        if !self.rest.is_empty() {
            self.run_rest();
        }
    }

    #[cold]
    fn run_rest(&mut self) {
        for rest in self.rest.drain(..) {
            if let Rest::Wake(waker) = rest {
                waker.wake();
            }
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
    // The common case is one waiter; it needs no allocation.
    first: Option<(u64, Waker)>,
    more: Vec<(u64, Waker)>,
}

impl Waiters {
    pub(crate) fn register(&mut self, key: &mut Option<u64>, waker: &Waker, wakes: &mut Wakes) {
        let waiters = self.first.iter_mut().chain(&mut self.more);
        if let Some((_, there)) = waiters.into_iter().find(|(k, _)| Some(*k) == *key) {
            if !there.will_wake(waker) {
                wakes.discard(Some(std::mem::replace(there, waker.clone())));
            }
            return;
        }
        self.next += 1;
        *key = Some(self.next);
        let waiter = (self.next, waker.clone());
        match &mut self.first {
            Some(_) => self.more.push(waiter),
            empty => *empty = Some(waiter),
        }
    }

    pub(crate) fn remove(&mut self, key: u64, wakes: &mut Wakes) {
        if let Some((_, waker)) = self.first.take_if(|(k, _)| *k == key) {
            wakes.discard(Some(waker));
        } else if let Some(at) = self.more.iter().position(|(k, _)| *k == key) {
            wakes.discard(Some(self.more.swap_remove(at).1));
        }
    }

    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        self.first
            .take()
            .into_iter()
            .chain(self.more.drain(..))
            .for_each(|(_, waker)| wakes.wake(Some(waker)));
    }
}
