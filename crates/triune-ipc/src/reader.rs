//! The reading end of a link's socket, for the caller who waits for the answer to the only call.
//!
//! The task of the driver and that of the caller are woken together when there is something to read, and whichever is polled first
//! reads. If that is the caller, it goes on with its answer at once: to be woken by the driver's task costs, on one thread, a look at
//! the system's event queue.
//!
//! Invariants:
//! 1. Whoever has the [`Reading`] reads. It lies here while the driver rests and nobody reads.
//! 2. The driver is woken for every event, too, so nothing depends on the caller, who may be polled late or never.
//! 3. A caller who has taken an event ([`Reader::take_event`]) reads what is there, and has the next event told; or it leaves the rest to
//!    the driver and wakes it once more. What ends the link is for the driver to judge.
//! 4. A driver that finds the `Reading` taken is woken when it is back.
//! 5. No waker is woken or dropped, and nothing is read, under the lock.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::LinkEnd;
use crate::intake::Intake;
use crate::mux::{Shared, State, Wakes};
use crate::socket::Socket;

/// What it takes to read.
pub(crate) struct Reading {
    pub(crate) socket: Socket,
    pub(crate) intake: Intake,
    /// What a caller has found and the driver is to judge.
    pub(crate) left: Option<Left>,
    /// A caller has read something since the driver looked last.
    pub(crate) heard: bool,
    /// Told of what can be read, while callers may read; else it is the driver's own waker.
    pub(crate) waker: Option<Waker>,
}

/// What a caller leaves to the driver.
pub(crate) enum Left {
    /// No bytes: the end of the other side, or an error.
    Read(io::Result<usize>),
    End(LinkEnd),
}

/// Where the [`Reading`] is while its driver does not have it.
#[derive(Default)]
pub(crate) struct Reader {
    place: Mutex<Place>,
    /// There was an event, and nobody has read since.
    readable: AtomicBool,
}

#[derive(Default)]
enum Place {
    #[default]
    WithDriver,
    Here(Box<Reading>),
    WithCaller {
        /// The driver was polled meanwhile.
        awaited_by: Option<Waker>,
    },
    /// The driver is gone.
    Gone,
}

impl Reader {
    fn place(&self) -> MutexGuard<'_, Place> {
        // Nothing between two statements that can panic is half done.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The driver rests.
    pub(crate) fn lend(&self, reading: Box<Reading>) {
        *self.place() = Place::Here(reading);
    }

    /// The driver is polled. `None`: a caller reads, and `driver` is woken after it.
    pub(crate) fn take_back(&self, driver: &Waker) -> Option<Box<Reading>> {
        let mut place = self.place();
        match std::mem::take(&mut *place) {
            Place::Here(reading) => Some(reading),
            Place::WithCaller { awaited_by } => {
                *place = Place::WithCaller { awaited_by: Some(driver.clone()) };
                drop(place);
                drop(awaited_by);
                None
            }
            Place::WithDriver | Place::Gone => unreachable!("it is lent, and only its driver takes it back"),
        }
    }

    /// The driver goes away.
    pub(crate) fn close(&self) {
        let old = std::mem::replace(&mut *self.place(), Place::Gone);
        drop(old);
    }

    fn take(&self) -> Option<Box<Reading>> {
        let mut place = self.place();
        match std::mem::take(&mut *place) {
            Place::Here(reading) => {
                *place = Place::WithCaller { awaited_by: None };
                Some(reading)
            }
            other => {
                *place = other;
                None
            }
        }
    }

    /// Gives the driver that has waited for it.
    fn put_back(&self, reading: Box<Reading>) -> Option<Waker> {
        let mut place = self.place();
        match std::mem::take(&mut *place) {
            Place::WithCaller { awaited_by } => {
                *place = Place::Here(reading);
                awaited_by
            }
            gone => {
                *place = gone;
                drop(place);
                drop(reading);
                None
            }
        }
    }

    /// There is something to read.
    pub(crate) fn tell_event(&self) {
        self.readable.store(true, Ordering::Release);
    }

    /// Takes the event, if nobody has.
    pub(crate) fn take_event(&self) -> bool {
        self.readable.swap(false, Ordering::AcqRel)
    }
}

impl Shared {
    /// Reads for the request in this slot, if there was an event and nobody reads.
    pub(crate) fn read_for(&self, slot: usize) {
        if !self.reader.readable.load(Ordering::Relaxed) {
            return;
        }
        let Some(mut reading) = self.reader.take() else { return };
        let mut wakes = Wakes::default();
        let is_done = !self.reader.take_event() || reading.read_for(self, slot, &mut wakes);
        if !is_done {
            wakes.wake(reading.waker.clone());
        }
        wakes.wake(self.reader.put_back(reading));
        wakes.run();
    }
}

impl Reading {
    /// Reads once, in the name of the driver. Whether that was all, and the next event will be told.
    fn read_for(&mut self, shared: &Shared, slot: usize, wakes: &mut Wakes) -> bool {
        let Some(waker) = self.waker.take() else { return false };
        let is_done = self.read_with(&mut Context::from_waker(&waker), shared, slot, wakes);
        self.waker = Some(waker);
        is_done
    }

    fn read_with(&mut self, cx: &mut Context<'_>, shared: &Shared, slot: usize, wakes: &mut Wakes) -> bool {
        match self.intake.poll_read(&self.socket, cx) {
            Poll::Pending => return true,
            Poll::Ready(Ok(1..)) => {}
            Poll::Ready(read) => {
                self.left = Some(Left::Read(read));
                return false;
            }
        }
        self.heard = true;
        let mut state = shared.lock();
        // It runs already.
        let caller = state.take_waker(slot);
        let decoded = self.decode(&mut state, wakes);
        state.give_waker(slot, caller, wakes);
        state.call_driver(wakes);
        drop(state);
        if let Err(end) = decoded {
            self.left = Some(Left::End(end));
            return false;
        }
        self.socket.poll_readable(cx).is_pending()
    }

    /// Applies all frames that are complete.
    pub(crate) fn decode(&mut self, state: &mut State, wakes: &mut Wakes) -> Result<(), LinkEnd> {
        let protocol = |error: crate::ProtocolError| LinkEnd::Protocol(std::sync::Arc::new(error));
        while let Some(frame) = self.intake.next_frame().map_err(|error| protocol(error.into()))? {
            if let Some(end) = state.on_frame(frame, wakes).map_err(protocol)? {
                return Err(end);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
