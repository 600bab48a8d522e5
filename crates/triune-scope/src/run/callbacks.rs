//! Callbacks: how code outside of the run, on any thread, has something done inside.
//!
//! # Invariants
//!
//! 1. First come, first served, one after the other, all on the run's runtime.
//! 2. A pass calls those that were there when it began; what they queue waits for the next one, so that callbacks which
//!    queue callbacks starve nobody.
//! 3. The queue closes under its lock; whoever came before is called, whoever comes later gets [`RunClosed`].
//! 4. No lock is held while a callback is called or dropped.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use super::handle::Run;
use crate::lock::Mutex;
use crate::task::{TaskInfo, current_task};

/// The run has closed and calls nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunClosed;

impl fmt::Display for RunClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the run has closed; queue callbacks before its main task ends")
    }
}

impl StdError for RunClosed {}

#[derive(Default)]
pub(super) struct Callbacks(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// The keys of those that wait.
    keys: HashSet<Cow<'static, str>>,
    waker: Option<Waker>,
    server: Server,
    closed: bool,
}

struct Waiting {
    key: Option<Cow<'static, str>>,
    callback: Box<dyn FnOnce() + Send>,
}

/// The system task that calls.
#[derive(Default, PartialEq, Eq)]
enum Server {
    /// Nobody needed it yet.
    #[default]
    None,
    Started,
    Ended,
}

impl Callbacks {
    pub(super) fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }

    /// Accepts no more; the task that serves calls the rest and ends.
    pub(super) fn close(&self) {
        let mut queue = self.0.lock();
        queue.closed = true;
        let waker = queue.waker.take();
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Whether nobody is left who would call.
    pub(super) fn is_over(&self) -> bool {
        self.0.lock().server != Server::Started
    }

    /// Says whether the queue takes callbacks and nobody serves it yet.
    fn push(&self, waiting: Waiting) -> Result<bool, RunClosed> {
        let mut queue = self.0.lock();
        if queue.closed {
            drop(queue);
            return Err(RunClosed);
        }
        if let Some(key) = &waiting.key
            && !queue.keys.insert(key.clone())
        {
            drop(queue);
            // The first one is called for both.
            return Ok(false);
        }
        queue.waiting.push_back(waiting);
        let start = queue.server == Server::None;
        if start {
            queue.server = Server::Started;
        }
        let waker = queue.waker.take();
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
        Ok(start)
    }

    fn pop(&self) -> Option<Waiting> {
        let mut queue = self.0.lock();
        let next = queue.waiting.pop_front()?;
        if let Some(key) = &next.key {
            queue.keys.remove(key);
        }
        Some(next)
    }

    /// One pass; ready when the queue is closed and empty.
    fn poll_serve(&self, run: &Run, task: &TaskInfo, cx: &Context<'_>) -> Poll<()> {
        let waiting = self.waiting();
        for next in (0..waiting).map_while(|_| self.pop()) {
            run.call(task, next.callback);
        }
        let mut queue = self.0.lock();
        let old = queue.waker.replace(cx.waker().clone());
        let (closed, more) = (queue.closed, !queue.waiting.is_empty());
        drop(queue);
        drop(old);
        if more {
            cx.waker().wake_by_ref();
        }
        if closed && !more { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Ends the service, also when the runtime drops the task: then what waits is dropped.
struct Serving(Run);

impl Drop for Serving {
    fn drop(&mut self) {
        let mut queue = self.0.callbacks().0.lock();
        queue.closed = true;
        queue.server = Server::Ended;
        let left = (std::mem::take(&mut queue.waiting), std::mem::take(&mut queue.keys), queue.waker.take());
        drop(queue);
        drop(left);
        self.0.notify_idle();
    }
}

impl Run {
    /// Has `callback` called soon, on the runtime of this run: for threads that are no part of it, such as those of a foreign
    /// library. Callbacks are called in the order in which they came, one after the other.
    ///
    /// A callback must not block. Its panic cancels the main task, see
    /// [`system_panic`](Self::system_panic); the callbacks behind it are called all the same. The queue is not bounded.
    ///
    /// # Errors
    ///
    /// [`RunClosed`] when the run has closed. What was accepted before is called before [`close`](Self::close) returns.
    /// Only under a runtime that goes away without a `close` is it dropped.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use std::sync::Arc;
    /// use triune_scope::{Run, nursery, sync::Event};
    ///
    /// let done = Arc::new(Event::new());
    /// let (run, heard) = (Run::current(), Arc::clone(&done));
    /// nursery(async |n| {
    ///     // Stands for a thread of a foreign library.
    ///     n.spawn_blocking(move |_| Ok(run.call_soon(move || heard.set())?));
    ///     Ok(done.wait().await?)
    /// })
    /// .await
    /// # }
    /// ```
    pub fn call_soon(&self, callback: impl FnOnce() + Send + 'static) -> Result<(), RunClosed> {
        self.queue(Waiting { key: None, callback: Box::new(callback) })
    }

    /// As [`call_soon`](Self::call_soon), unless a callback with this key waits already: then that one serves for both, and
    /// this one is dropped. A key is free again when its callback begins.
    ///
    /// # Errors
    ///
    /// [`RunClosed`] when the run has closed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    /// use triune_scope::Run;
    ///
    /// let (run, redrawn) = (Run::current(), Arc::new(AtomicU32::new(0)));
    /// for _change in 0..10 {
    ///     let redrawn = Arc::clone(&redrawn);
    ///     run.call_soon_once("redraw", move || drop(redrawn.fetch_add(1, Relaxed)))?;
    /// }
    /// run.close().await;
    /// assert_eq!(redrawn.load(Relaxed), 1);
    /// assert!(run.call_soon(|| ()).is_err(), "the run has closed");
    /// # Ok(()) }
    /// ```
    pub fn call_soon_once(
        &self,
        key: impl Into<Cow<'static, str>>,
        callback: impl FnOnce() + Send + 'static,
    ) -> Result<(), RunClosed> {
        self.queue(Waiting { key: Some(key.into()), callback: Box::new(callback) })
    }

    fn queue(&self, waiting: Waiting) -> Result<(), RunClosed> {
        if self.callbacks().push(waiting)? {
            let serving = Serving(self.clone());
            self.spawn_service("callbacks", async move {
                let task = current_task().expect("a system task is a task");
                let run = &serving.0;
                poll_fn(|cx| run.callbacks().poll_serve(run, &task, cx)).await;
            });
        }
        Ok(())
    }
}
