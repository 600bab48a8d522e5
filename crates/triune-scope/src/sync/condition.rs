//! [`Condition`]: waiting, without the lock, for a change of what a [`Mutex`] protects.
//!
//! # Invariants
//!
//! 1. Whoever notifies holds the lock. A notified waiter moves from the condition's queue to the end of the lock's
//!    queue and is woken when it has the lock.
//! 2. Whatever ends a wait, the lock is held again before the wait returns; that part is shielded, in a cancelled scope for as
//!    long as a clean-up. If nobody lets go of the lock by then, the wait does not return: the cancel drops it.
//! 3. Locks are taken condition before mutex.

use std::panic::Location;
use std::task::Waker;

use super::mutex::{Core, Holder, Lock, Mutex, MutexGuard, holder};
use super::queue::{Key, Queue};
use super::wait::{Source, Uncancellable, Wait};
use crate::cancel::shield_patiently;
use crate::error::Cancelled;

/// Tasks that wait for a change of what a [`Mutex`] protects. First come, first served.
///
/// Only who holds the lock can wait or notify: both take the guard.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::nursery;
/// use triune_scope::sync::{Condition, Mutex};
///
/// let queue = Mutex::new(Vec::new());
/// let changed = Condition::new();
/// nursery(async |n| {
///     let taken = n.spawn(async {
///         let mut items = changed.wait_while(queue.lock().await?, |items| items.is_empty()).await?;
///         Ok(items.pop())
///     });
///     let mut items = queue.lock().await?;
///     items.push(7);
///     changed.notify_one(&items);
///     drop(items);
///     assert_eq!(taken.await?, Some(7));
///     Ok(())
/// })
/// .await
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Condition(crate::lock::Mutex<State>);

#[derive(Debug)]
struct State {
    /// The address of the mutex whose holders wait; it means nothing while nobody waits.
    mutex: usize,
    queue: Queue<Waiting>,
}

impl Default for State {
    fn default() -> Self {
        Self { mutex: 0, queue: Queue::new() }
    }
}

#[derive(Debug)]
struct Waiting {
    holder: Holder,
    /// The place in the lock's queue, once it is notified.
    moved: Option<Key>,
}

/// What is known of a [`Condition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConditionStatistics {
    /// How many tasks wait to be notified. Those that were, wait for the lock and are counted there.
    pub waiting: usize,
}

impl Condition {
    /// A condition that nobody waits for.
    pub fn new() -> Self {
        Self::default()
    }

    /// Frees the lock, waits to be notified, and takes the lock again.
    ///
    /// The guard always comes back, so that a cancelled task can bring the data in order. Use it in a loop that
    /// looks at the data, or use [`wait_while`](Self::wait_while). Only if nobody lets go of the lock within 10 seconds of a
    /// cancel does it not return: then the cancel drops the task where it waits, as in a foreign await.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives up the lock. A notification that had been given to it goes to the next who waits.
    ///
    /// # Errors
    ///
    /// The second value is [`Cancelled`] if the scope around it is cancelled before a notification came.
    ///
    /// # Panics
    ///
    /// If others wait for this condition with another mutex.
    #[track_caller]
    pub fn wait<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> impl Future<Output = (MutexGuard<'a, T>, Result<(), Cancelled>)> {
        self.wait_at(Location::caller(), guard)
    }

    /// # Cancel safety
    ///
    /// As that of [`wait`](Self::wait).
    async fn wait_at<'a, T>(
        &self,
        location: &'static Location<'static>,
        guard: MutexGuard<'a, T>,
    ) -> (MutexGuard<'a, T>, Result<(), Cancelled>) {
        let mutex = guard.mutex;
        let mut wait = Wait::new(location, Notified { condition: self, mutex, guard: Some(guard) });
        match (&mut wait).await {
            Ok(key) => {
                let relock = Relock { condition: self, lock: Lock(mutex) };
                let guard = shield_patiently(Uncancellable::queued(relock, key)).await;
                (guard, Ok(()))
            }
            Err(cancelled) => {
                let guard = match wait.source.guard.take() {
                    Some(guard) => guard,
                    None => shield_patiently(Uncancellable::new(Lock(mutex))).await,
                };
                (guard, Err(cancelled))
            }
        }
    }

    /// Waits, without the lock, until `blocked` is false of the data; looks at once, and after each notification.
    ///
    /// # Cancel safety
    ///
    /// As that of [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the scope around it is cancelled while it waits; the lock is free then.
    ///
    /// # Panics
    ///
    /// If others wait for this condition with another mutex.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use triune_scope::nursery;
    /// use triune_scope::sync::{Condition, Mutex};
    ///
    /// let (stock, delivered) = (Mutex::new(0), Condition::new());
    /// nursery(async |n| {
    ///     let taken = n.spawn(async {
    ///         let mut stock = delivered.wait_while(stock.lock().await?, |stock| *stock < 3).await?;
    ///         *stock -= 3;
    ///         Ok(*stock)
    ///     });
    ///     for _ in 0..4 {
    ///         let mut stock = stock.lock().await?;
    ///         *stock += 1;
    ///         delivered.notify_one(&stock);
    ///     }
    ///     assert_eq!(taken.await?, 1);
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub async fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut blocked: impl FnMut(&mut T) -> bool,
    ) -> Result<MutexGuard<'a, T>, Cancelled> {
        while blocked(&mut guard) {
            let waited;
            (guard, waited) = self.wait(guard).await;
            waited?;
        }
        Ok(guard)
    }

    /// Notifies the first who waits. It goes on when it gets the lock.
    ///
    /// # Panics
    ///
    /// If others wait for this condition with another mutex.
    pub fn notify_one<T>(&self, guard: &MutexGuard<'_, T>) {
        self.notify(guard, 1);
    }

    /// Notifies the first `count` who wait.
    ///
    /// # Panics
    ///
    /// If others wait for this condition with another mutex.
    pub fn notify<T>(&self, guard: &MutexGuard<'_, T>, count: usize) {
        let core = &guard.mutex.core;
        let mut state = self.0.lock();
        let fits = state.fits(core);
        if fits {
            for _ in 0..count {
                if !state.move_first(core, &mut None) {
                    break;
                }
            }
        }
        drop(state);
        assert!(fits, "{OTHER_MUTEX}");
    }

    /// Notifies everybody who waits.
    ///
    /// # Panics
    ///
    /// If others wait for this condition with another mutex.
    pub fn notify_all<T>(&self, guard: &MutexGuard<'_, T>) {
        self.notify(guard, usize::MAX);
    }

    /// How many tasks wait to be notified.
    pub fn statistics(&self) -> ConditionStatistics {
        ConditionStatistics { waiting: self.0.lock().queue.waiting() }
    }
}

const OTHER_MUTEX: &str =
    "others wait for this condition with another mutex; use one condition with one mutex";

impl State {
    /// Whether those who wait, if any, wait with this mutex.
    fn fits(&self, core: &Core) -> bool {
        self.queue.waiting() == 0 || self.mutex == std::ptr::from_ref(core).addr()
    }

    /// Moves the first who waits to the lock's queue; `waker` is to be woken if the lock was free.
    fn move_first(&mut self, core: &Core, waker: &mut Option<Waker>) -> bool {
        let Some((waiting, its_waker)) = self.queue.grant() else { return false };
        waiting.moved = Some(core.queue(waiting.holder, its_waker, waker));
        true
    }
}

/// The wait for the lock after a notification. Dropped, it hands on both.
struct Relock<'a, 'c, T> {
    condition: &'c Condition,
    lock: Lock<'a, T>,
}

impl<'a, T> Source for Relock<'a, '_, T> {
    type Output = MutexGuard<'a, T>;

    const NAME: &'static str = "Condition::wait";

    fn begin(&mut self, waker: &Waker) -> Result<Self::Output, Key> {
        self.lock.begin(waker)
    }

    fn take_granted(&mut self, key: Key, waker: &Waker) -> Result<Self::Output, Key> {
        self.lock.take_granted(key, waker)
    }

    fn withdraw(&mut self, key: Key) -> Option<Self::Output> {
        // Freed last, so that whoever is notified instead gets it in its turn.
        let _guard = self.lock.withdraw(key);
        let core = &self.lock.0.core;
        let mut waker = None;
        {
            let mut state = self.condition.0.lock();
            if state.fits(core) {
                state.move_first(core, &mut waker);
            }
        }
        waker.into_iter().for_each(Waker::wake);
        None
    }
}

/// The wait for a notification; its output is the place in the lock's queue.
struct Notified<'a, 'c, T> {
    condition: &'c Condition,
    mutex: &'a Mutex<T>,
    /// Taken when the wait has begun.
    guard: Option<MutexGuard<'a, T>>,
}

impl<T> Source for Notified<'_, '_, T> {
    type Output = Key;

    const NAME: &'static str = "Condition::wait";

    fn begin(&mut self, waker: &Waker) -> Result<Key, Key> {
        let core = &self.mutex.core;
        let mut state = self.condition.0.lock();
        if !state.fits(core) {
            drop(state);
            panic!("{OTHER_MUTEX}");
        }
        state.mutex = std::ptr::from_ref(core).addr();
        let key = state.queue.push(Waiting { holder: holder(), moved: None }, waker.clone());
        drop(state);
        // Only now: nobody can notify before the lock is free.
        self.guard = None;
        Err(key)
    }

    fn take_granted(&mut self, key: Key, waker: &Waker) -> Result<Key, Key> {
        let taken = self.condition.0.lock().queue.take_granted(key, waker);
        match taken {
            Ok(left) => Ok(left.waiter.moved.expect("who notifies moves")),
            Err((key, _old)) => Err(key),
        }
    }

    fn withdraw(&mut self, key: Key) -> Option<Key> {
        self.condition.0.lock().queue.remove(key).waiter.moved
    }

    fn give_back(&mut self, key: Key) {
        let _none = Relock { condition: self.condition, lock: Lock(self.mutex) }.withdraw(key);
    }
}
