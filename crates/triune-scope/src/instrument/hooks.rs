//! What an instrument is told.

use std::ops::BitOr;

use crate::task::{TaskId, TaskInfo};

/// Is told what the tasks of a [`Run`](crate::Run) do; added with [`Run::add_instrument`](crate::Run::add_instrument).
///
/// The hooks are called in the middle of the run's work, on whatever thread that happens: they must be quick and must not
/// block. One that panics is not called again, nor any other of its instrument; the panic is logged, and the run goes on.
///
/// Code that was spawned past triune is not seen.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
/// use triune_scope::{Instrument, Interest, Run, TaskInfo, nursery};
///
/// #[derive(Default)]
/// struct CountPolls(AtomicU32);
///
/// impl Instrument for CountPolls {
///     fn interest(&self) -> Interest {
///         Interest::POLLS
///     }
///
///     fn before_poll(&self, _task: &TaskInfo) {
///         self.0.fetch_add(1, Relaxed);
///     }
/// }
///
/// let polls = Arc::new(CountPolls::default());
/// Run::current().add_instrument(polls.clone());
/// nursery(async |n| n.spawn(async { Ok(()) }).await).await?;
/// assert_eq!(polls.0.load(Relaxed), 1);
/// # Ok(()) }
/// ```
pub trait Instrument: Send + Sync {
    /// Which hooks are called. Asked once, when the instrument is added; what nobody is interested in costs next to nothing.
    fn interest(&self) -> Interest {
        Interest::ALL
    }

    /// The run's main task is about to begin.
    fn run_started(&self) {}

    /// The run has closed: its system tasks have ended.
    fn run_closed(&self) {}

    /// A task was made, in the nursery of another or for the run itself (`None`). It has not begun.
    fn task_spawned(&self, _task: &TaskInfo, _parent: Option<TaskId>) {}

    /// A task can go on: it is new, or what it waits for woke it. Told once until the next poll.
    fn task_scheduled(&self, _task: &TaskInfo) {}

    /// A poll of the task begins.
    fn before_poll(&self, _task: &TaskInfo) {}

    /// The poll is over, also by a panic.
    fn after_poll(&self, _task: &TaskInfo) {}

    /// The task has ended, and all that it held is gone.
    fn task_exited(&self, _task: &TaskInfo) {}
}

/// Which hooks of an [`Instrument`] are called. Combined with `|`.
///
/// ```
/// use triune_scope::Interest;
///
/// let interest = Interest::LIVES | Interest::RUNS;
/// assert!(interest.meets(Interest::RUNS) && !interest.meets(Interest::POLLS));
/// assert!(Interest::ALL.meets(interest) && !Interest::NONE.meets(Interest::ALL));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest(u8);

impl Interest {
    /// [`run_started`](Instrument::run_started) and [`run_closed`](Instrument::run_closed).
    pub const RUNS: Self = Self(1);
    /// [`task_spawned`](Instrument::task_spawned) and [`task_exited`](Instrument::task_exited).
    pub const LIVES: Self = Self(1 << 1);
    /// [`task_scheduled`](Instrument::task_scheduled): the dearest, because each poll gets a waker of its own.
    pub const SCHEDULES: Self = Self(1 << 2);
    /// [`before_poll`](Instrument::before_poll) and [`after_poll`](Instrument::after_poll).
    pub const POLLS: Self = Self(1 << 3);
    /// Every hook.
    pub const ALL: Self = Self(0b1111);
    /// No hook.
    pub const NONE: Self = Self(0);

    /// Whether anything of `other` is in it.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
