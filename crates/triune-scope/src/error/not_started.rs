//! A child that was to say `started` did not.

use std::error::Error as StdError;
use std::fmt;

use crate::task::TaskInfo;

/// A [`start`](crate::Nursery::start) got no value, although the child did not fail.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::{NotStarted, Started, nursery};
///
/// nursery(async |n| {
///     let silent = n.start(async |started: Started<u16>| {
///         drop(started);
///         Ok(())
///     });
///     let error = silent.await.unwrap_err();
///     assert!(error.is::<NotStarted>(), "{error}");
///     Ok(())
/// })
/// .await
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct NotStarted {
    task: TaskInfo,
    why: Why,
}

#[derive(Debug, Clone, Copy)]
enum Why {
    Ended,
    Unanswered,
    Closed,
}

impl NotStarted {
    /// The child returned `Ok` without a value.
    pub(crate) fn ended(task: TaskInfo) -> Self {
        Self { task, why: Why::Ended }
    }

    /// The child dropped its `Started` and ran on.
    pub(crate) fn unanswered(task: TaskInfo) -> Self {
        Self { task, why: Why::Unanswered }
    }

    /// The nursery had ended.
    pub(crate) fn closed(task: TaskInfo) -> Self {
        Self { task, why: Why::Closed }
    }

    /// The child.
    pub fn task(&self) -> &TaskInfo {
        &self.task
    }
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.why {
            Why::Ended => "ended without calling `started`",
            Why::Unanswered => "dropped its `Started` without calling `started`, and was cancelled",
            Why::Closed => {
                "did not start: the nursery has ended; start children while its body or another child runs"
            }
        };
        write!(f, "child `{}` {text}", self.task)
    }
}

impl StdError for NotStarted {}
