//! The queue between the handles and the future of a nursery: where new children wait for their first poll.
//!
//! It is generic over the boxed child, so that [`Nursery`](super::Nursery), [`LocalNursery`](super::LocalNursery) and
//! the combinators share all of it.

use std::future::Future;
use std::sync::Arc;

use super::child::{Child, Kind, Runner};
use super::core::Core;
use super::parallel;
use crate::cancel::ambient;
use crate::cancel::node::Place;
use crate::error::NurseryError;
use crate::instrument;
use crate::lock::Mutex;
use crate::task::TaskInfo;

/// What the handles and the future of a nursery share; `B` is a child in this task.
pub(super) struct Shared<B> {
    pub(super) core: Arc<Core>,
    queue: Mutex<Queue<B>>,
}

enum Queue<B> {
    Open(Vec<B>),
    Closed,
    Abandoned,
}

/// Why a nursery takes no child any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It has ended.
    Ended,
    /// Its future was dropped, and it is being torn down.
    Abandoned,
}

impl<B> Shared<B> {
    pub(super) fn new(core: Arc<Core>) -> Arc<Self> {
        Arc::new(Self { core, queue: Mutex::new(Queue::Open(Vec::new())) })
    }

    /// Starts a child in this task; `boxed` makes it what the nursery holds.
    #[track_caller]
    pub(super) fn start<T, F, E>(
        &self,
        kind: Kind,
        task: TaskInfo,
        future: F,
        boxed: impl FnOnce(Runner<T, F>) -> B,
    ) -> Child<T, E>
    where
        F: Future<Output = Result<T, E>>,
        E: NurseryError,
    {
        // What sees task variables has a node from the start, to keep them; and instruments hear of every start.
        let waits_for_node = kind == Kind::Ordinary && !instrument::is_wanted() && ambient::vars().is_empty();
        let id = task.id();
        let (runner, child) = if waits_for_node {
            self.core.announce(task.clone());
            Runner::announced(task, future)
        } else {
            Runner::new(self.core.new_child(kind, Place::SameTask, task.clone()), task, future)
        };
        if let Err(refusal) = self.push(kind, boxed(runner)) {
            if waits_for_node {
                self.core.node.withdraw(id);
            }
            self.refuse(refusal);
        }
        child
    }

    /// Queues a child. A refused one is dropped, outside of the lock.
    pub(super) fn push(&self, kind: Kind, runner: B) -> Result<(), Refusal> {
        let pushed = match &mut *self.queue.lock() {
            Queue::Open(queue) => {
                self.core.count(kind, Place::SameTask);
                queue.push(runner);
                Ok(queue.len() == 1)
            }
            Queue::Closed => Err((Refusal::Ended, runner)),
            Queue::Abandoned => Err((Refusal::Abandoned, runner)),
        };
        match pushed {
            Ok(first) => {
                // The nursery takes the whole queue.
                if first {
                    self.core.ring();
                }
                Ok(())
            }
            Err((refusal, runner)) => {
                drop(runner);
                Err(refusal)
            }
        }
    }

    /// Starts a child that is a tokio task.
    #[track_caller]
    pub(super) fn start_parallel<T, F, E>(&self, kind: Kind, task: TaskInfo, future: F) -> Child<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: NurseryError,
    {
        let core = &self.core;
        let node = core.new_child(kind, Place::OwnTask, task.clone());
        let open = match &*self.queue.lock() {
            Queue::Open(_) => Ok(core.count(kind, Place::OwnTask)),
            Queue::Closed => Err(Refusal::Ended),
            Queue::Abandoned => Err(Refusal::Abandoned),
        };
        match open {
            Ok(only) => {
                let child = parallel::start(core, node, task, future);
                if only {
                    // The nursery takes a hold on what is above it for as long as there are parallel children.
                    core.wake();
                }
                child
            }
            Err(refusal) => {
                drop(future);
                self.refuse(refusal);
                Child::abandoned(&node, task)
            }
        }
    }

    #[track_caller]
    pub(super) fn refuse(&self, refusal: Refusal) {
        assert!(
            refusal != Refusal::Ended,
            "the nursery opened at {} has ended; a child can only be started while its body or another child runs",
            self.core.opened_at()
        );
    }

    /// The children that wait for their first poll.
    pub(super) fn take_queue(&self) -> Vec<B> {
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
    pub(super) fn abandon(&self) -> Vec<B> {
        match std::mem::replace(&mut *self.queue.lock(), Queue::Abandoned) {
            Queue::Open(queue) => queue,
            Queue::Closed | Queue::Abandoned => Vec::new(),
        }
    }
}
