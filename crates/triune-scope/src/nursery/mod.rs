//! The nursery: the only place where concurrent work starts, and what owns it until it is gone.
//!
//! # Parts
//!
//! * [`handle`]: what the body and the children hold: a queue to put children into, by value and cloned.
//! * [`future`]: what the parent awaits: polls the body and the in-task children, gathers what fails.
//! * [`child`]: one child: the future that runs it and the handle that waits for its value.
//! * [`parallel`]: children that are tokio tasks.
//! * [`blocking`]: children that are thread jobs.
//! * [`core`]: what all of these share; knows nothing of `'env`.
//!
//! # Why no `unsafe`
//!
//! The handle holds only a queue of boxed futures that live for `'env`; the running set is in the future. `'env` is
//! chosen outside of the call, so the body's locals are never long enough, and the compiler refuses a child that
//! borrows them. A handle that escapes within `'env` meets the closed queue.
//!
//! # Invariants
//!
//! 1. Every child is in exactly one place: the queue, the running set, or a tokio task that reports its end.
//! 2. A child's end is counted after its future has been dropped.
//! 3. No lock is held while a future is polled or dropped or a waker is woken.
//! 4. The queue is closed under its lock, when it is empty and nothing runs; a later spawn is a bug of the caller.

mod blocking;
mod child;
#[cfg(doctest)]
mod compile_fail;
mod core;
mod future;
mod handle;
mod parallel;

pub use child::Child;
pub use future::{NurseryFuture, nursery};
pub use handle::Nursery;
