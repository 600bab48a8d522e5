//! Synchronisation between tasks: [`Event`], [`CapacityLimiter`], [`Semaphore`], [`Mutex`], [`Condition`] and the
//! memory [`channel`].
//!
//! # What they have in common
//!
//! * **Checkpoints.** Every wait notices a cancel of the scope around it, also where it could succeed at once, and
//!   takes part in tokio's cooperative budget.
//! * **The commit rule.** `Err(Cancelled)` means that nothing happened: nothing was taken, sent or acquired. What
//!   was handed over before the cancel is delivered; the next checkpoint tells of the cancel.
//! * **Fair.** First come, first served, in the order of the first polls. What is released is handed to the first in
//!   the queue; nobody can overtake.
//! * **Drop-safe.** A wait that is dropped leaves nothing behind, and hands on what had been handed to it.
//! * **Observable.** `statistics()` is exact at once, not only when the woken tasks have run.
//!
//! [`Event`], [`CapacityLimiter`] and [`Semaphore`] are cheap handles: a clone is the same thing. A [`Mutex`] owns
//! its data and is shared by reference, or in an `Arc` with parallel children.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
//! use triune_scope::{nursery, sync};
//!
//! let total = sync::Mutex::new(0);
//! let (sender, receiver) = sync::channel(1);
//! nursery(async |n| {
//!     for _ in 0..3 {
//!         n.spawn(async {
//!             while let Some(item) = receiver.recv_or_end().await? {
//!                 *total.lock().await? += item;
//!             }
//!             Ok(())
//!         });
//!     }
//!     for item in 1..=4 {
//!         sender.send(item).await?;
//!     }
//!     sender.close();
//!     Ok(())
//! })
//! .await?;
//! assert_eq!(total.into_inner(), 10);
//! # Ok(()) }
//! ```
//!
//! # Inside
//!
//! `queue` is the one queue of waiters, `wait` the one future that waits; a primitive only says what is taken, handed
//! over and given back. tokio's own primitives cannot serve underneath: they know neither how many wait nor for
//! whom, and a cancel could not tell a wait that was served from one that was not. Only the cell of [`Mutex`] is
//! tokio's, because its guard may cross threads.

mod channel;
mod condition;
mod event;
mod limiter;
#[cfg(all(test, shuttle))]
mod model;
mod mutex;
mod queue;
mod semaphore;
mod wait;

use std::error::Error as StdError;
use std::fmt;

pub use channel::{
    ChannelStatistics, Receiver, RecvError, SendError, SendErrorKind, Sender, TryRecvError, TrySendError,
    channel, unbounded_channel,
};
pub use condition::{Condition, ConditionStatistics};
pub use event::{Event, EventStatistics};
pub use limiter::{
    AcquireError, Borrower, CapacityLimiter, LimiterStatistics, NotBorrowed, Token, TryAcquireError,
};
pub use mutex::{Mutex, MutexGuard, MutexStatistics};
pub use semaphore::{AboveMaximum, Permit, Semaphore, SemaphoreStatistics};

/// The operation could not be done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WouldBlock;

impl fmt::Display for WouldBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this cannot be done without waiting; use the form that waits")
    }
}

impl StdError for WouldBlock {}
