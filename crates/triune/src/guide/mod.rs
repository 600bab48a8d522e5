//! The guide: chapters that explain one subject from the beginning, with programs that run.
//!
//! * [`cancellation`]: what a cancel is, how it reaches code, how code cleans up, for people who know tokio.
//! * [`limits`]: what a worker may use and touch, who sees to it, and how a job that goes beyond it ends.
//! * [`worker_or_thread`]: when a worker is worth it, and when `spawn_blocking` or rayon is better.
//! * [`another_program`]: workers that are a smaller binary, another build, or Python.
//! * [`coming_from_trio_parallel`]: its names here, and where triune differs on purpose.
//! * [`coming_from_trio`]: what Trio's names are called here, and where triune differs on purpose.

#[doc = include_str!("cancellation.md")]
pub mod cancellation {}

#[doc = include_str!("limits.md")]
pub mod limits {}

#[doc = include_str!("worker_or_thread.md")]
pub mod worker_or_thread {}

#[doc = include_str!("another_program.md")]
pub mod another_program {}

#[doc = include_str!("coming_from_trio_parallel.md")]
pub mod coming_from_trio_parallel {}

#[doc = include_str!("coming_from_trio.md")]
pub mod coming_from_trio {}
