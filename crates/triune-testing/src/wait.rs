//! Waiting for something to become true, with a deadline.
//!
//! The end of a process that is not our child is no event that we could wait for, so these look again and again. They
//! return as soon as it is true, and fail when the deadline passes; no test depends on how long a look takes.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use crate::process::ProcessInfo;

/// How long to rest between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// The processes that [`wait_gone`] waited for in vain.
#[derive(Clone, Debug)]
pub struct StillThere {
    processes: Vec<ProcessInfo>,
    deadline: Duration,
}

impl StillThere {
    /// The processes, as they were at the deadline.
    #[must_use]
    pub fn processes(&self) -> &[ProcessInfo] {
        &self.processes
    }
}

impl fmt::Display for StillThere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "still there after {:?}", self.deadline)?;
        self.processes.iter().try_for_each(|process| write!(f, "\n  {process}"))
    }
}

impl Error for StillThere {}

/// Blocks until `condition` holds; false if it does not within `deadline`.
pub fn wait_until(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() >= deadline {
            return false;
        }
        std::thread::park_timeout(PAUSE);
    }
}

/// Waits until `condition` holds, while the tasks of this runtime go on; false if it does not within `deadline`.
///
/// The deadline is one of the real clock, also where the runtime's is paused.
///
/// # Cancel safety
/// Dropping the future stops the looking.
///
/// # Panics
/// Outside of a tokio runtime with time.
pub async fn eventually(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() >= deadline {
            return false;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Blocks until all of `processes` are gone. A zombie counts as there only if this process has to reap it.
///
/// # Errors
/// If some are still there when `deadline` has passed.
///
/// ```
/// use std::time::Duration;
/// use triune_testing::{ProcessInfo, wait_gone};
///
/// let own = ProcessInfo::of(std::process::id()).expect("this process runs");
/// let error = wait_gone(&[own], Duration::ZERO).expect_err("and goes on");
/// assert_eq!(error.processes().len(), 1);
/// ```
pub fn wait_gone(processes: &[ProcessInfo], deadline: Duration) -> Result<(), StillThere> {
    let mut left = processes.to_vec();
    if wait_until(deadline, || {
        left = left.iter().filter_map(ProcessInfo::now).collect();
        left.is_empty()
    }) {
        Ok(())
    } else {
        Err(StillThere { processes: left, deadline })
    }
}
