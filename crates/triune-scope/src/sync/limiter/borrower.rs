//! Who borrows.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::task::{TaskId, current_task_id};

/// Who borrows a token: a task, a name, or nothing but itself.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::sync::{Borrower, CapacityLimiter};
///
/// let seats = CapacityLimiter::unlimited();
/// let _ann = seats.acquire_for("Ann").await?;
/// let _somebody = seats.acquire_for(Borrower::unique()).await?;
/// assert!(seats.try_acquire_for("Ann").is_err(), "she has one");
/// assert_eq!(seats.statistics().borrowers[0].to_string(), "Ann");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Borrower(Who);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Task(TaskId),
    Name(Cow<'static, str>),
    Unique(u64),
}

impl Borrower {
    /// The task that runs now; outside of every nursery, somebody new each time.
    pub fn current() -> Self {
        current_task_id().map_or_else(Self::unique, |id| Self(Who::Task(TaskId(id))))
    }

    /// Somebody who is nobody else.
    pub fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(Who::Unique(NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// The task that borrows, if it is one.
    pub fn task(&self) -> Option<TaskId> {
        match self.0 {
            Who::Task(id) => Some(id),
            Who::Name(_) | Who::Unique(_) => None,
        }
    }
}

impl From<TaskId> for Borrower {
    fn from(id: TaskId) -> Self {
        Self(Who::Task(id))
    }
}

impl From<&'static str> for Borrower {
    fn from(name: &'static str) -> Self {
        Self(Who::Name(name.into()))
    }
}

impl From<String> for Borrower {
    fn from(name: String) -> Self {
        Self(Who::Name(name.into()))
    }
}

impl fmt::Display for Borrower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Who::Task(id) => write!(f, "task {id}"),
            Who::Name(name) => f.write_str(name),
            Who::Unique(number) => write!(f, "borrower {number}"),
        }
    }
}
