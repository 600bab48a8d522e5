//! The nursery: the only place where concurrent work starts, and what owns it until it is gone.
//!
//! # Parts
//!
//! * [`handle`], [`local`]: what the body and the children hold, by value and cloned; with and without `Send`.
//! * [`queue`]: where new children wait; generic over the boxed child, as is all that follows.
//! * [`future`]: what the parent awaits, and its options: a face of the engine.
//! * [`engine`]: polls the body and the in-task children; [`state`]: gathers what fails, decides how it ends.
//! * [`set`]: the children in this task, and when they are polled.
//! * [`here`]: children whose first poll is where they are started.
//! * [`grace`]: the bounded shield.
//! * [`start`]: children that say when they are ready.
//! * [`info`]: the children as data.
//! * [`combine`]: `race`, `join`, `as_completed`: nurseries of given futures.
//! * [`child`]: one child: the future that runs it and the handle that waits for its value.
//! * [`parallel`]: children that are tokio tasks.
//! * [`blocking`]: children that are thread jobs.
//! * [`owed`]: waits that a cancel must not cut short.
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
mod combine;
#[cfg(doctest)]
mod compile_fail;
mod core;
mod engine;
mod future;
mod grace;
mod handle;
mod here;
mod info;
mod local;
mod owed;
mod parallel;
mod queue;
mod set;
mod start;
mod state;

pub use child::Child;
pub use combine::{Completed, Join, Race, as_completed, join, race};
pub use future::{
    LocalNurseryFuture, LocalOrCancelled, NurseryFuture, OrCancelled, local_nursery, local_nursery_with,
    nursery, nursery_with,
};
pub use handle::Nursery;
pub use here::start_here;
pub use info::{ChildInfo, ChildKind};
pub use local::LocalNursery;
pub use owed::owed;
pub use start::Started;
pub use state::PanicPolicy;
