//! What the ends of a channel share.
//!
//! # Invariants
//!
//! 1. A receiver waits only while the buffer is empty and no sender waits; a sender waits only while the buffer is
//!    full. Both hold after every operation, so nobody overtakes.
//! 2. A value is in one place: with its waiting sender, in the buffer, or in the slot of the receiver it was handed
//!    to. Where that receiver is dropped, the value goes to the next one, or to the front of the buffer, which may
//!    then hold one more than its capacity.
//! 3. While a value is handed over but not yet taken, the channel has not ended for the other receivers: the value may
//!    come back to them (tests: `sync/model.rs`).
//! 4. Wakers and values leave the lock before they are woken or dropped.

use crate::lock::atomic::{AtomicBool, Ordering};
use std::collections::VecDeque;
use std::task::Waker;

use crate::lock::Mutex;
use crate::sync::queue::Queue;

/// What is known of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelStatistics {
    /// How many values are in the buffer.
    pub buffered: usize,
    /// How many values the buffer can hold; `None` if it is unbounded.
    pub capacity: Option<usize>,
    /// How many senders are open.
    pub open_senders: usize,
    /// How many receivers are open.
    pub open_receivers: usize,
    /// How many tasks wait to send.
    pub waiting_senders: usize,
    /// How many tasks wait to receive.
    pub waiting_receivers: usize,
}

/// The number of an end, unique in its channel.
pub(super) type EndId = u64;

/// Why nothing was sent or received, apart from a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// This end was closed.
    Closed,
    /// All ends of the other kind were.
    Gone,
}

#[derive(Debug)]
pub(super) struct Shared<T> {
    pub(super) capacity: usize,
    pub(super) state: Mutex<State<T>>,
}

#[derive(Debug)]
pub(super) struct State<T> {
    pub(super) buffer: VecDeque<T>,
    pub(super) senders: usize,
    pub(super) receivers: usize,
    /// How many values are with receivers that have not taken them yet.
    handed: usize,
    next_end: EndId,
    pub(super) sending: Queue<Sending<T>>,
    pub(super) receiving: Queue<Receiving<T>>,
}

#[derive(Debug)]
pub(super) struct Sending<T> {
    pub(super) end: EndId,
    /// Gone once it was taken.
    pub(super) value: Option<T>,
    pub(super) refused: Option<Refusal>,
}

#[derive(Debug)]
pub(super) struct Receiving<T> {
    pub(super) end: EndId,
    /// Set once it is granted.
    pub(super) outcome: Option<Result<T, Refusal>>,
}

/// What happened to a value that was offered.
pub(super) enum Offered<T> {
    Taken(Option<Waker>),
    Refused(T, Refusal),
    /// There is no room.
    Full(T),
}

impl<T> Shared<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let state = State {
            buffer: VecDeque::new(),
            senders: 1,
            receivers: 1,
            handed: 0,
            next_end: 2,
            sending: Queue::new(),
            receiving: Queue::new(),
        };
        Self { capacity, state: Mutex::new(state) }
    }

    pub(super) fn statistics(&self) -> ChannelStatistics {
        let state = self.state.lock();
        ChannelStatistics {
            buffered: state.buffer.len(),
            capacity: (self.capacity != usize::MAX).then_some(self.capacity),
            open_senders: state.senders,
            open_receivers: state.receivers,
            waiting_senders: state.sending.waiting(),
            waiting_receivers: state.receiving.waiting(),
        }
    }

    /// Closes a sender; its own waits and, if it was the last, all receivers get their refusal.
    pub(super) fn close_sender(&self, end: EndId, closed: &AtomicBool) {
        let mut state = self.state.lock();
        if closed.swap(true, Ordering::AcqRel) {
            return;
        }
        state.senders -= 1;
        let mut wakers = state.sending.grant_where(|sending| {
            let own = sending.end == end;
            if own {
                sending.refused = Some(Refusal::Closed);
            }
            own
        });
        wakers.extend(state.end());
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Closes a receiver; if it was the last, the senders get their refusal and the buffer is dropped.
    pub(super) fn close_receiver(&self, end: EndId, closed: &AtomicBool) {
        let mut state = self.state.lock();
        if closed.swap(true, Ordering::AcqRel) {
            return;
        }
        state.receivers -= 1;
        let mut wakers = state.receiving.grant_where(|receiving| {
            let own = receiving.end == end;
            if own {
                receiving.outcome = Some(Err(Refusal::Closed));
            }
            own
        });
        let mut lost = VecDeque::new();
        if state.receivers == 0 {
            wakers.extend(state.sending.grant_where(|sending| {
                sending.refused = Some(Refusal::Gone);
                true
            }));
            lost = std::mem::take(&mut state.buffer);
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        drop(lost);
    }

    /// Takes back a value that was handed to a receiver who is gone.
    pub(super) fn put_back(&self, value: T) {
        let mut state = self.state.lock();
        if let Some((receiving, waker)) = state.receiving.grant() {
            receiving.outcome = Some(Ok(value));
            drop(state);
            waker.wake();
            return;
        }
        state.handed -= 1;
        if state.receivers == 0 {
            drop(state);
            drop(value);
            return;
        }
        state.buffer.push_front(value);
    }

    /// A value that was handed over has been taken.
    pub(super) fn taken(&self) {
        let wakers = self.state.lock().taken();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<T> State<T> {
    /// A number for another end.
    pub(super) fn next_end(&mut self) -> EndId {
        self.next_end += 1;
        self.next_end
    }

    /// Whether nothing will come any more, when there is nothing now.
    pub(super) fn has_ended(&self) -> bool {
        self.senders == 0 && self.handed == 0
    }

    /// Refuses those who wait to receive, if the channel has ended.
    fn end(&mut self) -> Vec<Waker> {
        if !self.has_ended() {
            return Vec::new();
        }
        self.receiving.grant_where(|receiving| {
            receiving.outcome = Some(Err(Refusal::Gone));
            true
        })
    }

    /// A value that was handed over has been taken.
    pub(super) fn taken(&mut self) -> Vec<Waker> {
        self.handed -= 1;
        self.end()
    }

    /// Gives a value to the first receiver, or to the buffer.
    pub(super) fn offer(&mut self, value: T, capacity: usize) -> Offered<T> {
        if self.receivers == 0 {
            return Offered::Refused(value, Refusal::Gone);
        }
        if let Some((receiving, waker)) = self.receiving.grant() {
            receiving.outcome = Some(Ok(value));
            self.handed += 1;
            return Offered::Taken(Some(waker));
        }
        if self.buffer.len() >= capacity {
            return Offered::Full(value);
        }
        self.buffer.push_back(value);
        Offered::Taken(None)
    }

    /// Takes the first value, and lets the first waiting sender in.
    pub(super) fn take(&mut self, capacity: usize) -> Option<(T, Option<Waker>)> {
        let Some(value) = self.buffer.pop_front() else {
            let (sending, waker) = self.sending.grant()?;
            let value = sending.value.take().expect("who waits to send has its value");
            return Some((value, Some(waker)));
        };
        if self.buffer.len() >= capacity {
            return Some((value, None));
        }
        let Some((sending, waker)) = self.sending.grant() else { return Some((value, None)) };
        self.buffer.extend(sending.value.take());
        Some((value, Some(waker)))
    }
}
