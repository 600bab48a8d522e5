//! How many objects of the runtime are alive, counted in debug builds.
//!
//! Every object that could be leaked holds an [`Entry`]; it counts up when it is made and down when it is dropped. In
//! release builds an entry is empty and nothing is counted.

use std::fmt;
#[cfg(debug_assertions)]
use std::sync::Arc;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A boundary in the tree of scopes.
    Scope,
    /// A child of a nursery.
    Task,
    Nursery,
    /// A job on a thread, abandoned ones excepted.
    Thread,
}

/// One living object.
pub(crate) struct Entry {
    #[cfg(debug_assertions)]
    counted: counting::Counted,
}

impl Entry {
    /// Counts an object for the runtime that the caller is in.
    #[cfg_attr(not(debug_assertions), expect(unused_variables, reason = "counted in debug builds only"))]
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            #[cfg(debug_assertions)]
            counted: counting::Counted::new(kind),
        }
    }

    /// An object that does not count.
    pub(crate) fn uncounted() -> Self {
        Self {
            #[cfg(debug_assertions)]
            counted: counting::Counted::none(),
        }
    }

    /// Stops counting an object whose owner gave it up on purpose.
    pub(crate) fn forget(&self) {
        #[cfg(debug_assertions)]
        self.counted.forget();
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry")
    }
}

/// How many objects of one tokio runtime are alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Census {
    /// Boundaries in the tree of scopes: cancel scopes, shields, children, open nurseries.
    pub scopes: usize,
    /// Children of nurseries whose state is still held, also by a kept [`Child`](crate::Child).
    pub tasks: usize,
    /// Nurseries that are open, or whose handle is still held.
    pub nurseries: usize,
    /// Jobs on threads that were not abandoned.
    pub threads: usize,
}

impl Census {
    /// Whether nothing is alive.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scopes, tasks, nurseries, threads } = self;
        write!(f, "{scopes} scopes, {tasks} tasks, {nurseries} nurseries, {threads} thread jobs")
    }
}

/// Reads the census of one tokio runtime, also after that has ended.
#[derive(Debug, Clone)]
pub struct Counter {
    #[cfg(debug_assertions)]
    counts: Arc<counting::Counts>,
}

impl Counter {
    /// The counter of the tokio runtime that the caller is in; of none, outside of every runtime.
    #[must_use]
    pub fn current() -> Self {
        Self {
            #[cfg(debug_assertions)]
            counts: counting::current(),
        }
    }

    /// The census of this moment; `None` in release builds, which do not count.
    #[must_use]
    pub fn read(&self) -> Option<Census> {
        #[cfg(debug_assertions)]
        return Some(self.counts.read());
        #[cfg(not(debug_assertions))]
        None
    }
}

#[cfg(debug_assertions)]
mod counting {
    //! The counters themselves, found by the id of the runtime.

    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, OnceLock, Weak};

    use tokio::runtime::{Handle, Id};

    use super::{Census, Kind};
    use crate::lock::Mutex;

    #[derive(Debug, Default)]
    pub(crate) struct Counts([AtomicUsize; 4]);

    impl Counts {
        pub(super) fn read(&self) -> Census {
            let [scopes, tasks, nurseries, threads] =
                [0, 1, 2, 3].map(|index: usize| self.0[index].load(Ordering::Acquire));
            Census { scopes, tasks, nurseries, threads }
        }
    }

    pub(super) struct Counted {
        counts: Arc<Counts>,
        kind: Kind,
        forgotten: AtomicBool,
    }

    impl Counted {
        pub(super) fn new(kind: Kind) -> Self {
            let counts = current();
            counts.0[kind as usize].fetch_add(1, Ordering::AcqRel);
            Self { counts, kind, forgotten: AtomicBool::new(false) }
        }

        pub(super) fn none() -> Self {
            let counted = Self::new(Kind::Task);
            counted.forget();
            counted
        }

        pub(super) fn forget(&self) {
            if !self.forgotten.swap(true, Ordering::AcqRel) {
                self.counts.0[self.kind as usize].fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.forget();
        }
    }

    thread_local! {
        /// The counters that this thread used last: it hardly ever changes its runtime.
        static LAST: RefCell<Option<(Option<Id>, Arc<Counts>)>> = const { RefCell::new(None) };
    }

    pub(super) fn current() -> Arc<Counts> {
        let id = Handle::try_current().ok().map(|runtime| runtime.id());
        let cached = LAST.try_with(|last| {
            let last = last.borrow();
            last.as_ref().filter(|(of, _)| *of == id).map(|(_, counts)| Arc::clone(counts))
        });
        if let Ok(Some(counts)) = cached {
            return counts;
        }
        let counts = find_or_insert(id);
        let old = LAST.try_with(|last| last.borrow_mut().replace((id, Arc::clone(&counts))));
        drop(old);
        counts
    }

    fn find_or_insert(id: Option<Id>) -> Arc<Counts> {
        static ALL: OnceLock<Mutex<HashMap<Option<Id>, Weak<Counts>>>> = OnceLock::new();
        let mut all = ALL.get_or_init(Mutex::default).lock();
        if let Some(counts) = all.get(&id).and_then(Weak::upgrade) {
            return counts;
        }
        all.retain(|_, counts| counts.strong_count() > 0);
        let counts = Arc::new(Counts::default());
        all.insert(id, Arc::downgrade(&counts));
        counts
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::{Counter, Entry, Kind};

    #[tokio::test]
    async fn an_object_is_counted_until_it_is_dropped_or_forgotten() {
        let counter = Counter::current();
        let (kept, forgotten) = (Entry::new(Kind::Task), Entry::new(Kind::Thread));
        forgotten.forget();
        let census = counter.read().unwrap();
        assert_eq!((census.tasks, census.threads), (1, 0));
        drop((kept, forgotten));
        assert!(counter.read().unwrap().is_zero());
    }

    #[tokio::test]
    async fn each_runtime_has_its_own_count() {
        let entry = Entry::new(Kind::Scope);
        let elsewhere = std::thread::scope(|scope| scope.spawn(|| Counter::current().read()).join().unwrap());
        assert_eq!(elsewhere.map(|census| census.scopes), Some(0));
        drop(entry);
    }
}
