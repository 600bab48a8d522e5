//! A hold: while somebody looks at a process that has been stopped, nobody is ended for being slow.
//!
//! The debugger takes one before it stops a process. Any number may be held at a time; the last one that goes lets the
//! timers go on, with what was left of their time.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

static HOLDS: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// Suspends every termination of a child of this process, for as long as the guard lives: graces do not run, and no step
/// of a [`Ladder`](crate::Ladder) is taken. `why` is logged.
///
/// What has been killed already stays so, and [`Process::kill`](crate::Process::kill) kills at once all the same.
///
/// ```
/// let hold = triune_process::hold("somebody looks at a stopped process");
/// assert!(triune_process::is_held());
/// drop(hold);
/// assert!(!triune_process::is_held());
/// ```
pub fn hold(why: &str) -> Hold {
    tracing::info!(why, "terminations are suspended");
    HOLDS.send_modify(|holds| *holds += 1);
    Hold { _private: () }
}

/// Whether a [`hold`] is in force in this process.
#[must_use]
pub fn is_held() -> bool {
    *HOLDS.borrow() > 0
}

/// Suspends terminations until it is dropped. See [`hold`].
///
/// ```
/// use triune_process::{hold, is_held};
///
/// let (one, other) = (hold("the first prompt"), hold("the second prompt"));
/// drop(one);
/// assert!(is_held(), "the other one is still there");
/// drop(other);
/// assert!(!is_held());
/// ```
#[derive(Debug)]
#[must_use = "the hold ends when this is dropped; bind it to a name"]
pub struct Hold {
    _private: (),
}

impl Drop for Hold {
    fn drop(&mut self) {
        HOLDS.send_modify(|holds| *holds -= 1);
        tracing::debug!("one hold less");
    }
}

/// Lasts for `grace`, not counting the time of holds, and never ends within one.
///
/// # Cancel safety
/// Dropping it loses nothing.
pub async fn grace(grace: Duration) {
    let mut holds = HOLDS.subscribe();
    let mut left = grace;
    loop {
        // The sender is static, so it does not go.
        drop(holds.wait_for(|holds| *holds == 0).await);
        if left.is_zero() {
            return;
        }
        let began = Instant::now();
        tokio::select! {
            () = sleep(left) => left = Duration::ZERO,
            _held = holds.wait_for(|holds| *holds > 0) => left = left.saturating_sub(began.elapsed()),
        }
    }
}
