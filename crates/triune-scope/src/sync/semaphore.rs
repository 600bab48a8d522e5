//! [`Semaphore`]: a number of permits.

use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;

use super::WouldBlock;
use super::queue::{Key, Queue};
use super::wait::{Source, Wait};
use crate::error::Cancelled;
use crate::lock::Mutex;

/// A number of permits that tasks take and give back. A clone is the same semaphore.
///
/// For a limit on concurrent use, [`CapacityLimiter`](super::CapacityLimiter) is better: it knows who borrowed what
/// and can be resized. A semaphore may also be released by who did not acquire, with [`release`](Self::release).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::sync::Semaphore;
///
/// let printers = Semaphore::new(2);
/// let first = printers.acquire().await?;
/// let _second = printers.acquire().await?;
/// assert!(printers.try_acquire().is_err(), "both are taken");
/// drop(first);
/// assert!(printers.try_acquire().is_ok());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Semaphore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    maximum: Option<usize>,
    state: Mutex<State>,
}

/// Nobody waits while there is a permit.
#[derive(Debug)]
struct State {
    permits: usize,
    queue: Queue<()>,
}

/// What is known of a [`Semaphore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SemaphoreStatistics {
    /// How many permits can be taken at once.
    pub permits: usize,
    /// How many tasks wait.
    pub waiting: usize,
}

impl Semaphore {
    /// A semaphore with so many permits.
    pub fn new(permits: usize) -> Self {
        Self::of(permits, None)
    }

    /// A semaphore that never has more than `maximum` permits.
    ///
    /// # Errors
    ///
    /// [`AboveMaximum`] if it would have more from the start.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use triune_scope::sync::Semaphore;
    ///
    /// let slots = Semaphore::bounded(1, 2).unwrap();
    /// slots.try_acquire().unwrap().forget();
    /// slots.release().unwrap();
    /// slots.release().unwrap();
    /// assert_eq!((slots.permits(), slots.maximum()), (2, Some(2)));
    /// assert!(slots.release().is_err(), "there cannot be more");
    /// # }
    /// ```
    pub fn bounded(permits: usize, maximum: usize) -> Result<Self, AboveMaximum> {
        if permits > maximum {
            return Err(AboveMaximum { maximum });
        }
        Ok(Self::of(permits, Some(maximum)))
    }

    fn of(permits: usize, maximum: Option<usize>) -> Self {
        Self(Arc::new(Inner { maximum, state: Mutex::new(State { permits, queue: Queue::new() }) }))
    }

    /// Waits for a permit.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; a permit that was handed to a dropped wait is handed on.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the scope around it is cancelled before there is a permit.
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<Permit, Cancelled>> {
        Wait::new(Location::caller(), Acquire(&self.0))
    }

    /// Takes a permit if there is one.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] if there is none.
    pub fn try_acquire(&self) -> Result<Permit, WouldBlock> {
        let mut state = self.0.state.lock();
        state.permits = state.permits.checked_sub(1).ok_or(WouldBlock)?;
        drop(state);
        Ok(Permit(Some(Arc::clone(&self.0))))
    }

    /// Adds a permit, or hands it to the first who waits. Not for what a [`Permit`] gives back by being dropped.
    ///
    /// # Errors
    ///
    /// [`AboveMaximum`] if there are as many permits as there may be.
    pub fn release(&self) -> Result<(), AboveMaximum> {
        self.0.release()
    }

    /// How many permits can be taken at once.
    pub fn permits(&self) -> usize {
        self.0.state.lock().permits
    }

    /// How many permits there may be, if that is limited.
    pub fn maximum(&self) -> Option<usize> {
        self.0.maximum
    }

    /// How many permits there are and how many tasks wait.
    pub fn statistics(&self) -> SemaphoreStatistics {
        let state = self.0.state.lock();
        SemaphoreStatistics { permits: state.permits, waiting: state.queue.waiting() }
    }
}

impl Inner {
    fn release(&self) -> Result<(), AboveMaximum> {
        let mut state = self.state.lock();
        if let Some(((), waker)) = state.queue.grant() {
            drop(state);
            waker.wake();
            return Ok(());
        }
        if let Some(maximum) = self.maximum
            && state.permits >= maximum
        {
            return Err(AboveMaximum { maximum });
        }
        state.permits += 1;
        Ok(())
    }
}

/// One permit of a [`Semaphore`]; given back when it is dropped.
#[derive(Debug)]
#[must_use = "the permit is given back at once when it is dropped"]
pub struct Permit(Option<Arc<Inner>>);

impl Permit {
    /// Keeps the permit for good: it is given back only by [`Semaphore::release`].
    pub fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(semaphore) = self.0.take() {
            // Above the maximum only if somebody released what this permit stands for; then it is back already.
            let _back_already = semaphore.release();
        }
    }
}

struct Acquire<'a>(&'a Arc<Inner>);

impl Acquire<'_> {
    fn permit(&self) -> Permit {
        Permit(Some(Arc::clone(self.0)))
    }
}

impl Source for Acquire<'_> {
    type Output = Permit;

    const NAME: &'static str = "Semaphore::acquire";

    fn begin(&mut self, waker: &Waker) -> Result<Permit, Key> {
        let mut state = self.0.state.lock();
        match state.permits.checked_sub(1) {
            Some(left) => state.permits = left,
            None => return Err(state.queue.push((), waker.clone())),
        }
        drop(state);
        Ok(self.permit())
    }

    fn take_granted(&mut self, key: Key, waker: &Waker) -> Result<Permit, Key> {
        let taken = self.0.state.lock().queue.take_granted(key, waker);
        taken.map(|_left| self.permit()).map_err(|(key, _old)| key)
    }

    fn withdraw(&mut self, key: Key) -> Option<Permit> {
        let left = self.0.state.lock().queue.remove(key);
        left.granted.then(|| self.permit())
    }
}

/// A semaphore would have more permits than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AboveMaximum {
    maximum: usize,
}

impl fmt::Display for AboveMaximum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the semaphore may have {} permits at most; release only what was acquired", self.maximum)
    }
}

impl StdError for AboveMaximum {}
