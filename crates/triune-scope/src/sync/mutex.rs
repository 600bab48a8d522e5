//! [`Mutex`]: data that one task at a time may change, also across awaits.
//!
//! # Invariants
//!
//! 1. Who holds the lock is decided by `Core`; the cell beneath is free whenever `Core` gives the lock away, because
//!    a guard frees the cell first.
//! 2. A lock that somebody waits for never becomes free: it is handed to the first in the queue.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::task::Waker;

use super::WouldBlock;
use super::queue::{Key, Queue};
use super::wait::{Source, Wait};
use crate::error::Cancelled;
use crate::task::{TaskId, current_task_id};

/// Data that one task at a time may change, also across awaits. First come, first served.
///
/// It is not poisoned by a panic: a panic ends the nursery, and with it whoever could see the data, unless the data
/// outlive the nursery. A task that ends frees its locks, because its guards are dropped; only a guard that is leaked
/// on purpose keeps the lock for ever.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::sync::Mutex;
///
/// let names = Mutex::new(vec!["a"]);
/// names.lock().await?.push("b");
/// assert_eq!(names.into_inner(), ["a", "b"]);
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct Mutex<T> {
    pub(super) core: Core,
    /// tokio's, because its guard may cross threads. Nobody ever waits for it.
    cell: tokio::sync::Mutex<T>,
}

/// Who holds the lock, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Core(crate::lock::Mutex<State>);

#[derive(Debug)]
struct State {
    held: Option<Holder>,
    /// With the number of the task that waits.
    queue: Queue<Holder>,
}

/// The task that holds or wants the lock, where it has a number.
pub(super) type Holder = Option<TaskId>;

impl Default for State {
    fn default() -> Self {
        Self { held: None, queue: Queue::new() }
    }
}

/// What is known of a [`Mutex`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MutexStatistics {
    /// Whether somebody holds the lock.
    pub locked: bool,
    /// The task that holds it; `None` also if it is held from outside of every nursery.
    pub owner: Option<TaskId>,
    /// How many tasks wait.
    pub waiting: usize,
}

impl<T> Mutex<T> {
    /// A free lock around a value.
    pub fn new(value: T) -> Self {
        Self { core: Core::default(), cell: tokio::sync::Mutex::new(value) }
    }

    /// Waits for the lock.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; a lock that was handed to a dropped wait is handed on.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the scope around it is cancelled before the lock is free.
    #[track_caller]
    pub fn lock(&self) -> impl Future<Output = Result<MutexGuard<'_, T>, Cancelled>> {
        Wait::new(Location::caller(), Lock(self))
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] if it is held.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use triune_scope::sync::Mutex;
    ///
    /// let mut count = Mutex::new(0);
    /// let held = count.lock().await?;
    /// assert!(count.try_lock().is_err() && count.statistics().locked);
    /// drop(held);
    /// *count.try_lock().unwrap() += 1;
    /// *count.get_mut() += 1;
    /// assert_eq!(count.into_inner(), 2);
    /// # Ok(()) }
    /// ```
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, WouldBlock> {
        let mut state = self.core.0.lock();
        if state.held.is_some() {
            return Err(WouldBlock);
        }
        state.held = Some(holder());
        drop(state);
        Ok(MutexGuard::new(self))
    }

    /// The value, without locking: nobody else can have it.
    pub fn get_mut(&mut self) -> &mut T {
        self.cell.get_mut()
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.cell.into_inner()
    }

    /// Who holds the lock and how many tasks wait.
    pub fn statistics(&self) -> MutexStatistics {
        let state = self.core.0.lock();
        MutexStatistics {
            locked: state.held.is_some(),
            owner: state.held.flatten(),
            waiting: state.queue.waiting(),
        }
    }
}

impl Core {
    /// Queues for somebody else. If the lock is free, it is handed over, and `woken` is to be woken.
    pub(super) fn queue(&self, holder: Holder, waker: Waker, woken: &mut Option<Waker>) -> Key {
        let mut state = self.0.lock();
        let key = state.queue.push(holder, waker);
        if state.held.is_none() {
            state.held = Some(holder);
            *woken = state.queue.grant().map(|(_holder, waker)| waker);
        }
        key
    }

    fn unlock(&self) {
        let mut state = self.0.lock();
        let next = state.queue.grant().map(|(holder, waker)| (*holder, waker));
        state.held = next.as_ref().map(|(holder, _)| *holder);
        drop(state);
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }
}

/// The task that runs now, as the holder of a lock.
pub(super) fn holder() -> Holder {
    current_task_id().map(TaskId)
}

/// The right to the data of a [`Mutex`]; dropping it hands the lock on.
#[must_use = "the lock is handed on at once when the guard is dropped"]
pub struct MutexGuard<'a, T> {
    pub(super) mutex: &'a Mutex<T>,
    /// `None` only while it is dropped.
    cell: Option<tokio::sync::MutexGuard<'a, T>>,
}

impl<'a, T> MutexGuard<'a, T> {
    /// For whom `Core` has given the lock to.
    fn new(mutex: &'a Mutex<T>) -> Self {
        let cell = mutex.cell.try_lock().expect("the cell is free for the holder of the lock");
        Self { mutex, cell: Some(cell) }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.cell.as_ref().expect("a guard has its cell until it is dropped")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.cell.as_mut().expect("a guard has its cell until it is dropped")
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.cell = None;
        self.mutex.core.unlock();
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// The wait for a lock.
pub(super) struct Lock<'a, T>(pub(super) &'a Mutex<T>);

impl<'a, T> Source for Lock<'a, T> {
    type Output = MutexGuard<'a, T>;

    const NAME: &'static str = "Mutex::lock";

    fn begin(&mut self, waker: &Waker) -> Result<Self::Output, Key> {
        let holder = holder();
        let mut state = self.0.core.0.lock();
        if state.held.is_some() {
            return Err(state.queue.push(holder, waker.clone()));
        }
        state.held = Some(holder);
        drop(state);
        Ok(MutexGuard::new(self.0))
    }

    fn take_granted(&mut self, key: Key, waker: &Waker) -> Result<Self::Output, Key> {
        let taken = self.0.core.0.lock().queue.take_granted(key, waker);
        taken.map(|_left| MutexGuard::new(self.0)).map_err(|(key, _old)| key)
    }

    fn withdraw(&mut self, key: Key) -> Option<Self::Output> {
        let left = self.0.core.0.lock().queue.remove(key);
        left.granted.then(|| MutexGuard::new(self.0))
    }
}
