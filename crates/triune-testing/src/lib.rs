//! Test support for triune: for tests of programs that start processes, and of those that have many tasks.
//!
//! # Processes
//!
//! Tests of programs that start processes can pass while they leave some behind. [`LeakGuard`] fails them: it compares
//! what a test leaves (processes, zombies, descriptors) with what was there before. [`processes_of_tree`] finds every
//! process below this one, also those that have escaped from their parents, and [`wait_gone`] waits for given ones to end.
//! This part looks at `/proc`, from outside, and asks no other part of triune: what it checks cannot fool it.
//! It therefore needs Linux.
//!
//! # Faults
//!
//! [`fault`] kills, stops, freezes, delays, cuts or corrupts at the n-th frame of a link: to see that a program of actors and workers
//! survives it.
//!
//! # Tasks
//!
//! | question | tool |
//! |---|---|
//! | have the others got as far as they can? | [`settle`], [`settle_for`] a time |
//! | what happens in an hour? | [`VirtualClock`] |
//! | does it hold in this order of steps? | [`Sequencer`] |
//! | does it hold whoever is polled first? | [`shuffle_children`] |
//! | is that value gone? | [`Canary`] |
//! | what of the runtime is alive? | [`census`] |
//! | does a thousand times leave nothing? | [`assert_leaves_nothing`], [`CountingAllocator`] |
//! | was anything cut off instead of ended? | [`watch_hard_stops`], [`deny_hard_stop`] |
//!
//! Nothing here waits for a duration: it waits for events, or looks again and again with a deadline.

mod canary;
mod clock;
mod descriptor;
pub mod fault;
mod guard;
mod hard_stop;
mod memory;
mod order;
mod process;
mod random;
mod sequencer;
mod settle;
mod skip;
mod wait;

pub use canary::{Canary, Probe};
pub use clock::VirtualClock;
pub use descriptor::open_descriptors;
pub use guard::{Leak, LeakGuard};
pub use hard_stop::{DenyHardStop, HardStop, HardStopWatch, deny_hard_stop, watch_hard_stops};
pub use memory::{Census, CountingAllocator, Living, assert_leaves_nothing, census};
pub use order::{ShuffledChildren, shuffle_children, shuffle_children_with};
pub use process::{ProcessInfo, processes_of_tree};
pub use random::{Random, seed};
pub use sequencer::{SequenceBroken, Sequencer, Step};
pub use settle::{settle, settle_for};
pub use skip::skip;
pub use wait::{StillThere, eventually, wait_gone, wait_until};
