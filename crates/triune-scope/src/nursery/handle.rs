//! What the body and the children hold: a queue to put new children into.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;

use super::child::{Cell, Child, Finished, Kind, Runner};
use super::core::Core;
use super::parallel;
use crate::cancel::node::Place;
use crate::cancel::{CancelReason, CancelScope};
use crate::error::Result;
use crate::lock::Mutex;
use crate::task::TaskInfo;

/// A handle on an open nursery: it starts children. Cloning it gives another handle on the same nursery.
///
/// `'env` is everything that lives longer than the call of [`nursery`](crate::nursery): children may borrow from
/// there, not from the body. What happens to children is told at [`nursery`](crate::nursery).
///
/// # Panics
///
/// Starting a child after the nursery has ended is a bug of the caller and panics. While a dropped nursery is torn
/// down, children do not start and their handles say so.
pub struct Nursery<'env>(Arc<Shared<'env>>);

pub(super) type BoxedChild<'env> = Pin<Box<dyn Future<Output = Finished> + Send + 'env>>;

pub(super) struct Shared<'env> {
    pub(super) core: Arc<Core>,
    queue: Mutex<Queue<'env>>,
}

enum Queue<'env> {
    Open(Vec<BoxedChild<'env>>),
    Closed,
    Abandoned,
}

impl<'env> Nursery<'env> {
    pub(super) fn new(core: Arc<Core>) -> (Self, Arc<Shared<'env>>) {
        let shared = Arc::new(Shared { core, queue: Mutex::new(Queue::Open(Vec::new())) });
        (Self(Arc::clone(&shared)), shared)
    }

    /// Starts a child in this task: concurrent with the body and its siblings, not parallel. It may borrow from
    /// outside of the nursery.
    ///
    /// A child that computes for long without an await stalls its siblings and the body: use
    /// [`spawn_task`](Self::spawn_task) for another core.
    #[track_caller]
    pub fn spawn<T, F>(&self, future: F) -> Child<T>
    where
        F: Future<Output = Result<T>> + Send + 'env,
        T: Send + 'env,
    {
        self.start(Kind::Ordinary, TaskInfo::of_type::<F>(Location::caller()), future)
    }

    /// Starts a child in this task under a name of its own, see [`spawn`](Self::spawn).
    #[track_caller]
    pub fn spawn_named<T, F>(&self, name: impl Into<Cow<'static, str>>, future: F) -> Child<T>
    where
        F: Future<Output = Result<T>> + Send + 'env,
        T: Send + 'env,
    {
        self.start(Kind::Ordinary, TaskInfo::named(name, Location::caller()), future)
    }

    /// Starts a child that gets this handle, so that it can start siblings, see [`spawn`](Self::spawn).
    #[track_caller]
    pub fn spawn_with<T, F, Fut>(&self, child: F) -> Child<T>
    where
        F: FnOnce(Nursery<'env>) -> Fut,
        Fut: Future<Output = Result<T>> + Send + 'env,
        T: Send + 'env,
    {
        self.start(Kind::Ordinary, TaskInfo::of_type::<Fut>(Location::caller()), child(self.clone()))
    }

    /// Starts a child as a tokio task: parallel on a multi-thread runtime, and owned by this nursery all the same.
    ///
    /// # Panics
    ///
    /// Also outside of a tokio runtime.
    #[track_caller]
    pub fn spawn_task<T, F>(&self, future: F) -> Child<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        self.start_parallel(Kind::Ordinary, TaskInfo::of_type::<F>(Location::caller()), future)
    }

    /// Starts a service child in this task: it is cancelled (cause
    /// [`Finished`](crate::Cause::Finished)) when the body and the ordinary children are done, and waited for. If
    /// it fails, the nursery fails.
    #[track_caller]
    pub fn daemon<F>(&self, future: F)
    where
        F: Future<Output = Result> + Send + 'env,
    {
        let _nursery_owns_it = self.start(Kind::Daemon, TaskInfo::of_type::<F>(Location::caller()), future);
    }

    /// Starts a named service child as a tokio task, see [`daemon`](Self::daemon) and
    /// [`spawn_task`](Self::spawn_task).
    ///
    /// # Panics
    ///
    /// Also outside of a tokio runtime.
    #[track_caller]
    pub fn daemon_task<F>(&self, name: impl Into<Cow<'static, str>>, future: F) -> Child<()>
    where
        F: Future<Output = Result> + Send + 'static,
    {
        self.start_parallel(Kind::Daemon, TaskInfo::named(name, Location::caller()), future)
    }

    /// Cancels the nursery: its body and all its children.
    #[track_caller]
    pub fn cancel(&self, reason: impl Into<CancelReason>) {
        self.0.core.node.cancel(reason.into().at(Location::caller()));
    }

    /// The scope of the nursery. It is entered already.
    pub fn scope(&self) -> &CancelScope {
        &self.0.core.scope
    }

    /// Where the nursery was opened.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.core.opened_at
    }

    #[track_caller]
    pub(super) fn start<T, F>(&self, kind: Kind, task: TaskInfo, future: F) -> Child<T>
    where
        F: Future<Output = Result<T>> + Send + 'env,
        T: Send + 'env,
    {
        let core = &self.0.core;
        let node = core.child_node(kind, Place::SameTask);
        let cell = Cell::new(task, node);
        let runner: BoxedChild<'env> =
            Box::pin(Runner::new(Arc::clone(&cell), kind, Place::SameTask, future));
        let started = match &mut *self.0.queue.lock() {
            Queue::Open(queue) => {
                core.count(kind, Place::SameTask);
                queue.push(runner);
                Ok(queue.len() == 1)
            }
            Queue::Closed => Err((true, runner)),
            Queue::Abandoned => Err((false, runner)),
        };
        match started {
            // The first one wakes the nursery, which takes the whole queue.
            Ok(true) => core.wake(),
            Ok(false) => {}
            Err((ended, runner)) => {
                drop(runner);
                self.refuse(ended);
            }
        }
        Child::new(cell)
    }

    #[track_caller]
    fn start_parallel<T, F>(&self, kind: Kind, task: TaskInfo, future: F) -> Child<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let core = &self.0.core;
        let node = core.child_node(kind, Place::OwnTask);
        let open = match &*self.0.queue.lock() {
            Queue::Open(_) => Ok(core.count(kind, Place::OwnTask)),
            Queue::Closed => Err(true),
            Queue::Abandoned => Err(false),
        };
        match open {
            Ok(only) => {
                let child = parallel::start(core, kind, Cell::new(task, node), future);
                if only {
                    // The nursery takes a hold on what is above it for as long as there are parallel children.
                    core.wake();
                }
                child
            }
            Err(ended) => {
                drop(future);
                self.refuse(ended);
                Child::abandoned(task, node)
            }
        }
    }

    #[track_caller]
    fn refuse(&self, ended: bool) {
        assert!(
            !ended,
            "the nursery opened at {} has ended; a child can only be started while its body or another child runs",
            self.0.core.opened_at
        );
    }
}

impl<'env> Shared<'env> {
    /// The children that wait for their first poll.
    pub(super) fn take_queue(&self) -> Vec<BoxedChild<'env>> {
        match &mut *self.queue.lock() {
            Queue::Open(queue) => std::mem::take(queue),
            Queue::Closed | Queue::Abandoned => Vec::new(),
        }
    }

    /// Closes the queue if nothing lives; `false` if something was started meanwhile.
    pub(super) fn try_close(&self) -> bool {
        let mut queue = self.queue.lock();
        let empty = self.core.living(Kind::Ordinary) == 0 && self.core.living(Kind::Daemon) == 0;
        if empty {
            *queue = Queue::Closed;
        }
        empty
    }

    /// Closes the queue for good; what waited in it is returned, to be dropped outside of the lock.
    pub(super) fn abandon(&self) -> Vec<BoxedChild<'env>> {
        match std::mem::replace(&mut *self.queue.lock(), Queue::Abandoned) {
            Queue::Open(queue) => queue,
            Queue::Closed | Queue::Abandoned => Vec::new(),
        }
    }
}

impl Clone for Nursery<'_> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Nursery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = &self.0.core;
        f.debug_struct("Nursery")
            .field("opened_at", &format_args!("{}", core.opened_at))
            .field("children", &core.living(Kind::Ordinary))
            .field("daemons", &core.living(Kind::Daemon))
            .finish_non_exhaustive()
    }
}
