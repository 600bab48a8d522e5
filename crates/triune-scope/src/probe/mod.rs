//! What tests may look at: living objects, hard stops, the order of children.
//!
//! Owns: counters and switches that cost nothing, or next to nothing, where no test uses them. `triune-testing` is their
//! public face; nothing here is for applications. Does not own: what is counted.
//!
//! # Invariants
//!
//! 1. Everything is kept per tokio runtime, so that tests which run side by side do not see each other.
//! 2. Nothing here changes what a program does, except the two switches that say so (`HardStops::deny`, `ChildOrder::set_seed`).

pub(crate) mod census;
pub(crate) mod hard_stop;
pub(crate) mod order;

pub use census::{Census, Counter};
pub use hard_stop::{HardStop, HardStops};
pub use order::ChildOrder;
