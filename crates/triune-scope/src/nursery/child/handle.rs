//! The handle that waits for the value of a child.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::cell::{Cell, State};
use crate::cancel::CancelReason;
use crate::cancel::leaf::Leaf;
use crate::cancel::node::Node;
use crate::error::{ChildError, ChildErrorKind, Error, NurseryError, Result};
use crate::task::{TaskId, TaskInfo};
use crate::tree::{Awaited, TaskWait};

/// A handle on a child of a nursery; awaiting it gives the child's value.
///
/// Dropping it neither cancels nor detaches the child: the nursery owns the child. A child that fails fails its
/// nursery, which keeps the error; whoever awaits the handle is cancelled with everybody else, or, outside of that
/// nursery, gets a [`ChildError`] that tells what happened.
///
/// # Cancel safety
///
/// Awaiting by reference loses nothing: the value stays in the handle.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::{FutureExt, nursery};
///
/// nursery(async |n| {
///     let answer = n.spawn(async { Ok(6 * 7) });
///     let stuck = n.spawn_named("stuck", async { Ok(std::future::pending::<()>().cancellable().await?) });
///     assert_eq!(answer.await?, 42);
///     stuck.cancel("not needed"); // It alone; the nursery goes on.
///     assert!(stuck.await.is_err());
///     Ok(())
/// })
/// .await
/// # }
/// ```
pub struct Child<T, E = Error> {
    cell: Arc<Cell<T>>,
    leaf: Leaf,
    errors: PhantomData<fn() -> E>,
}

impl<T, E> Child<T, E> {
    pub(super) fn new(cell: Arc<Cell<T>>) -> Self {
        Self { cell, leaf: Leaf::default(), errors: PhantomData }
    }

    /// A child that never starts, because its nursery is being torn down.
    pub(crate) fn abandoned(node: &Arc<Node>, task: TaskInfo) -> Self {
        let cell = Cell::with_root(node, task);
        cell.finish(State::failed(ChildErrorKind::Abandoned));
        Self::new(cell)
    }

    /// The child's number.
    pub fn id(&self) -> TaskId {
        self.cell.task().id()
    }

    /// The child's name.
    pub fn name(&self) -> &str {
        self.cell.task().name()
    }

    /// Cancels this child alone. Its siblings go on, and the nursery does not count it as a failure.
    #[track_caller]
    pub fn cancel(&self, reason: impl Into<CancelReason>) {
        self.cell.cancel(reason.into().at(Location::caller()));
    }

    /// Whether the child has ended.
    pub fn is_finished(&self) -> bool {
        self.cell.is_finished()
    }
}

impl<T, E: NurseryError> Future for Child<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let shown = TaskWait::new(Awaited::Child(self.id()), None);
        if let Poll::Ready(cancelled) = self.leaf.poll_for(shown, cx) {
            return Poll::Ready(Err(Error::from(cancelled).into()));
        }
        if self.leaf.is_yielding() {
            return Poll::Pending;
        }
        match self.cell.poll_value(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(end) => {
                // The scope keeps no trace of a wait that is over.
                self.leaf = Leaf::default();
                Poll::Ready(
                    end.map_err(|kind| Error::new(ChildError::new(self.cell.task().clone(), kind)).into()),
                )
            }
        }
    }
}

impl<T, E> fmt::Debug for Child<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("task", self.cell.task())
            .field("finished", &self.is_finished())
            .finish()
    }
}
