//! One program run on one tokio runtime: its root scope, its system tasks, its callbacks, its extensions.
//!
//! `#[triune::main]` opens a run and closes it before the runtime goes. Under a plain `#[tokio::main]` the first
//! use makes an implicit one, which nobody closes: its system tasks then end with the runtime.
//!
//! # Parts
//!
//! * [`handle`]: what everybody holds, how a run begins and ends.
//! * [`system`]: tasks that belong to no nursery, and what their panics do.
//! * [`callbacks`]: code from elsewhere that runs in the run.
//! * [`statistics`]: the run in numbers.
//! * [`registry`]: which runtime has which run.
//!
//! # Invariants
//!
//! 1. There is one run per runtime, found by the runtime's id.
//! 2. Every parallel child and every system task holds a [`LiveGuard`]; [`Run::close`] waits until none is left.
//! 3. System tasks are beneath a scope of their own: they outlive the main task and end at [`Run::close`].
//! 4. A callback that was accepted is called before [`Run::close`] returns; afterwards none is accepted.
//! 5. A panic in a system task or in a callback is a bug of the runtime's: it cancels the main task, and is kept.

mod callbacks;
mod handle;
mod registry;
mod statistics;
mod system;

pub use callbacks::RunClosed;
pub(crate) use handle::LiveGuard;
pub use handle::Run;
pub use statistics::RunStatistics;
pub use system::SystemPanic;
