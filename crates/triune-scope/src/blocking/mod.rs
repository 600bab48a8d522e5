//! Blocking code on threads, inside the tree: cancelled, limited and waited for like any other child.
//!
//! [`run`] takes a closure to a thread of tokio's blocking pool and waits for it;
//! [`Nursery::spawn_blocking`](crate::Nursery::spawn_blocking) makes it a child. A thread cannot be stopped from outside,
//! so a cancel is a request that the closure notices with [`Blocking::check_cancelled`], and the call returns only when
//! the closure has. For long computations that know nothing of cancels, a worker process is the better place: that can
//! be killed.
//!
//! # Parts
//!
//! * `job`: the future that a user awaits, with its options.
//! * `thread`: what the waiting task and the thread share; the only file that starts threads.
//! * `context`: what the closure sees.
//! * `permit`: how many threads may run at a time.
//!
//! # Invariants
//!
//! 1. A closure runs at most once; in a scope that is cancelled before a thread took it up, not at all.
//! 2. Whoever waits for a thread holds every boundary above from being dropped, unless the job may be abandoned.
//! 3. Closure and context are dropped, and the permit is back, before the waiting call returns.
//! 4. A job whose call was dropped is cancelled, keeps its permit, and the run waits for it. An abandoned one is cancelled
//!    and keeps its permit, but nobody waits for it.
//! 5. Async code beneath a job may use the job's permit, because the job's thread stands still meanwhile.

mod context;
mod job;
mod permit;
mod thread;

pub use context::Blocking;
pub use job::{ThreadJob, run};
pub use permit::default_limiter;
pub use thread::NotRun;
