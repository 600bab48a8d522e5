//! The one queue of waiters: first come, first served, and removal from the middle in constant time.
//!
//! It is data only. Its owner holds it behind a lock, and wakes and drops outside of that lock: what must be woken
//! or dropped is returned.
//!
//! # Invariants
//!
//! 1. A waiter is *queued* (in the list, with a waker) or *granted* (out of the list, without one). It is granted
//!    once, by whoever hands something over, and never queued again.
//! 2. Its slot lives until its owner gives the [`Key`] back, so a key is never stale and needs no generation.
//! 3. An empty queue keeps little memory, however long it once was.

use std::task::Waker;

use slab::Slab;

/// How many free slots an empty queue keeps.
const KEPT_SLOTS: usize = 16;

/// The right of one wait to its slot. It is given back once, so it cannot be copied.
#[derive(Debug)]
#[must_use = "the slot is leaked"]
pub(super) struct Key(usize);

#[derive(Debug)]
pub(super) struct Queue<W> {
    slots: Slab<Slot<W>>,
    first: Option<usize>,
    last: Option<usize>,
    waiting: usize,
}

#[derive(Debug)]
struct Slot<W> {
    waiter: W,
    /// `None` once it is granted.
    queued: Option<Queued>,
}

#[derive(Debug)]
struct Queued {
    waker: Waker,
    before: Option<usize>,
    after: Option<usize>,
}

/// A waiter that has left; to be dropped outside of the lock.
#[derive(Debug)]
pub(super) struct Left<W> {
    pub(super) waiter: W,
    pub(super) granted: bool,
    _waker: Option<Waker>,
}

impl<W> Queue<W> {
    pub(super) const fn new() -> Self {
        Self { slots: Slab::new(), first: None, last: None, waiting: 0 }
    }

    /// How many are queued.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Queues a waiter as the last.
    pub(super) fn push(&mut self, waiter: W, waker: Waker) -> Key {
        let queued = Queued { waker, before: self.last, after: None };
        let index = self.slots.insert(Slot { waiter, queued: Some(queued) });
        match self.last {
            Some(last) => self.link(last).after = Some(index),
            None => self.first = Some(index),
        }
        self.last = Some(index);
        self.waiting += 1;
        Key(index)
    }

    /// Grants the first in the queue; the caller hands over by changing the waiter, and wakes.
    pub(super) fn grant(&mut self) -> Option<(&mut W, Waker)> {
        let index = self.first?;
        let waker = self.unlink(index)?;
        Some((&mut self.slots[index].waiter, waker))
    }

    /// Grants every waiter that `choose` changes, in order.
    pub(super) fn grant_where(&mut self, mut choose: impl FnMut(&mut W) -> bool) -> Vec<Waker> {
        let mut wakers = Vec::new();
        let mut next = self.first;
        while let Some(index) = next {
            next = self.link(index).after;
            if choose(&mut self.slots[index].waiter) {
                wakers.extend(self.unlink(index));
            }
        }
        wakers
    }

    pub(super) fn is_granted(&self, key: &Key) -> bool {
        self.slots[key.0].queued.is_none()
    }

    /// Has another waker woken; the old one is returned.
    pub(super) fn set_waker(&mut self, key: &Key, waker: &Waker) -> Option<Waker> {
        let queued = self.slots[key.0].queued.as_mut()?;
        (!queued.waker.will_wake(waker)).then(|| std::mem::replace(&mut queued.waker, waker.clone()))
    }

    /// Takes a waiter out, granted or not.
    pub(super) fn remove(&mut self, key: Key) -> Left<W> {
        let waker = self.unlink(key.0);
        let slot = self.slots.remove(key.0);
        if self.slots.is_empty() && self.slots.capacity() > KEPT_SLOTS {
            self.slots.shrink_to_fit();
        }
        Left { waiter: slot.waiter, granted: waker.is_none(), _waker: waker }
    }

    /// Takes the waiter out if it is granted, else has `waker` woken; the old waker comes with the key.
    pub(super) fn take_granted(&mut self, key: Key, waker: &Waker) -> Result<Left<W>, (Key, Option<Waker>)> {
        if self.is_granted(&key) {
            return Ok(self.remove(key));
        }
        let old = self.set_waker(&key, waker);
        Err((key, old))
    }

    fn link(&mut self, index: usize) -> &mut Queued {
        self.slots[index].queued.as_mut().expect("what is in the list is queued")
    }

    fn unlink(&mut self, index: usize) -> Option<Waker> {
        let Queued { waker, before, after } = self.slots[index].queued.take()?;
        match before {
            Some(before) => self.link(before).after = after,
            None => self.first = after,
        }
        match after {
            Some(after) => self.link(after).before = before,
            None => self.last = before,
        }
        self.waiting -= 1;
        Some(waker)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::Queue;

    fn granted(queue: &mut Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.grant().map(|(waiter, _waker)| *waiter)).collect()
    }

    // Trio L25, L26
    #[test]
    fn the_order_is_kept_whoever_leaves() {
        for left_out in 0..4 {
            let mut queue = Queue::new();
            let mut keys: Vec<_> = (0..4).map(|i| queue.push(i, Waker::noop().clone())).collect();
            let left = queue.remove(keys.remove(left_out));
            assert!(!left.granted);
            let order: Vec<u32> = (0..4).filter(|i| *i != left.waiter).collect();
            assert_eq!((queue.waiting(), granted(&mut queue)), (3, order));
            assert!(keys.into_iter().all(|key| queue.remove(key).granted));
            assert!(queue.slots.is_empty() && queue.first.is_none() && queue.last.is_none());
        }
    }

    #[test]
    fn some_are_granted_out_of_order() {
        let mut queue = Queue::new();
        let keys: Vec<_> = (0..6).map(|i| queue.push(i, Waker::noop().clone())).collect();
        assert_eq!(queue.grant_where(|waiter| *waiter % 2 == 0).len(), 3);
        assert!(queue.is_granted(&keys[4]) && !queue.is_granted(&keys[5]));
        assert_eq!(granted(&mut queue), [1, 3, 5]);
    }

    /// A wait may be polled by another task than before.
    #[test]
    fn the_waker_of_the_last_poll_is_woken() {
        #[derive(Default)]
        struct Woken(std::sync::atomic::AtomicBool);
        impl std::task::Wake for Woken {
            fn wake(self: std::sync::Arc<Self>) {
                self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let [first, last] = [(); 2].map(|()| std::sync::Arc::new(Woken::default()));
        let mut queue = Queue::new();
        let key = queue.push(0, first.clone().into());
        drop(queue.set_waker(&key, &last.clone().into()));
        queue.grant().expect("it waits").1.wake();
        assert_eq!(
            [first, last].map(|woken| woken.0.load(std::sync::atomic::Ordering::Relaxed)),
            [false, true]
        );
        drop(queue.remove(key));
    }

    #[test]
    fn an_empty_queue_keeps_little_memory() {
        let mut queue = Queue::new();
        let keys: Vec<_> = (0..1000).map(|i| queue.push(i, Waker::noop().clone())).collect();
        keys.into_iter().for_each(|key| drop(queue.remove(key)));
        assert!(queue.slots.capacity() <= super::KEPT_SLOTS);
    }
}
