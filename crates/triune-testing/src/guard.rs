//! The leak guard: a test ends as it began.
//!
//! Owns the lock that lets guarded tests of one process run one at a time, since they share its process table entry and
//! its descriptors.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use crate::descriptor::{guardian_sockets, open_descriptors};
use crate::process::{ProcessInfo, processes_of_tree};
use crate::wait::{eventually, wait_until};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Fails a test that leaves a process, a zombie or a descriptor behind.
///
/// Make one first thing in the test, and end the test with [`finish`](Self::finish), after the runtime is gone, or with
/// [`settle`](Self::settle), inside of it. A guard that is simply dropped does what `finish` does, unless the test is
/// panicking already.
///
/// Guarded tests of one process run one at a time. Every test of that process which starts processes or opens descriptors
/// for long should therefore be guarded, or its doings show up in those that are. The descriptors of runtimes themselves
/// (epoll, eventfd) are not counted, so a guard may be made inside of a runtime too; nor is the guardian, which belongs to
/// the process, and ends by itself.
///
/// ```
/// use triune_testing::LeakGuard;
///
/// let guard = LeakGuard::new();
/// let file = std::fs::File::open("/dev/null")?;
/// assert!(guard.check().is_err());
/// drop(file);
/// guard.finish();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a guard checks when it is dropped; bind it to a name for the length of the test"]
pub struct LeakGuard {
    processes: Vec<ProcessInfo>,
    descriptors: BTreeMap<u32, String>,
    deadline: Duration,
    finished: bool,
    _one_at_a_time: MutexGuard<'static, ()>,
}

impl LeakGuard {
    /// Notes what is there, after all other guarded tests of this process have ended.
    pub fn new() -> Self {
        // A test that failed under its guard has poisoned nothing that matters to the next.
        let lock = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        warm_up();
        Self {
            processes: processes_of_tree(),
            descriptors: open_descriptors(),
            deadline: Duration::from_secs(5),
            finished: false,
            _one_at_a_time: lock,
        }
    }

    /// How long [`finish`](Self::finish) and [`settle`](Self::settle) wait for what is still going away. 5 s by default.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What is there now and was not when the guard was made.
    ///
    /// # Errors
    /// If there is anything.
    pub fn check(&self) -> Result<(), Leak> {
        let known = |process: &ProcessInfo| {
            self.processes.iter().any(|before| (before.pid, before.start) == (process.pid, process.start))
        };
        let mut processes = processes_of_tree();
        processes.retain(|process| !known(process));
        // Before and after: the guardian may come or go just now.
        let mut plumbing = guardian_sockets();
        let mut descriptors = open_descriptors();
        plumbing.extend(guardian_sockets());
        descriptors.retain(|number, target| {
            !self.is_known_descriptor(*number, target) && !plumbing.contains(target)
        });
        if processes.is_empty() && descriptors.is_empty() {
            Ok(())
        } else {
            Err(Leak { processes, descriptors })
        }
    }

    fn is_known_descriptor(&self, number: u32, target: &str) -> bool {
        // A runtime's own. A test that waits for its turn inside of its runtime has these open meanwhile.
        let plumbing = ["anon_inode:[eventpoll]", "anon_inode:[eventfd]"].contains(&target);
        // A runtime holds a copy of the socket by which tokio's signal handler speaks; any copy shows as the same socket.
        let copy = target.starts_with("socket:") && self.descriptors.values().any(|known| known == target);
        plumbing || copy || self.descriptors.get(&number).is_some_and(|known| known == target)
    }

    /// Waits, blocking this thread, until nothing is left.
    ///
    /// # Panics
    /// If something is left at the deadline. The message lists it.
    pub fn finish(mut self) {
        self.finish_now();
    }

    /// Waits until nothing is left, while the tasks of this runtime go on, which may have some tidying to do.
    ///
    /// # Cancel safety
    /// Dropping the future drops the guard, which then checks as [`finish`](Self::finish) does.
    ///
    /// # Panics
    /// If something is left at the deadline. The message lists it. Also outside of a tokio runtime with time.
    pub async fn settle(mut self) {
        eventually(self.deadline, || self.check().is_ok()).await;
        self.verdict();
    }

    fn finish_now(&mut self) {
        wait_until(self.deadline, || self.check().is_ok());
        self.verdict();
    }

    fn verdict(&mut self) {
        self.finished = true;
        if let Err(leak) = self.check() {
            panic!("the test has leaked: {leak}");
        }
    }
}

impl Default for LeakGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for LeakGuard {
    fn drop(&mut self) {
        // A second panic would abort the whole test process and hide the first.
        if !self.finished && !std::thread::panicking() {
            self.finish_now();
        }
    }
}

/// What a test has left behind.
#[derive(Clone, Debug)]
pub struct Leak {
    processes: Vec<ProcessInfo>,
    descriptors: BTreeMap<u32, String>,
}

impl Leak {
    /// The processes of this tree that were not there before.
    #[must_use]
    pub fn processes(&self) -> &[ProcessInfo] {
        &self.processes
    }

    /// The descriptors that were not there before, with what they refer to.
    #[must_use]
    pub fn descriptors(&self) -> &BTreeMap<u32, String> {
        &self.descriptors
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} processes, {} descriptors", self.processes.len(), self.descriptors.len())?;
        self.processes.iter().try_for_each(|process| write!(f, "\n  {process}"))?;
        self.descriptors
            .iter()
            .try_for_each(|(number, target)| write!(f, "\n  descriptor {number}: {target}"))
    }
}

impl Error for Leak {}

/// The first runtime of a process opens a pair of sockets for signals that tokio keeps for ever; that is not the test's.
fn warm_up() {
    static DONE: Once = Once::new();
    // Inside of a runtime that pair is there already, and another runtime could not be dropped here.
    if tokio::runtime::Handle::try_current().is_ok() {
        return;
    }
    DONE.call_once(|| {
        // A system that refuses a runtime here will refuse the test's own, with a better message.
        let _refused_later = tokio::runtime::Builder::new_current_thread().enable_all().build();
    });
}
