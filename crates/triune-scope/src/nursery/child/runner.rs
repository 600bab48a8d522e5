//! The future that runs a child to its end.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::cell::{Cell, State, Why};
use super::ended::{Failure, Finished, absorb};
use super::handle::Child;
use crate::cancel::boundary::RootBoundary;
use crate::cancel::node::Node;
use crate::cancel::trial::Trials;
use crate::error::{ChildErrorKind, NurseryError, PanicError, Result, discard};
use crate::nursery::core::Core;
use crate::nursery::set::Member;
use crate::task::TaskInfo;

pin_project! {
    /// Runs a child to its end, catches what it throws, stores its value.
    pub(crate) struct Runner<T, F> {
        // Gone when nobody can ask for the value.
        cell: Option<Arc<Cell<T>>>,
        // Gone when the child has ended.
        #[pin]
        root: Option<RootBoundary<F>>,
    }

    impl<T, F> PinnedDrop for Runner<T, F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let mut root = this.root;
            if root.is_some() {
                root.set(None);
                finish(this.cell, || State::failed(ChildErrorKind::Abandoned));
            }
        }
    }
}

impl<T, F: Future> Runner<T, F> {
    /// The future of a child with this root, and its handle.
    pub(crate) fn new<E>(node: Arc<Node>, task: TaskInfo, future: F) -> (Self, Child<T, E>) {
        let cell = Cell::with_root(&node, task);
        let child = Child::new(Arc::clone(&cell));
        (Self { cell: Some(cell), root: Some(RootBoundary::child(node, future)) }, child)
    }

    /// The future of a child that was announced, and its handle.
    pub(crate) fn announced<E>(task: TaskInfo, future: F) -> (Self, Child<T, E>) {
        let cell = Cell::announced(task);
        let child = Child::new(Arc::clone(&cell));
        (Self { cell: Some(cell), root: Some(RootBoundary::without_node(future)) }, child)
    }

    /// The future of a child that has no handle.
    pub(crate) fn without_handle(node: Arc<Node>, future: F) -> Self {
        Self { cell: None, root: Some(RootBoundary::child(node, future)) }
    }
}

/// Leaves word for the handle, if there is one.
fn finish<T>(cell: &mut Option<Arc<Cell<T>>>, end: impl FnOnce() -> State<T>) {
    if let Some(cell) = cell.take()
        && cell.has_handle()
    {
        cell.finish(end());
    }
}

impl<T, F, E> Future for Runner<T, F>
where
    F: Future<Output = Result<T, E>>,
    E: NurseryError,
{
    type Output = Finished;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Finished> {
        let this = self.project();
        let (mut root, cell) = (this.root, this.cell);
        let mut future = root.as_mut().as_pin_mut().expect("a child is not polled after its end");
        // As with `std::thread::scope`, siblings may see what a panicked child left half-written.
        let end = match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => {
                if cell.as_ref().is_some_and(|cell| !cell.has_handle()) {
                    *cell = None;
                }
                return Poll::Pending;
            }
            Ok(Poll::Ready(end)) => end,
            Err(payload) => {
                let node = Arc::clone(future.node());
                // A panic of what is dropped then is a failure of the child too, but not a better one than its own.
                catch_unwind(AssertUnwindSafe(|| root.set(None))).err().into_iter().for_each(discard);
                finish(cell, || {
                    let message = PanicError::from_payload(&*payload).message().to_owned();
                    State::failed(ChildErrorKind::Panicked(message))
                });
                return Poll::Ready(Finished { root: node, failure: Some(Failure::Panic(payload)) });
            }
        };
        // The future was dropped by its boundary.
        let node = future.take_node();
        root.set(None);
        let failure = match end {
            // A value that nobody can ask for is dropped here, and its destructor is the child's.
            Ok(Ok(value)) => {
                let kept = catch_unwind(AssertUnwindSafe(|| finish(cell, move || State::Done(value))));
                kept.err().map(Failure::Panic)
            }
            Err(reason) => {
                finish(cell, || State::Failed(Why::Cancelled(reason)));
                None
            }
            Ok(Err(error)) => match absorb(error.into_error(), &node) {
                Err(reason) => {
                    finish(cell, || State::Failed(Why::Cancelled(reason)));
                    None
                }
                Ok(error) => {
                    finish(cell, || State::failed(ChildErrorKind::Failed(format!("{error:#}"))));
                    Some(Failure::Error(error))
                }
            },
        };
        Poll::Ready(Finished { root: node, failure })
    }
}

impl<T, F, E> Member for Runner<T, F>
where
    F: Future<Output = Result<T, E>>,
    E: NurseryError,
{
    fn begin(self: Pin<&mut Self>, core: &Core, trials: &mut Trials) -> Option<Arc<Node>> {
        let this = self.project();
        let mut root = this.root.as_pin_mut().expect("a child begins before its end");
        if let Some(node) = root.as_mut().given_node() {
            return Some(Arc::clone(node));
        }
        let cell = this.cell.take().expect("only its cell knows who it is");
        let node = match Arc::try_unwrap(cell) {
            Ok(cell) => match cell.bear_alone(core, trials) {
                Ok(tried) => {
                    root.give(tried);
                    return None;
                }
                Err(node) => node,
            },
            Err(cell) => {
                let node = cell.bear(core);
                *this.cell = Some(cell);
                node
            }
        };
        root.give(Arc::clone(&node));
        Some(node)
    }
}
