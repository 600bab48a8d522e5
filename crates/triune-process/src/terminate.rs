//! The termination ladder: one policy for the end of every child that does not end by itself.

use std::time::Duration;

use crate::exit::Exit;
use crate::hold;
use crate::process::Process;

/// How long a child may take on each step of its way out.
///
/// The steps: what the caller said over the link, `cancel_grace`, SIGTERM to the group, `term_grace`, SIGKILL, reap, sweep.
/// Each is logged, with the reason for the end. A [`hold`](crate::hold()) suspends all of them.
///
/// ```
/// use std::time::Duration;
/// use triune_process::Ladder;
///
/// let patient = Ladder::new(Duration::from_secs(5), Duration::from_secs(1));
/// assert!(patient.cancel_grace > Ladder::default().cancel_grace);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ladder {
    /// From the caller's cancel message to SIGTERM. 500 ms by default.
    pub cancel_grace: Duration,
    /// From SIGTERM to SIGKILL. 200 ms by default.
    pub term_grace: Duration,
}

impl Ladder {
    /// A ladder with these two graces.
    #[must_use]
    pub const fn new(cancel_grace: Duration, term_grace: Duration) -> Self {
        Self { cancel_grace, term_grace }
    }
}

impl Default for Ladder {
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_millis(200))
    }
}

impl Process {
    /// Ends the process, step by step, reaps it, and waits until nothing is left beneath it: see [`Ladder`]. `why` is
    /// logged with every step.
    ///
    /// The caller has told the child to end, over the link, before. Call it inside of a shield: its waits are tokio's, so
    /// a cancel of the calling task does not end them early otherwise.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the process on the step that it had reached; its handle still owns it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use triune_process::{Boot, Ladder, ROLES, Role, Signal, Spec, spawn};
    ///
    /// #[linkme::distributed_slice(ROLES)]
    /// static DEAF: Role = Role { name: "deaf", main: |_boot: Boot| loop { std::thread::park() } };
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (process, _link) = spawn(Spec::new("deaf", "deaf")).await?;
    /// // It does not listen to its link, but a SIGTERM is enough for it.
    /// let ladder = Ladder::new(Duration::from_millis(10), Duration::from_secs(10));
    /// let exit = process.terminate(&ladder, "the example is over").await;
    /// assert_eq!(exit.signal(), Some(Signal::TERM.number()));
    /// # Ok(()) })
    /// # }
    /// ```
    pub async fn terminate(&self, ladder: &Ladder, why: &str) -> Exit {
        let (pid, name) = (self.pid(), self.name());
        let Ladder { cancel_grace, term_grace } = *ladder;
        tracing::debug!(pid, name, why, grace = ?cancel_grace, "waiting for the child to end");
        if self.ends_within(cancel_grace).await {
            return self.wait_gone().await;
        }
        tracing::info!(pid, name, why, grace = ?cancel_grace, "child did not end within its grace; sending SIGTERM");
        self.request_end();
        if self.ends_within(term_grace).await {
            return self.wait_gone().await;
        }
        tracing::warn!(pid, name, why, grace = ?term_grace, "child did not end on SIGTERM; sending SIGKILL");
        self.kill();
        let exit = self.wait_gone().await;
        tracing::debug!(pid, name, why, %exit, "child is reaped, and nothing is left of it");
        exit
    }

    async fn ends_within(&self, grace: Duration) -> bool {
        tokio::select! {
            biased;
            _exit = self.wait() => true,
            () = hold::grace(grace) => self.try_exit().is_some(),
        }
    }
}
