//! Virtual time: tokio's paused clock, by the names that a test wants.

use std::time::Duration;

use tokio::time::Instant;

/// Virtual time for a test: it stands still while anything runs, and jumps to the next timer when everything waits.
///
/// It is tokio's paused clock, so every sleep, timeout and deadline of triune and of tokio goes by it; hours pass in no time.
/// `#[tokio::test(start_paused = true)]` starts the same clock before the test, and times are exact; [`VirtualClock::running`]
/// reads it then. After [`VirtualClock::start`] within a test, timers fire up to a millisecond late, because tokio counts whole
/// milliseconds since the runtime was made.
///
/// Compared to Trio's `MockClock`:
///
/// * it always jumps (`autojump_threshold` 0) as soon as every task is blocked. [`settle`](crate::settle)
///   comes first, then the jump;
/// * it does not jump while a closure runs on a thread ([`blocking::run`](triune_scope::blocking::run), tokio's
///   `spawn_blocking`): a deadline cannot pass a thread that works. It does not jump either while such a closure waits in
///   `block_on`; there, [`jump`](Self::jump) by hand;
/// * it has no `rate`, and it belongs to the runtime: there is no second clock that could disturb it;
/// * it needs a current-thread runtime, and has the resolution of tokio's timers, a millisecond;
/// * `std::time::Instant` and other processes go by the real clock.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use std::time::Duration;
/// use triune_scope::sleep;
/// use triune_testing::VirtualClock;
///
/// let clock = VirtualClock::start();
/// sleep(Duration::from_secs(3600)).await?;
/// assert_eq!(clock.elapsed().as_secs(), 3600);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct VirtualClock {
    start: Instant,
}

impl VirtualClock {
    /// Stops the real clock and starts the virtual one.
    ///
    /// # Panics
    ///
    /// On a multi-thread runtime, outside of a runtime, and where time is virtual already.
    #[must_use = "the clock is read through the handle"]
    #[track_caller]
    pub fn start() -> Self {
        tokio::time::pause();
        Self::running()
    }

    /// Reads the clock that a `start_paused` runtime has started; its zero is now.
    #[must_use]
    pub fn running() -> Self {
        Self { start: Instant::now() }
    }

    /// The virtual time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Moves the time by hand. What was due meanwhile becomes ready, and runs when the caller waits.
    ///
    /// # Cancel safety
    ///
    /// The time has moved at the first poll.
    pub async fn jump(&self, by: Duration) {
        tokio::time::advance(by).await;
    }
}
