//! The multiplexer: everything that the two halves of a link know, behind one lock.
//!
//! A pure state machine: user handles and the driver change it under the lock of [`Shared`], frames go in
//! and come out, and the wakers to wake are collected and woken after the lock is free. It does no I/O and
//! never waits. Beside it, [`Shared`] holds the writing end of the socket, which has a lock of its own.
//!
//! Invariants:
//! 1. The lock is never held over an await, nor while a waker is woken or dropped.
//! 2. A request that was sent stays in its table until its terminal frame came in: a CANCEL may race the
//!    REPLY, and its id is not free before both are settled.
//! 3. A request that came in leaves its table with its one terminal frame.
//! 4. The terminal frame is the last of its id from the callee; later frames of the caller are ignored.
//! 5. What a peer can make us hold is counted when a frame comes in, before it is stored.

mod batch;
mod callee;
mod caller;
mod chunk;
mod ids;
mod introduce;
mod items;
mod outgoing;
mod partial;
mod state;
mod stream;
mod wake;

pub(crate) use batch::Batch;
pub(crate) use callee::{Arrival, Arrived};
pub(crate) use caller::Asked;
pub(crate) use chunk::Chunk;
pub(crate) use state::{Shared, State};
pub(crate) use stream::StreamKey;
pub(crate) use wake::Wakes;
