//! The writing end of a link's socket, for whoever has something to write now.
//!
//! That is the driver, nearly always. Only a short frame on a link where nothing else is under way, a lone call or the answer
//! to one, is written by the one who makes it, as are some short ones that are made together: that saves a wake of the driver's
//! task, which may be another thread's.
//!
//! Invariants:
//! 1. Whoever holds the lock writes. The batch is what was taken out of the state and not written yet, in its order.
//! 2. This lock goes before the one of the state, and no waker is woken or dropped under it.
//! 3. Only the driver, and the end of the link, wait for the lock; nobody waits for the socket under it. What another could not
//!    write at once stays in the batch, for the driver.
//! 4. The link does not end between a write and its account ([`Shared::end`] takes the lock): so what was not sent was not.
//! 5. The socket is closed with the driver, whoever is left.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::LinkEnd;
use crate::mux::{Chunk, Shared, State, Wakes};
use crate::socket;

/// How many buffers go into one write at most.
const SLICES: usize = 64;

/// The writing end, under its lock.
#[derive(Default)]
pub(crate) struct Writer(Mutex<Writing>);

/// What the lock holds.
#[derive(Default)]
pub(crate) struct Writing {
    pub(crate) batch: VecDeque<Chunk>,
    /// While there is a driver.
    pub(crate) socket: Option<Arc<UnixStream>>,
}

impl Writer {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Writing> {
        // Nothing between two statements that can panic is half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Writing>> {
        match self.0.try_lock() {
            Ok(writing) => Some(writing),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Gives the bytes at the front of the batch, up to a chunk with a descriptor, to `write`.
pub(crate) fn with_slices<R>(batch: &VecDeque<Chunk>, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let mut count = 0;
    let parts = batch.iter().take_while(|chunk| chunk.descriptor.is_none()).flat_map(Chunk::rest);
    for (slice, part) in slices.iter_mut().zip(parts) {
        *slice = IoSlice::new(part);
        count += 1;
    }
    write(&slices[..count])
}

impl Shared {
    /// As [`update`](Shared::update), and the frames that `change` has queued, as many as it says, are written at once where they may be.
    pub(crate) fn update_now<R>(&self, change: impl FnOnce(&mut State, &mut Wakes) -> (usize, R)) -> R {
        let mut wakes = Wakes::default();
        let (result, goes_now) = {
            let mut state = self.lock();
            let was_quiet = state.is_quiet();
            let (frames, result) = change(&mut state, &mut wakes);
            let goes_now = was_quiet && state.has_only(frames);
            if !goes_now {
                state.call_driver(&mut wakes);
            }
            (result, goes_now)
        };
        if goes_now {
            self.write_now(&mut wakes);
        }
        wakes.run();
        result
    }

    fn write_now(&self, wakes: &mut Wakes) {
        let mut writing = self.writer.try_lock();
        if let Some(Writing { batch, socket: Some(socket) }) = writing.as_deref_mut()
            // Else it is in the middle of a write, which the driver goes on with.
            && batch.is_empty()
        {
            self.lock().take_frames(batch);
            let written = with_slices(batch, |slices| socket::write(socket, slices));
            let mut state = self.lock();
            if let Ok(n) = written {
                state.wrote(batch, n, wakes);
            }
            if batch.is_empty() {
                state.call_driver(wakes);
                return;
            }
        }
        // Also if it holds the lock: it may have had its last look at the state already.
        let mut state = self.lock();
        wakes.wake(state.driver_waker());
    }

    /// Ends the link; the first end wins.
    pub(crate) fn end(&self, end: LinkEnd) {
        let writing = self.writer.lock();
        let mut wakes = Wakes::default();
        self.lock().end_link(end, &mut wakes);
        drop(writing);
        wakes.run();
    }

    /// The driver is gone, and with it the socket.
    pub(crate) fn close_socket(&self) {
        let closed = self.writer.lock().socket.take();
        drop(closed);
    }
}

/// Whether a write that failed may be tried again.
pub(crate) fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests;
