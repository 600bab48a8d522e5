//! Structured concurrency in one process: nurseries, cancel scopes, error groups.
//!
//! A [`nursery`] is the only place where concurrent work starts, and it returns only when everything that it
//! started is gone. The first failing child cancels its siblings; every error is kept in an [`ErrorGroup`]; a
//! panic is resumed in the parent after the siblings have ended.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
//! use triune_scope::nursery;
//!
//! let words = vec!["a", "bb", "ccc"];
//! let total = nursery(async |n| {
//!     let lengths: Vec<_> = words.iter().map(|w| n.spawn(async move { Ok(w.len()) })).collect();
//!     let mut total = 0;
//!     for length in lengths {
//!         total += length.await?;
//!     }
//!     Ok(total)
//! })
//! .await?;
//! assert_eq!(total, 6);
//! # Ok(()) }
//! ```
//!
//! # Cancellation
//!
//! A cancelled scope is a state, not an event: it holds until the scope ends, everything beneath it that is not
//! shielded sees it, only at await points, and the scope that was cancelled absorbs it. A task is ended in two
//! steps. *Soft*: the innermost triune await on its stack ([`FutureExt::cancellable`], [`sleep`], a [`Child`], …)
//! resolves to [`Cancelled`], and the code above unwinds by `?`, with async clean-up inside [`shield`].
//! *Hard*: what stays parked in a foreign await afterwards, and is not held by a shield, is dropped.
//!
//! **Every task that returns from its polls and holds no unbounded shield ends; graceful unwinding is tried
//! first, dropping is the fallback.**
//!
//! # Layout
//!
//! `cancel` (the tree of scopes and how a cancel is delivered) and `error` know no runtime; `nursery` uses one
//! only for [`Nursery::spawn_task`] and [`Nursery::daemon_task`]; [`sync`] takes only tokio's cell of a lock and its
//! cooperative budget, which work without a runtime; `run`, `time` and [`blocking`] are the tokio part.

#![forbid(unsafe_code)]

pub mod blocking;
mod cancel;
mod error;
mod instrument;
mod lock;
mod nursery;
mod probe;
mod run;
pub mod sync;
mod task;
mod task_var;
mod time;
mod tree;
mod tree_var;

pub use cancel::{
    Bound, CancelReason, CancelScope, Cancellable, Cause, Detached, Finally, FutureExt, Outcome, ReasonParts,
    UnknownCause, bracket, cancel_reason, check_cancelled, checkpoint, effective_deadline, is_cancelled,
    shield_unbounded,
};
pub use error::{
    Cancelled, Chain, ChildError, ChildErrorKind, Context, Error, ErrorGroup, Member, NotStarted,
    NurseryError, NurseryMoved, PanicError, ReportedBy, Result, Timeout,
};
pub use instrument::{Instrument, Interest, NotInstalled};
pub use nursery::{
    Child, ChildInfo, ChildKind, Completed, Join, LocalNursery, LocalNurseryFuture, LocalOrCancelled,
    Nursery, NurseryFuture, OrCancelled, PanicPolicy, Race, Started, as_completed, join, local_nursery,
    local_nursery_with, nursery, nursery_with, race,
};
pub use run::{Run, RunClosed, RunStatistics, SystemPanic};
pub use task::{TaskId, TaskInfo, current_task, current_task_id};
pub use task_var::{TaskVar, TaskVarScope};
pub use time::{
    Elapsed, fail_after, fail_at, move_on_after, move_on_at, shield, sleep, sleep_forever, sleep_until,
};
pub use tree::{Activity, Awaited, NurseryState, TaskState, TaskWait, Tree, tree};
pub use tree_var::{TreeVar, TreeVarScope};

#[doc(hidden)]
pub mod __primitive {
    //! For the crates of triune that have primitives of their own. Not for direct use: nothing here is stable.
    pub use crate::cancel::{Primitive, checkpoint_if_cancelled, primitive};
    pub use crate::nursery::{owed, start_here};
}

#[doc(hidden)]
pub mod __testing {
    //! What `triune-testing` shows to tests. Not for direct use: nothing here is stable.
    pub use crate::probe::{Census, ChildOrder, Counter, HardStop, HardStops};
}
