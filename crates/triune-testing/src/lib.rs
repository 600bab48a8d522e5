//! Test support for triune: leak guard, orphan detector.
//!
//! Tests of programs that start processes can pass while they leave some behind. [`LeakGuard`] fails them: it compares
//! what a test leaves (processes, zombies, descriptors) with what was there before. [`processes_of_tree`] finds every
//! process below this one, also those that have escaped from their parents, and [`wait_gone`] waits for given ones to end.
//!
//! Everything here looks at `/proc`, from outside, and asks no other part of triune: what it checks cannot fool it.
//! It therefore needs Linux. It starts nothing itself, and it waits for events with a deadline, never for a duration.

mod descriptor;
mod guard;
mod process;
mod wait;

pub use descriptor::open_descriptors;
pub use guard::{Leak, LeakGuard};
pub use process::{ProcessInfo, processes_of_tree};
pub use wait::{StillThere, eventually, wait_gone, wait_until};
