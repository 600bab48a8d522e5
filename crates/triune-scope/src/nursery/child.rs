//! One child: the future that runs it, and the handle that waits for its value.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use crate::cancel::boundary::Boundary;
use crate::cancel::leaf::Leaf;
use crate::cancel::node::{Node, Place};
use crate::cancel::{CancelReason, Cause};
use crate::error::{Cancelled, ChildError, ChildErrorKind, Error, NurseryError, PanicError, Result};
use crate::lock::Mutex;
use crate::probe::census;
use crate::task::{TaskId, TaskInfo};
use crate::tree::record::Record;

/// A handle on a child of a nursery; awaiting it gives the child's value.
///
/// Dropping it neither cancels nor detaches the child: the nursery owns the child. A child that fails fails its
/// nursery, which keeps the error; whoever awaits the handle is cancelled with everybody else, or, outside of that
/// nursery, gets a [`ChildError`] that tells what happened.
///
/// # Cancel safety
///
/// Awaiting by reference loses nothing: the value stays in the handle.
pub struct Child<T, E = Error> {
    cell: Arc<Cell<T>>,
    leaf: Leaf,
    errors: PhantomData<fn() -> E>,
}

/// What the handle and the running child share.
pub(super) struct Cell<T> {
    pub(super) task: Arc<Record>,
    pub(super) node: Arc<Node>,
    state: Mutex<State<T>>,
    _census: census::Entry,
}

enum State<T> {
    Running(Option<Waker>),
    Done(T),
    Failed(ChildErrorKind),
}

impl<T> Cell<T> {
    pub(super) fn new(task: TaskInfo, node: Arc<Node>) -> Arc<Self> {
        let task = Record::new(task);
        node.set_record(&task);
        Arc::new(Self {
            task,
            node,
            state: Mutex::new(State::Running(None)),
            _census: census::Entry::new(census::Kind::Task),
        })
    }

    /// Stores how the child ended and wakes whoever waits for it.
    fn finish(&self, end: Result<T, ChildErrorKind>) {
        let end = match end {
            Ok(value) => State::Done(value),
            Err(kind) => State::Failed(kind),
        };
        let old = std::mem::replace(&mut *self.state.lock(), end);
        match old {
            State::Running(waker) => waker.into_iter().for_each(Waker::wake),
            State::Done(_) | State::Failed(_) => unreachable!("a child ends once"),
        }
    }

    fn poll_value(&self, cx: &Context<'_>) -> Poll<Result<T, ChildErrorKind>> {
        let mut state = self.state.lock();
        match &mut *state {
            State::Running(waker) => {
                let old = waker.replace(cx.waker().clone());
                drop(state);
                drop(old);
                Poll::Pending
            }
            State::Failed(kind) => Poll::Ready(Err(kind.clone())),
            State::Done(_) => match std::mem::replace(&mut *state, State::Failed(ChildErrorKind::Taken)) {
                State::Done(value) => Poll::Ready(Ok(value)),
                State::Running(_) | State::Failed(_) => {
                    unreachable!("the state was looked at under the same lock")
                }
            },
        }
    }
}

impl<T, E> Child<T, E> {
    pub(super) fn new(cell: Arc<Cell<T>>) -> Self {
        Self { cell, leaf: Leaf::default(), errors: PhantomData }
    }

    /// A child that never starts, because its nursery is being torn down.
    pub(super) fn abandoned(task: TaskInfo, node: Arc<Node>) -> Self {
        let cell = Cell::new(task, node);
        cell.finish(Err(ChildErrorKind::Abandoned));
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
        self.cell.node.cancel(reason.into().at(Location::caller()));
    }

    /// Whether the child has ended.
    pub fn is_finished(&self) -> bool {
        !matches!(*self.cell.state.lock(), State::Running(_))
    }
}

impl<T, E: NurseryError> Future for Child<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(cancelled) = self.leaf.poll(cx) {
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
                Poll::Ready(end.map_err(|kind| {
                    Error::new(ChildError::new(TaskInfo::clone(&self.cell.task), kind)).into()
                }))
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
    pub(super) task: Arc<Record>,
    pub(super) kind: Kind,
    pub(super) place: Place,
    pub(super) failure: Option<Failure>,
}

impl Finished {
    /// A failure that no nursery is there to raise is at least not silent.
    pub(super) fn log_orphan(self, nursery: &Location<'_>) {
        if let Some(failure) = self.failure {
            let reason = failure.reason(&self.task);
            tracing::error!(task = ?self.task, %nursery, %reason, "a child of a dropped nursery failed");
        }
    }
}

/// Whether the nursery waits for a child, or ends it when nothing else is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ordinary,
    Daemon,
}

pub(super) enum Failure {
    Error(Error),
    Panic(Box<dyn Any + Send>),
}

pin_project! {
    /// Runs a child to its end, catches what it throws, stores its value.
    pub(super) struct Runner<T, F> {
        cell: Arc<Cell<T>>,
        kind: Kind,
        place: Place,
        finished: bool,
        #[pin]
        root: Option<Boundary<F>>,
    }

    impl<T, F> PinnedDrop for Runner<T, F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !*this.finished {
                let mut root = this.root;
                root.set(None);
                this.cell.finish(Err(ChildErrorKind::Abandoned));
            }
        }
    }
}

impl<T, F: Future> Runner<T, F> {
    pub(super) fn new(cell: Arc<Cell<T>>, kind: Kind, place: Place, future: F) -> Self {
        let root = Boundary::root(Arc::clone(&cell.node), future);
        Self { cell, kind, place, finished: false, root: Some(root) }
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
        let mut root = this.root;
        let future = root.as_mut().as_pin_mut().expect("a child is not polled after its end");
        // As with `std::thread::scope`, siblings may see what a panicked child left half-written.
        let end = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(end))) => Ok(end.map_err(E::into_error)),
            Ok(Poll::Ready(Err(reason))) => Ok(Err(Cancelled::new(reason).into())),
            Err(payload) => Err(payload),
        };
        // A destructor's panic is a failure of the child too, but not a better one than its own.
        let dropped = catch_unwind(AssertUnwindSafe(|| root.set(None)));
        *this.finished = true;
        let failure = match (end, dropped) {
            (Err(payload), _) | (_, Err(payload)) => {
                let message = PanicError::from_payload(&*payload).message().to_owned();
                this.cell.finish(Err(ChildErrorKind::Panicked(message)));
                Some(Failure::Panic(payload))
            }
            (Ok(Ok(value)), Ok(())) => {
                this.cell.finish(Ok(value));
                None
            }
            (Ok(Err(error)), Ok(())) => match absorb(error, &this.cell.node) {
                Err(reason) => {
                    this.cell.finish(Err(ChildErrorKind::Cancelled(reason.to_string())));
                    None
                }
                Ok(error) => {
                    this.cell.finish(Err(ChildErrorKind::Failed(format!("{error:#}"))));
                    Some(Failure::Error(error))
                }
            },
        };
        Poll::Ready(Finished {
            task: Arc::clone(&this.cell.task),
            kind: *this.kind,
            place: *this.place,
            failure,
        })
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
