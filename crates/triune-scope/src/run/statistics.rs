//! The run in numbers.

use tokio::time::Instant;

use super::handle::Run;

/// A [`Run`] in numbers, at one moment. Plain data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunStatistics {
    /// Tasks that live, running ones and system tasks included.
    pub tasks_living: usize,
    /// Those of them of which it is known that they can go on: they were not polled yet, or have not seen their cancel.
    /// Of others, only what they wait for knows whether it has come.
    pub tasks_ready: usize,
    /// Callbacks that wait to be called, see [`Run::call_soon`].
    pub callbacks_waiting: usize,
    /// The next deadline that will cancel something. In the past if it is overdue.
    pub next_deadline: Option<Instant>,
}

impl Run {
    /// The run in numbers. It walks over all tasks, as [`tree`](Self::tree) does.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use triune_scope::{Run, nursery};
    ///
    /// nursery(async |n| {
    ///     n.spawn(async { Ok(()) });
    ///     let statistics = Run::current().statistics();
    ///     assert_eq!((statistics.tasks_living, statistics.tasks_ready), (1, 1));
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub fn statistics(&self) -> RunStatistics {
        let mut statistics = RunStatistics {
            tasks_living: 0,
            tasks_ready: 0,
            callbacks_waiting: self.callbacks().waiting(),
            next_deadline: None,
        };
        crate::tree::walk::each(self.roots(), |node, _| {
            if let Some(record) = node.record() {
                statistics.tasks_living += 1;
                statistics.tasks_ready += usize::from(record.is_new() || node.has_unseen_cancel());
            }
            let announced = node.announced().len();
            statistics.tasks_living += announced;
            statistics.tasks_ready += announced;
            if node.has_times() {
                let next = statistics.next_deadline.into_iter().chain(node.next_alarm()).min();
                statistics.next_deadline = next;
            }
        });
        statistics
    }
}
