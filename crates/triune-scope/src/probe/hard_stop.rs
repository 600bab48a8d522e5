//! Hard stops: a cancel dropped a future that was parked in a foreign await, so its async clean-up did not run.
//!
//! A `fut.cancellable()` that drops its own future is not one: that await returned `Err(Cancelled)`.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cancel::node::Node;
use crate::lock::Mutex;
use crate::run::Run;
use crate::task::TaskInfo;

/// How many hard stops are kept with their details while somebody watches; later ones are only counted.
const KEPT: usize = 1000;

/// One hard stop.
#[derive(Debug, Clone)]
pub struct HardStop {
    task: Option<TaskInfo>,
    reason: String,
}

impl HardStop {
    /// The task whose future was dropped, if it was one of triune's.
    #[must_use]
    pub fn task(&self) -> Option<&TaskInfo> {
        self.task.as_ref()
    }

    /// Where that task was spawned.
    #[must_use]
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.task.as_ref().map(TaskInfo::location)
    }
}

impl fmt::Display for HardStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = &self.reason;
        match &self.task {
            Some(task) => write!(f, "{task}, spawned at {}: {reason}", task.location()),
            None => write!(f, "code outside of every triune task: {reason}"),
        }
    }
}

/// How many guards there are in all runs. Without one, nothing is counted: a cancel of many asks once for each.
static GUARDS: AtomicUsize = AtomicUsize::new(0);

/// The hard stops of one run, and whether they are allowed.
#[derive(Debug, Default)]
pub struct HardStops {
    count: AtomicUsize,
    kept: Mutex<Vec<HardStop>>,
    /// How many guards want the details; without one, nothing is kept.
    watched: AtomicUsize,
    /// How many guards forbid them at the moment.
    denied: AtomicUsize,
}

impl HardStops {
    /// Those of the run that the caller is in.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    #[track_caller]
    pub fn current() -> Arc<Self> {
        Arc::clone(Run::current().hard_stops())
    }

    /// How many there were while somebody watched hard stops, or forbade them, in any run.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Those that happened while somebody watched, in their order; the first thousand.
    #[must_use]
    pub fn seen(&self) -> Vec<HardStop> {
        self.kept.lock().clone()
    }

    /// From now on the details are kept. Counted: as many calls of [`unwatch`](Self::unwatch) end it.
    pub fn watch(&self) {
        GUARDS.fetch_add(1, Ordering::AcqRel);
        self.watched.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes back one [`watch`](Self::watch); the last one lets go of the details.
    pub fn unwatch(&self) {
        GUARDS.fetch_sub(1, Ordering::AcqRel);
        if self.watched.fetch_sub(1, Ordering::AcqRel) == 1 {
            let kept = std::mem::take(&mut *self.kept.lock());
            drop(kept);
        }
    }

    /// From now on the task panics when a hard stop has happened in it. Counted: as many calls of
    /// [`allow`](Self::allow) end it.
    pub fn deny(&self) {
        GUARDS.fetch_add(1, Ordering::AcqRel);
        self.denied.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes back one [`deny`](Self::deny).
    pub fn allow(&self) {
        GUARDS.fetch_sub(1, Ordering::AcqRel);
        self.denied.fetch_sub(1, Ordering::AcqRel);
    }

    fn keep(&self, stop: &HardStop) {
        let mut kept = self.kept.lock();
        if kept.len() < KEPT {
            kept.push(stop.clone());
        }
    }
}

/// Takes note of a hard stop in the task with this root; the future has been dropped already.
///
/// # Panics
///
/// When hard stops are denied: that is what the switch is for.
pub(crate) fn record(root: Option<&Node>, reason: &impl fmt::Display) {
    tracing::debug!(task = ?root.and_then(Node::task), %reason, "cancel dropped a future parked in a foreign await");
    if GUARDS.load(Ordering::Acquire) == 0 {
        return;
    }
    let Some(run) = Run::try_current() else { return };
    let stops = run.hard_stops();
    stops.count.fetch_add(1, Ordering::AcqRel);
    let denied = stops.denied.load(Ordering::Acquire) > 0;
    let watched = stops.watched.load(Ordering::Acquire) > 0;
    if !denied && !watched {
        return;
    }
    let stop = HardStop { task: root.and_then(Node::task), reason: reason.to_string() };
    if watched {
        stops.keep(&stop);
    }
    // A panic on top of a panic would abort the process.
    assert!(
        !denied || std::thread::panicking(),
        "hard stop of {stop}; the await that it was parked in is foreign: append `.cancellable()` to it, or shield it"
    );
}
