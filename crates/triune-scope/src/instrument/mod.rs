//! Instruments: code of the user's that is told what the tasks of a run do.
//!
//! # Parts
//!
//! * [`hooks`]: what an instrument is told, and in what it is interested.
//! * [`set`]: the instruments of one run, and the calls.
//! * [`observed`]: the poll of a task that somebody looks at.
//!
//! # Invariants
//!
//! 1. Where no run of the process has an instrument, a hook costs one relaxed load: [`is_wanted`].
//! 2. No lock is held while a hook is called.
//! 3. A hook that panics costs its instrument its place, and nobody else anything.
//! 4. Instruments get plain data, no handle: one that keeps all it is given keeps no task alive.

mod hooks;
pub(crate) mod observed;
mod set;

pub use hooks::{Instrument, Interest};
pub use set::NotInstalled;
pub(crate) use set::{Instruments, is_wanted};
