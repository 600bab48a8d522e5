//! What a process may not do: limits that the system counts, and a sandbox around what it may touch.
//!
//! # Parts
//!
//! * [`builder`]: [`Limits`], what a parent asks for;
//! * [`report`]: [`LimitsReport`], what came of it, limit by limit;
//! * [`text`]: both as text, since they travel in an environment variable and in a HELLO;
//! * [`apply`]: the child's side.
//!
//! # Invariants
//!
//! 1. The child applies its limits to itself, before it has a second thread and before its role begins. Nothing runs
//!    between `fork` and `exec`, and no process but the child is affected.
//! 2. A limit is only ever lowered.
//! 3. Each limit that was asked for has one entry in the report; none is left out in silence.
//! 4. What closes doors comes last, in the order in which each step still needs the next one's door: descriptors and
//!    numbers, then privileges, then paths, then system calls.

mod apply;
mod builder;
mod report;
mod text;

pub(crate) use apply::{apply_own, note_own};
pub use apply::{begin_cpu_time, limits_report};
pub(crate) use builder::Resource;
pub use builder::{Enforce, Limits};
pub use report::{Enforcement, Limit, LimitStatus, LimitsError, LimitsReport};
pub(crate) use text::REPORT_VARIABLE;

#[cfg(test)]
mod tests;
