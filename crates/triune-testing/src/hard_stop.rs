//! Hard stops: a cancel dropped a future that was parked in a foreign await, so its async clean-up did not run.
//!
//! They are sound, and sometimes meant. A team that wants graceful ends everywhere counts them, then denies them.

use std::sync::Arc;

use triune_scope::__testing::HardStops;

pub use triune_scope::__testing::HardStop;

/// Watches the hard stops of this run; ends when dropped. Made by [`watch_hard_stops`].
#[derive(Debug)]
#[must_use = "it watches until it is dropped"]
pub struct HardStopWatch {
    stops: Arc<HardStops>,
    before: usize,
}

/// Watches the hard stops of the run that the caller is in, with task and spawn location.
///
/// # Panics
///
/// Outside of a tokio runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::nursery;
/// use triune_testing::watch_hard_stops;
///
/// let watch = watch_hard_stops();
/// nursery(async |n| {
///     n.spawn_named("careless", async { std::future::pending::<triune_scope::Result>().await });
///     tokio::task::yield_now().await;
///     n.cancel("enough");
///     Ok(())
/// })
/// .await?;
/// assert_eq!(watch.count(), 1);
/// assert_eq!(watch.seen()[0].task().unwrap().name(), "careless");
/// # Ok(()) }
/// ```
#[track_caller]
pub fn watch_hard_stops() -> HardStopWatch {
    let stops = HardStops::current();
    stops.watch();
    let before = stops.count();
    HardStopWatch { stops, before }
}

impl HardStopWatch {
    /// How many there were since the watch began.
    #[must_use]
    pub fn count(&self) -> usize {
        self.stops.count() - self.before
    }

    /// The hard stops of this run since somebody watches, in their order; the first thousand.
    #[must_use]
    pub fn seen(&self) -> Vec<HardStop> {
        self.stops.seen()
    }
}

impl Drop for HardStopWatch {
    fn drop(&mut self) {
        self.stops.unwatch();
    }
}

/// Forbids hard stops in this run until it is dropped. Made by [`deny_hard_stop`].
#[derive(Debug)]
#[must_use = "hard stops are forbidden until it is dropped"]
pub struct DenyHardStop(Arc<HardStops>);

/// From now on, a task of this run that is ended by a hard stop panics: its future has been dropped, and the message
/// names the task, where it was spawned, and the remedy.
///
/// # Panics
///
/// Outside of a tokio runtime.
///
/// ```should_panic
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// let _denied = triune_testing::deny_hard_stop();
/// triune_scope::nursery(async |n| {
///     n.spawn(async { std::future::pending::<triune_scope::Result>().await });
///     tokio::task::yield_now().await;
///     n.cancel("enough");
///     Ok(())
/// })
/// .await
/// # }
/// ```
#[track_caller]
pub fn deny_hard_stop() -> DenyHardStop {
    let stops = HardStops::current();
    stops.deny();
    DenyHardStop(stops)
}

impl Drop for DenyHardStop {
    fn drop(&mut self) {
        self.0.allow();
    }
}
