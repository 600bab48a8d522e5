//! A nursery that was polled in one task and then in another.

use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;

use crate::task::TaskInfo;

/// A nursery was first polled in one task and then in another one, with other scopes around it.
///
/// It stays beneath the scopes where it was polled first: their cancels and deadlines reach it, those of the task that awaits
/// it do not. Nobody means that, so the nursery cancels its children and fails with this.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{CancelScope, FutureExt as _, NurseryMoved, nursery};
///
/// let mut open = Box::pin(nursery(async |_n| Ok(std::future::pending::<()>().cancellable().await?)));
/// let scope = CancelScope::new();
/// scope.run(async { assert!(futures_util::poll!(open.as_mut()).is_pending()) }).await.done();
/// // Polled on beneath another scope by another task, it fails instead of losing its place in the tree.
/// let elsewhere = nursery(async |n| n.spawn_task(async { Ok(open.await.unwrap_err()) }).await);
/// let error = elsewhere.await.unwrap();
/// assert!(error.group().unwrap().downcast_all::<NurseryMoved>()[0].location().file().ends_with(".rs"));
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct NurseryMoved {
    opened_at: &'static Location<'static>,
    first: Option<TaskInfo>,
}

impl NurseryMoved {
    pub(crate) fn new(opened_at: &'static Location<'static>, first: Option<TaskInfo>) -> Self {
        Self { opened_at, first }
    }

    /// Where the nursery was opened.
    pub fn location(&self) -> &'static Location<'static> {
        self.opened_at
    }

    /// The task that polled it first, if it was one of triune's.
    pub fn first_task(&self) -> Option<&TaskInfo> {
        self.first.as_ref()
    }
}

impl fmt::Display for NurseryMoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the nursery opened at {} was first polled in ", self.opened_at)?;
        match &self.first {
            Some(task) => write!(f, "task `{task}`")?,
            None => f.write_str("a scope of another task")?,
        }
        f.write_str(
            " and then moved to another task; await it where it was polled first, or make it `detached()`",
        )
    }
}

impl StdError for NurseryMoved {}
