//! [`Event`]: something that happens once.

use crate::lock::atomic::{AtomicBool, Ordering};
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;

use super::queue::{Key, Queue};
use super::wait::{Source, Wait};
use crate::error::Cancelled;
use crate::lock::Mutex;

/// Something that happens once, and for which tasks can wait. A clone is the same event.
///
/// There is no way back: for the next round, make a new event.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::{nursery, sync::Event};
///
/// let ready = Event::new();
/// nursery(async |n| {
///     n.spawn(async { Ok(ready.wait().await?) });
///     ready.set();
///     Ok(())
/// })
/// .await
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Event(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Set under the lock of the queue, so that nobody queues after the queue was emptied.
    set: AtomicBool,
    queue: Mutex<Queue<()>>,
}

impl Default for Inner {
    fn default() -> Self {
        Self { set: AtomicBool::new(false), queue: Mutex::new(Queue::new()) }
    }
}

/// What is known of an [`Event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventStatistics {
    /// How many tasks wait.
    pub waiting: usize,
}

impl Event {
    /// An event that has not happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the event happen: everybody who waits goes on, and nobody waits any more. Setting it again does nothing.
    pub fn set(&self) {
        let wakers = {
            let mut queue = self.0.queue.lock();
            self.0.set.store(true, Ordering::Release);
            queue.grant_where(|()| true)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether the event has happened.
    pub fn is_set(&self) -> bool {
        self.0.set.load(Ordering::Acquire)
    }

    /// Waits until the event has happened.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the scope around it is cancelled before the event happens.
    #[track_caller]
    pub fn wait(&self) -> impl Future<Output = Result<(), Cancelled>> {
        Wait::new(Location::caller(), Happens(&self.0))
    }

    /// How many tasks wait.
    pub fn statistics(&self) -> EventStatistics {
        EventStatistics { waiting: self.0.queue.lock().waiting() }
    }
}

struct Happens<'a>(&'a Inner);

impl Source for Happens<'_> {
    type Output = ();

    const NAME: &'static str = "Event::wait";

    fn begin(&mut self, waker: &Waker) -> Result<(), Key> {
        if self.0.set.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut queue = self.0.queue.lock();
        if self.0.set.load(Ordering::Acquire) { Ok(()) } else { Err(queue.push((), waker.clone())) }
    }

    fn take_granted(&mut self, key: Key, waker: &Waker) -> Result<(), Key> {
        let taken = self.0.queue.lock().take_granted(key, waker);
        taken.map(drop).map_err(|(key, _old)| key)
    }

    fn withdraw(&mut self, key: Key) -> Option<()> {
        let left = self.0.queue.lock().remove(key);
        left.granted.then_some(())
    }
}
