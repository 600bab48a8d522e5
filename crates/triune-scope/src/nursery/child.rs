//! One child: the future that runs it, and the handle that waits for its value.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use super::core::Core;
use super::set::Member;
use crate::cancel::boundary::RootBoundary;
use crate::cancel::flags::Flag;
use crate::cancel::leaf::Leaf;
use crate::cancel::node::{Node, Place};
use crate::cancel::trial::Trials;
use crate::cancel::{CancelReason, Cause};
use crate::error::{ChildError, ChildErrorKind, Error, NurseryError, PanicError, Result, discard};
use crate::lock::Mutex;
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

/// What the handle knows of its child, and where the child leaves its value.
///
/// The child lets go of it as soon as there is no handle: most children are started for what they do.
pub(super) struct Cell<T> {
    task: TaskInfo,
    /// Its root: from the start, or from the first poll.
    node: OnceLock<Arc<Node>>,
    state: Mutex<State<T>>,
}

enum State<T> {
    /// Not polled yet, and without a root; why it is cancelled, if it is.
    Announced(Option<Waker>, Option<CancelReason>),
    Running(Option<Waker>),
    Done(T),
    /// Left no value.
    Failed(Why),
}

enum Why {
    Kind(Box<ChildErrorKind>),
    /// Put into words only if somebody asks.
    Cancelled(CancelReason),
}

impl Why {
    fn tell(&self) -> ChildErrorKind {
        match self {
            Self::Kind(kind) => ChildErrorKind::clone(kind),
            Self::Cancelled(reason) => ChildErrorKind::Cancelled(reason.to_string()),
        }
    }
}

impl<T> State<T> {
    fn failed(kind: ChildErrorKind) -> Self {
        Self::Failed(Why::Kind(Box::new(kind)))
    }
}

impl<T> Cell<T> {
    fn with_root(node: &Arc<Node>, task: TaskInfo) -> Arc<Self> {
        let node = OnceLock::from(Arc::clone(node));
        Arc::new(Self { task, node, state: Mutex::new(State::Running(None)) })
    }

    fn announced(task: TaskInfo) -> Arc<Self> {
        Arc::new(Self { task, node: OnceLock::new(), state: Mutex::new(State::Announced(None, None)) })
    }

    /// The root of a child that has a handle, for its first poll.
    fn bear(&self, core: &Core) -> Arc<Node> {
        let node = core.bear(&self.task);
        let mut state = self.state.lock();
        // Nobody else sets it. Within the lock, because a cancel looks for it there.
        let _first = self.node.set(Arc::clone(&node));
        let cancelled = match &mut *state {
            State::Announced(waker, cancelled) => {
                let (waker, cancelled) = (waker.take(), cancelled.take());
                *state = State::Running(waker);
                cancelled
            }
            State::Running(_) | State::Done(_) | State::Failed(_) => None,
        };
        drop(state);
        if let Some(reason) = cancelled {
            node.cancel(reason);
        }
        node
    }

    /// The root of a child that has no handle any more: one on trial, or `Err` of one of its own.
    fn bear_alone(self, core: &Core, trials: &mut Trials) -> Result<Arc<Node>, Arc<Node>> {
        let Self { task, node: _, mut state } = self;
        // Nobody can reach the child; but a handle that is gone may have cancelled it.
        if let State::Announced(_, Some(reason)) = state.get_mut() {
            let node = core.bear(&task);
            node.cancel(reason.clone());
            return Err(node);
        }
        core.try_out(&task, trials).ok_or_else(|| core.bear(&task))
    }

    fn cancel(&self, reason: CancelReason) {
        let mut state = self.state.lock();
        if let Some(node) = self.node.get() {
            drop(state);
            node.cancel(reason);
        } else if let State::Announced(_, cancelled) = &mut *state {
            // Only the first counts.
            cancelled.get_or_insert(reason);
        }
    }

    fn has_handle(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }

    /// Stores how the child ended and wakes whoever waits for it.
    fn finish(&self, end: State<T>) {
        let old = std::mem::replace(&mut *self.state.lock(), end);
        match old {
            State::Announced(waker, _) | State::Running(waker) => waker.into_iter().for_each(Waker::wake),
            State::Done(_) | State::Failed(_) => unreachable!("a child ends once"),
        }
    }

    fn poll_value(&self, cx: &Context<'_>) -> Poll<Result<T, ChildErrorKind>> {
        let mut state = self.state.lock();
        match &mut *state {
            State::Announced(waker, _) | State::Running(waker) => {
                let old = waker.replace(cx.waker().clone());
                drop(state);
                drop(old);
                Poll::Pending
            }
            State::Failed(why) => Poll::Ready(Err(why.tell())),
            State::Done(_) => match std::mem::replace(&mut *state, State::failed(ChildErrorKind::Taken)) {
                State::Done(value) => Poll::Ready(Ok(value)),
                State::Announced(..) | State::Running(_) | State::Failed(_) => {
                    unreachable!("the state was looked at under the same lock")
                }
            },
        }
    }
}

impl<T, E> Child<T, E> {
    fn new(cell: Arc<Cell<T>>) -> Self {
        Self { cell, leaf: Leaf::default(), errors: PhantomData }
    }

    /// A child that never starts, because its nursery is being torn down.
    pub(super) fn abandoned(node: &Arc<Node>, task: TaskInfo) -> Self {
        let cell = Cell::with_root(node, task);
        cell.finish(State::failed(ChildErrorKind::Abandoned));
        Self::new(cell)
    }

    /// The child's number.
    pub fn id(&self) -> TaskId {
        self.cell.task.id()
    }

    /// The child's name.
    pub fn name(&self) -> &str {
        self.cell.task.name()
    }

    /// Cancels this child alone. Its siblings go on, and the nursery does not count it as a failure.
    #[track_caller]
    pub fn cancel(&self, reason: impl Into<CancelReason>) {
        self.cell.cancel(reason.into().at(Location::caller()));
    }

    /// Whether the child has ended.
    pub fn is_finished(&self) -> bool {
        !matches!(*self.cell.state.lock(), State::Announced(..) | State::Running(_))
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
                    end.map_err(|kind| Error::new(ChildError::new(self.cell.task.clone(), kind)).into()),
                )
            }
        }
    }
}

impl<T, E> fmt::Debug for Child<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("task", &self.cell.task).field("finished", &self.is_finished()).finish()
    }
}

/// How a child ended, for the nursery.
pub(super) struct Finished {
    pub(super) root: Arc<Node>,
    pub(super) failure: Option<Failure>,
}

/// The same without the root of the child.
pub(super) struct Ended {
    pub(super) kind: Kind,
    pub(super) place: Place,
    pub(super) failure: Option<(TaskInfo, Failure)>,
}

impl Finished {
    /// What the nursery settles, and the root.
    pub(super) fn end(self) -> (Ended, Arc<Node>) {
        let Self { root, failure } = self;
        let kind = Kind::of(&root);
        let place = if root.is_own_task() { Place::OwnTask } else { Place::SameTask };
        let failure = failure.map(|failure| (root.task().expect("it is the root of a task"), failure));
        (Ended { kind, place, failure }, root)
    }
}

impl Ended {
    /// A failure that no nursery is there to raise is at least not silent.
    pub(super) fn log_orphan(self, nursery: &Location<'_>) {
        if let Some((task, failure)) = self.failure {
            let reason = failure.reason(&task);
            tracing::error!(?task, %nursery, %reason, "a child of a dropped nursery failed");
            if let Failure::Panic(payload) = failure {
                discard(payload);
            }
        }
    }
}

/// Whether the nursery waits for a child, or ends it when nothing else is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ordinary,
    Daemon,
}

impl Kind {
    /// That of the child with this root.
    pub(super) fn of(root: &Node) -> Self {
        if root.has(Flag::Daemon) { Self::Daemon } else { Self::Ordinary }
    }
}

pub(super) enum Failure {
    Error(Error),
    Panic(Box<dyn Any + Send>),
}

pin_project! {
    /// Runs a child to its end, catches what it throws, stores its value.
    pub(super) struct Runner<T, F> {
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
    pub(super) fn new<E>(node: Arc<Node>, task: TaskInfo, future: F) -> (Self, Child<T, E>) {
        let cell = Cell::with_root(&node, task);
        let child = Child::new(Arc::clone(&cell));
        (Self { cell: Some(cell), root: Some(RootBoundary::child(node, future)) }, child)
    }

    /// The future of a child that was announced, and its handle.
    pub(super) fn announced<E>(task: TaskInfo, future: F) -> (Self, Child<T, E>) {
        let cell = Cell::announced(task);
        let child = Child::new(Arc::clone(&cell));
        (Self { cell: Some(cell), root: Some(RootBoundary::without_node(future)) }, child)
    }

    /// The future of a child that has no handle.
    pub(super) fn without_handle(node: Arc<Node>, future: F) -> Self {
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

/// What is left of an error when the cancels that the scope itself caused are taken out; the reason if nothing is.
///
/// The state of the scope decides first: in a scope that was not cancelled, a cancel is an error like others.
pub(super) fn absorb(error: Error, node: &Node) -> Result<Error, CancelReason> {
    match node.cancel_reason() {
        None => Ok(error),
        Some(reason) => error.without_cancels().ok_or(reason),
    }
}

impl Failure {
    /// The reason with which the siblings are cancelled.
    pub(super) fn reason(&self, task: &TaskInfo) -> CancelReason {
        match self {
            Self::Error(error) => CancelReason::new(Cause::Sibling, format!("{error:#}")),
            Self::Panic(payload) => {
                CancelReason::new(Cause::Panic, PanicError::from_payload(&**payload).message().to_owned())
            }
        }
        .with_by(task.to_string())
    }
}
