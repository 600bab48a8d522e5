//! Waiting until every task is blocked.

use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor, RuntimeMetrics};
use triune_scope::sync::CapacityLimiter;
use triune_scope::{Cancelled, blocking};

/// How often the observer looks before it rests between two looks.
const EAGER_LOOKS: u32 = 200;

/// How long it rests then.
const REST: Duration = Duration::from_micros(50);

/// How many looks in a row must find the same on a runtime with several threads.
const SAME_LOOKS: u32 = 20;

/// Returns when every task of this runtime is blocked: nothing runs, and nothing is ready to run.
///
/// It replaces the sleep that a test uses to let the others get as far as they can. While somebody settles, a
/// paused clock stands still, so it returns before time moves, also if the only thing that anybody waits for is a timer.
/// Threads and processes are not looked at: a task that waits for them is blocked.
///
/// On a current-thread runtime the answer is exact. On a multi-thread runtime it is a good guess: all worker threads
/// have been parked for a while; what the thread of `block_on` does besides cannot be seen.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Errors
///
/// [`Cancelled`] if the scope around it is cancelled.
///
/// # Panics
///
/// Outside of a tokio runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use std::cell::Cell;
/// use triune_testing::settle;
///
/// let steps = Cell::new(0);
/// let worker = async {
///     for _ in 0..10 {
///         tokio::task::yield_now().await;
///         steps.set(steps.get() + 1);
///     }
///     std::future::pending::<()>().await;
/// };
/// tokio::select! {
///     () = worker => {}
///     settled = settle() => settled?,
/// }
/// assert_eq!(steps.get(), 10);
/// # Ok(()) }
/// ```
pub async fn settle() -> Result<(), Cancelled> {
    settle_for(Duration::ZERO).await
}

/// As [`settle`], but returns only when every task has been blocked for `cushion` on end, in real time: for tests in which
/// something from outside of the runtime (a thread, a socket, a process) still has to come in.
///
/// A paused clock stands still meanwhile.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Errors
///
/// [`Cancelled`] if the scope around it is cancelled.
///
/// # Panics
///
/// Outside of a tokio runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use std::time::{Duration, Instant};
/// use triune_testing::settle_for;
///
/// let start = Instant::now();
/// settle_for(Duration::from_millis(5)).await?;
/// assert!(start.elapsed() >= Duration::from_millis(5));
/// # Ok(()) }
/// ```
pub async fn settle_for(cushion: Duration) -> Result<(), Cancelled> {
    let runtime = Handle::current();
    let exact = runtime.runtime_flavor() == RuntimeFlavor::CurrentThread;
    let metrics = runtime.metrics();
    // Tokio's clock does not jump while a job is on a thread of its pool, and that is where the observer is.
    let observer = blocking::run(move |scope| {
        let mut looks = 0_u32;
        let mut same = 0;
        let mut last = None;
        let mut since = Instant::now();
        loop {
            scope.check_cancelled()?;
            let parked = parked(&metrics);
            if parked.is_some() && parked == last {
                same += 1;
            } else {
                (same, since) = (0, Instant::now());
            }
            if parked.is_some() && (exact || same >= SAME_LOOKS) && since.elapsed() >= cushion {
                return Ok(());
            }
            last = parked;
            looks = looks.saturating_add(1);
            if looks < EAGER_LOOKS && exact {
                std::thread::yield_now();
            } else {
                std::thread::park_timeout(REST);
            }
        }
    });
    // A limiter of its own: a test may fill the default one.
    let end = observer.limiter(&CapacityLimiter::new(1)).await;
    match end {
        Ok(()) => Ok(()),
        Err(error) => match error.downcast::<Cancelled>() {
            Ok(cancelled) => Err(cancelled),
            Err(error) => panic!("the runtime cannot be observed: {error:#}"),
        },
    }
}

/// How often the threads have parked so far, if all of them are parked and no task is queued.
fn parked(metrics: &RuntimeMetrics) -> Option<u64> {
    // The count is odd while a thread is parked. A current-thread runtime parks only when it has nothing else to do:
    // looking at timers and I/O in passing does not count.
    let counts = (0..metrics.num_workers()).map(|worker| metrics.worker_park_unpark_count(worker));
    let sum = counts.map(|count| (count % 2 == 1).then_some(count)).sum::<Option<u64>>()?;
    (metrics.global_queue_depth() == 0).then_some(sum)
}
