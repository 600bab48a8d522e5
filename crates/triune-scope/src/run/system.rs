//! Tasks that belong to the run and not to a nursery.

use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use super::handle::{LiveGuard, Run};
use crate::cancel::boundary::RootBoundary;
use crate::cancel::node::{Inherit, Node};
use crate::cancel::{CancelReason, Cause};
use crate::error::PanicError;
use crate::task::TaskInfo;
use crate::task_var::Vars;
use crate::tree::record::Record;

/// A system task or a callback of a [`Run`] panicked. That is a bug in what runs there, so the main task was cancelled.
#[derive(Debug, Clone)]
pub struct SystemPanic {
    task: TaskInfo,
    panic: PanicError,
}

impl SystemPanic {
    /// What panicked.
    pub fn task(&self) -> &TaskInfo {
        &self.task
    }

    /// The panic's message.
    pub fn message(&self) -> &str {
        self.panic.message()
    }
}

impl fmt::Display for SystemPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a system task panicked: {} ({})", self.task, self.task.location())
    }
}

impl StdError for SystemPanic {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.panic)
    }
}

impl Run {
    /// Starts a task that belongs to the run and not to a nursery: it is cancelled (cause
    /// [`Shutdown`](Cause::Shutdown)) when the run closes, and waited for. A panic in it cancels the main task, see
    /// [`system_panic`](Self::system_panic).
    ///
    /// This is for runtimes and destructors, which have no nursery at hand; applications use a
    /// [`nursery`](crate::nursery).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    /// use triune_scope::{Run, sleep_forever};
    ///
    /// let (run, flushed) = (Run::current(), Arc::new(AtomicBool::new(false)));
    /// let flag = Arc::clone(&flushed);
    /// run.spawn_system("flush", async move {
    ///     sleep_forever().await.ok(); // until the run closes
    ///     flag.store(true, Relaxed);
    /// });
    /// run.close().await;
    /// assert!(flushed.load(Relaxed) && run.system_panic().is_none());
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_system(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let task = TaskInfo::named(name, Location::caller());
        self.start_system(task, Inherit::Yes, Some(self.live_guard()), future);
    }

    /// Starts a system task that ends by itself when the run closes.
    #[track_caller]
    pub(super) fn spawn_service(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        self.start_system(TaskInfo::named(name, Location::caller()), Inherit::No, None, future);
    }

    fn start_system(
        &self,
        task: TaskInfo,
        inherit: Inherit,
        live: Option<LiveGuard>,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let node = Node::task_root(self.system(), inherit, task.clone(), Record::new(), Vars::default());
        let boundary = RootBoundary::root(node, future);
        let run = self.clone();
        #[expect(clippy::disallowed_methods, reason = "the run cancels it and waits for it")]
        self.runtime().spawn(async move {
            // Owned by the task, so that it is released when the runtime drops the task too.
            let _live = live;
            let mut boundary = pin!(boundary);
            let end = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| boundary.as_mut().poll(cx))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(_)) => Poll::Ready(None),
                Err(payload) => Poll::Ready(Some(PanicError::caught(payload))),
            });
            if let Some(panic) = end.await {
                run.crashed(SystemPanic { task, panic });
            }
        });
    }

    /// Calls a callback; its panic is that of the task that calls it.
    pub(super) fn call(&self, task: &TaskInfo, callback: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(callback)) {
            self.crashed(SystemPanic { task: task.clone(), panic: PanicError::caught(payload) });
        }
    }

    /// The first panic of a system task or of a callback, if there was one. The main task was cancelled for it (cause
    /// [`Panic`](Cause::Panic)); `#[triune::main]` then exits with 101, and `#[triune::test]` fails.
    pub fn system_panic(&self) -> Option<SystemPanic> {
        self.crash().get().cloned()
    }

    fn crashed(&self, crash: SystemPanic) {
        let SystemPanic { task, panic } = &crash;
        tracing::error!(?task, %panic, "a system task panicked; the main task is cancelled");
        let reason = CancelReason::new(Cause::Panic, panic.message().to_owned()).with_by(task.to_string());
        // Only the first is kept; all are logged.
        let _another = self.crash().set(crash);
        self.root().cancel(reason);
    }
}
