//! `start`: a child that says when it is ready, and a caller that waits for that.
//!
//! The child is in the nursery from the beginning. Until it says `started`, its failure is the caller's, and so is
//! its life: [`starting`] decides at the child's end whose business it is, [`call`] is the caller's wait.
//!
//! # Invariants
//!
//! 1. A failure goes to exactly one side: to the caller before `started`, to the nursery after it or without a caller.
//! 2. The value is delivered once or dropped once; it is never dropped under the lock.
//! 3. A caller that was cancelled waits until the child has ended; one that was dropped only cancels it.

mod call;
mod slot;
mod starting;

pub(super) use call::Start;
pub use slot::Started;
