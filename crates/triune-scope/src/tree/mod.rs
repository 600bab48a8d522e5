//! The tree of tasks as data: who runs, since when, how much, beneath whom.
//!
//! There is no second registry: the tree of cancel nodes is the tree of tasks, and the root node of each task carries
//! its [`record`]. A snapshot walks it from the root of the run.
//!
//! # Invariants
//!
//! 1. Always on: a poll costs two readings of the processor's tick counter and a few stores, no lock and no clock call.
//! 2. Only the thread that polls a task writes its record; readers may see a poll half counted, never a torn number.
//! 3. A snapshot holds plain data, no handle: keeping it keeps nothing alive.
//! 4. Ticks become time only when somebody reads them, by the ratio since the first task: nothing is calibrated at the
//!    start, because worker processes start in less than a millisecond.
//! 5. What a task waits for is what its leaves have registered for their cancel: it is written when a wait parks and goes
//!    with the registration, and no poll pays for it.

pub(crate) mod record;
mod snapshot;
pub(crate) mod ticks;
mod waits;
pub(crate) mod walk;

pub use snapshot::{Activity, NurseryState, TaskState, Tree, tree};
pub use waits::{Awaited, TaskWait};
