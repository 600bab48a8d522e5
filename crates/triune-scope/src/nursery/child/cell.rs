//! What a handle and its child share: who the child is, and where it leaves its value.

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use crate::cancel::CancelReason;
use crate::cancel::node::Node;
use crate::cancel::trial::Trials;
use crate::error::{ChildErrorKind, Result};
use crate::lock::Mutex;
use crate::nursery::core::Core;
use crate::task::TaskInfo;

/// What the handle knows of its child, and where the child leaves its value.
///
/// The child lets go of it as soon as there is no handle: most children are started for what they do.
pub(super) struct Cell<T> {
    task: TaskInfo,
    /// Its root: from the start, or from the first poll.
    node: OnceLock<Arc<Node>>,
    state: Mutex<State<T>>,
}

pub(super) enum State<T> {
    /// Not polled yet, and without a root; why it is cancelled, if it is.
    Announced(Option<Waker>, Option<CancelReason>),
    Running(Option<Waker>),
    Done(T),
    /// Left no value.
    Failed(Why),
}

pub(super) enum Why {
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
    pub(super) fn failed(kind: ChildErrorKind) -> Self {
        Self::Failed(Why::Kind(Box::new(kind)))
    }
}

impl<T> Cell<T> {
    pub(super) fn with_root(node: &Arc<Node>, task: TaskInfo) -> Arc<Self> {
        let node = OnceLock::from(Arc::clone(node));
        Arc::new(Self { task, node, state: Mutex::new(State::Running(None)) })
    }

    pub(super) fn announced(task: TaskInfo) -> Arc<Self> {
        Arc::new(Self { task, node: OnceLock::new(), state: Mutex::new(State::Announced(None, None)) })
    }

    pub(super) fn task(&self) -> &TaskInfo {
        &self.task
    }

    pub(super) fn is_finished(&self) -> bool {
        !matches!(*self.state.lock(), State::Announced(..) | State::Running(_))
    }

    /// The root of a child that has a handle, for its first poll.
    pub(super) fn bear(&self, core: &Core) -> Arc<Node> {
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
    pub(super) fn bear_alone(self, core: &Core, trials: &mut Trials) -> Result<Arc<Node>, Arc<Node>> {
        let Self { task, node: _, mut state } = self;
        // Nobody can reach the child; but a handle that is gone may have cancelled it.
        if let State::Announced(_, Some(reason)) = state.get_mut() {
            let node = core.bear(&task);
            node.cancel(reason.clone());
            return Err(node);
        }
        core.try_out(&task, trials).ok_or_else(|| core.bear(&task))
    }

    pub(super) fn cancel(&self, reason: CancelReason) {
        let mut state = self.state.lock();
        if let Some(node) = self.node.get() {
            drop(state);
            node.cancel(reason);
        } else if let State::Announced(_, cancelled) = &mut *state {
            // Only the first counts.
            cancelled.get_or_insert(reason);
        }
    }

    pub(super) fn has_handle(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }

    /// Stores how the child ended and wakes whoever waits for it.
    pub(super) fn finish(&self, end: State<T>) {
        let old = std::mem::replace(&mut *self.state.lock(), end);
        match old {
            State::Announced(waker, _) | State::Running(waker) => waker.into_iter().for_each(Waker::wake),
            State::Done(_) | State::Failed(_) => unreachable!("a child ends once"),
        }
    }

    pub(super) fn poll_value(&self, cx: &Context<'_>) -> Poll<Result<T, ChildErrorKind>> {
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
