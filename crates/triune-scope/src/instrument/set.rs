//! The instruments of one run.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use super::hooks::{Instrument, Interest};
use crate::cancel::node::Node;
use crate::error::PanicError;
use crate::lock::Mutex;
use crate::run::Run;
use crate::task::TaskId;

/// An instrument was to be removed that the run does not have: it was never added, was removed before, or one of its hooks
/// panicked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotInstalled;

impl fmt::Display for NotInstalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the run does not have this instrument; remove it once, after it was added")
    }
}

impl StdError for NotInstalled {}

/// How many instruments the runs of this process have.
///
/// Relaxed: an instrument that is added sees some poll as its first one, whichever that is.
static INSTALLED: AtomicUsize = AtomicUsize::new(0);

/// The runs that have, or had, instruments, by the nodes above their tasks.
static OBSERVED: Mutex<Vec<Observed>> = Mutex::new(Vec::new());

struct Observed {
    roots: [Weak<Node>; 2],
    instruments: Weak<Instruments>,
}

/// Whether any run has an instrument: all that a hook costs where none has.
pub(crate) fn is_wanted() -> bool {
    INSTALLED.load(Ordering::Relaxed) != 0
}

#[derive(Default)]
pub(crate) struct Instruments {
    installed: Mutex<Arc<Vec<Installed>>>,
    /// The living tasks, as far as their begin or a poll was seen; whether they were told to be scheduled since their last
    /// poll. A waker may wake a task that is no more.
    scheduled: Mutex<HashMap<TaskId, bool>>,
}

#[derive(Clone)]
struct Installed {
    instrument: Arc<dyn Instrument>,
    interest: Interest,
}

impl Installed {
    fn is(&self, instrument: &Arc<dyn Instrument>) -> bool {
        Arc::ptr_eq(&self.instrument, instrument)
    }
}

impl Instruments {
    /// Those that look at the task with this root, if its run has any.
    #[cold]
    pub(super) fn of(root: &Arc<Node>) -> Option<Arc<Self>> {
        let mut top = Arc::clone(root);
        while let Some(above) = top.parent() {
            top = above;
        }
        let is_top = |node: &Weak<Node>| std::ptr::eq(node.as_ptr(), Arc::as_ptr(&top));
        let found = OBSERVED
            .lock()
            .iter()
            .find(|observed| observed.roots.iter().any(is_top))
            .and_then(|observed| observed.instruments.upgrade());
        // The children of a dropped nursery hang from nothing; they run in their runtime still.
        found.or_else(|| Run::try_current().map(|run| Arc::clone(run.instruments())))
    }

    /// Whether somebody wants this hook.
    pub(super) fn want(&self, hook: Interest) -> bool {
        self.installed.lock().iter().any(|installed| installed.interest.meets(hook))
    }

    /// Calls a hook of everybody who is interested.
    pub(crate) fn call(&self, hook: Interest, call: impl Fn(&dyn Instrument)) {
        let installed = Arc::clone(&self.installed.lock());
        for Installed { instrument, interest } in &*installed {
            if !interest.meets(hook) {
                continue;
            }
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| call(&**instrument))) {
                let panic = PanicError::caught(payload);
                tracing::error!(%panic, "an instrument panicked and is removed; the run goes on");
                // Another thread may have been faster.
                let _gone = self.remove(instrument);
            }
        }
    }

    /// A task is new, or is polled.
    pub(super) fn unschedule(&self, task: TaskId) {
        self.scheduled.lock().insert(task, false);
    }

    /// A task is scheduled; whether that is news.
    pub(super) fn schedule(&self, task: TaskId) -> bool {
        self.scheduled.lock().get_mut(&task).is_some_and(|scheduled| !std::mem::replace(scheduled, true))
    }

    /// A task has ended.
    pub(super) fn forget(&self, task: TaskId) {
        self.scheduled.lock().remove(&task);
    }

    fn add(&self, instrument: Arc<dyn Instrument>, interest: Interest) {
        let mut installed = self.installed.lock();
        if installed.iter().any(|other| other.is(&instrument)) {
            drop(installed);
            return;
        }
        let mut more = Vec::clone(&installed);
        more.push(Installed { instrument, interest });
        let old = std::mem::replace(&mut *installed, Arc::new(more));
        INSTALLED.fetch_add(1, Ordering::Relaxed);
        drop(installed);
        drop(old);
    }

    fn remove(&self, instrument: &Arc<dyn Instrument>) -> Result<(), NotInstalled> {
        let mut installed = self.installed.lock();
        let left: Vec<Installed> = installed.iter().filter(|other| !other.is(instrument)).cloned().collect();
        if left.len() == installed.len() {
            drop(installed);
            return Err(NotInstalled);
        }
        let old = std::mem::replace(&mut *installed, Arc::new(left));
        INSTALLED.fetch_sub(1, Ordering::Relaxed);
        drop(installed);
        drop(old);
        Ok(())
    }
}

impl Drop for Instruments {
    fn drop(&mut self) {
        INSTALLED.fetch_sub(self.installed.lock().len(), Ordering::Relaxed);
    }
}

impl Run {
    /// Has `instrument` told what the tasks of this run do, from now on. Again does nothing.
    ///
    /// What was added before [`main`](Self::main) hears of the run's start; under `#[triune::main]` that is over when the
    /// first line of the program runs.
    pub fn add_instrument(&self, instrument: Arc<dyn Instrument>) {
        let observed =
            Observed { roots: self.roots_weakly(), instruments: Arc::downgrade(self.instruments()) };
        let is_this = |other: &Weak<Instruments>| other.ptr_eq(&observed.instruments);
        let mut all = OBSERVED.lock();
        all.retain(|other| other.instruments.strong_count() > 0);
        if !all.iter().any(|other| is_this(&other.instruments)) {
            all.push(observed);
        }
        drop(all);
        // Code of the user's, so under no lock.
        let interest = instrument.interest();
        self.instruments().add(instrument, interest);
    }

    /// Tells `instrument` no more. A hook that is running on another thread may still end afterwards.
    ///
    /// # Errors
    ///
    /// [`NotInstalled`] if this run does not have it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::sync::Arc;
    /// use triune_scope::{Instrument, Run};
    ///
    /// struct Quiet;
    /// impl Instrument for Quiet {}
    ///
    /// let (run, quiet) = (Run::current(), Arc::new(Quiet) as Arc<dyn Instrument>);
    /// run.add_instrument(Arc::clone(&quiet));
    /// assert!(run.remove_instrument(&quiet).is_ok());
    /// assert!(run.remove_instrument(&quiet).is_err(), "it is gone");
    /// # }
    /// ```
    pub fn remove_instrument(&self, instrument: &Arc<dyn Instrument>) -> Result<(), NotInstalled> {
        self.instruments().remove(instrument)
    }
}
