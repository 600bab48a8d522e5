//! What a closure on a thread sees: the scope of its caller.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::cancel::CancelReason;
use crate::cancel::ambient::{self, Ambient};
use crate::cancel::boundary::{Boundary, heir};
use crate::cancel::node::{Node, Place};
use crate::error::{Cancelled, Error, Result};

/// The way from a thread back to the scope of its caller. The closure of [`run`](super::run) gets it.
///
/// The free functions ([`current_task`](crate::current_task), [`is_cancelled`](crate::is_cancelled), …) and task variables
/// work on the thread, too: the closure is a part of the task that called.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::{CancelScope, blocking, task_var};
///
/// task_var! { static REQUEST: u32 = 0; }
///
/// let scope = CancelScope::new();
/// let canceller = scope.clone();
/// let seen = scope.run(REQUEST.scope(7, blocking::run(move |b| {
///     assert!(!b.is_cancelled() && b.check_cancelled().is_ok());
///     canceller.cancel("enough");
///     assert_eq!(b.cancel_reason().unwrap().message(), "enough");
///     Ok((b.check_cancelled().is_err(), REQUEST.get()))
/// })));
/// assert_eq!(seen.await.done().unwrap()?, (true, 7));
/// # Ok(()) }
/// ```
pub struct Blocking {
    ambient: Ambient,
    runtime: Handle,
}

impl Blocking {
    /// The context of a job whose scope is `node`, which is linked beneath the caller's.
    pub(super) fn new(node: Arc<Node>, above: Option<Ambient>, runtime: Handle) -> Self {
        let (root, vars) = above.map(|above| (above.root().cloned(), above.vars)).unwrap_or_default();
        Self { ambient: Ambient::new(node, root).with_vars(vars), runtime }
    }

    pub(super) fn node(&self) -> &Arc<Node> {
        &self.ambient.node
    }

    /// Runs `job` on this thread as a part of the caller's task.
    pub(super) fn enter<R>(&self, job: impl FnOnce(&Self) -> R) -> R {
        let mut ambient = self.ambient.clone();
        ambient.rehome();
        ambient::with(&mut Some(ambient), || job(self))
    }

    /// Returns early by `?` when the scope of the caller is cancelled. To be called often in long computations.
    ///
    /// # Errors
    ///
    /// [`Cancelled`], for the first time as for every later one.
    pub fn check_cancelled(&self) -> Result<(), Cancelled> {
        self.cancel_reason().map_or(Ok(()), |reason| Err(Cancelled::new(reason)))
    }

    /// Whether the scope of the caller is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.node().is_cancelled()
    }

    /// Why the scope of the caller was cancelled, if it was.
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        self.node().cancel_reason()
    }

    /// Runs async code from the thread: in the scope and the task of the caller, on the caller's runtime, while the
    /// thread waits. It may borrow from the closure.
    ///
    /// A cancel of the caller's scope reaches it as it would reach the caller: triune awaits give
    /// [`Cancelled`], what stays parked in a foreign await is dropped. In a scope that is cancelled already, it runs to
    /// its first await.
    ///
    /// While it waits, a job that it calls may run under this job's permit, so a limit of one thread is no deadlock.
    ///
    /// # Errors
    ///
    /// That of `future`; a cancel, if one dropped it.
    ///
    /// # Panics
    ///
    /// As `future` does; and when it needs the runtime's timer or I/O after the runtime has been shut down.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use triune_scope::{FutureExt as _, blocking};
    ///
    /// let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    /// let sum = blocking::run(move |b| {
    ///     let mut sum = 0;
    ///     while let Some(number) = b.block_on(async { Ok(receiver.recv().cancellable().await?) })? {
    ///         sum += number;
    ///     }
    ///     Ok(sum)
    /// });
    /// let (sum, ()) = tokio::join!(sum, async move {
    ///     for number in [1, 2, 3] {
    ///         sender.send(number).await.expect("the thread listens");
    ///     }
    /// });
    /// assert_eq!(sum?, 6);
    /// # Ok(()) }
    /// ```
    pub fn block_on<T, F>(&self, future: F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut ambient = self.ambient.clone();
        ambient.node = heir();
        ambient.node.link(self.node(), Place::OwnTask);
        self.runtime
            .block_on(Boundary::elsewhere(ambient, future))
            .unwrap_or_else(|reason| Err(Error::cancelled(reason)))
    }
}

impl fmt::Debug for Blocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking")
            .field("task", &self.ambient.task())
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}
