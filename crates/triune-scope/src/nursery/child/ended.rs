//! How a child ended, and what that is to its nursery.

use std::any::Any;
use std::panic::Location;
use std::sync::Arc;

use crate::cancel::flags::Flag;
use crate::cancel::node::{Node, Place};
use crate::cancel::{CancelReason, Cause};
use crate::error::{Error, PanicError, Result, discard};
use crate::task::TaskInfo;

/// How a child ended, for the nursery.
pub(crate) struct Finished {
    pub(crate) root: Arc<Node>,
    pub(crate) failure: Option<Failure>,
}

/// The same without the root of the child.
pub(crate) struct Ended {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) failure: Option<(TaskInfo, Failure)>,
}

impl Finished {
    /// What the nursery settles, and the root.
    pub(crate) fn end(self) -> (Ended, Arc<Node>) {
        let Self { root, failure } = self;
        let kind = Kind::of(&root);
        let place = if root.is_own_task() { Place::OwnTask } else { Place::SameTask };
        let failure = failure.map(|failure| (root.task().expect("it is the root of a task"), failure));
        (Ended { kind, place, failure }, root)
    }
}

impl Ended {
    /// A failure that no nursery is there to raise is at least not silent.
    pub(crate) fn log_orphan(self, nursery: &Location<'_>) {
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
pub(crate) enum Kind {
    Ordinary,
    Daemon,
}

impl Kind {
    /// That of the child with this root.
    pub(crate) fn of(root: &Node) -> Self {
        if root.has(Flag::Daemon) { Self::Daemon } else { Self::Ordinary }
    }
}

pub(crate) enum Failure {
    Error(Error),
    Panic(Box<dyn Any + Send>),
}

impl Failure {
    /// The reason with which the siblings are cancelled.
    pub(crate) fn reason(&self, task: &TaskInfo) -> CancelReason {
        match self {
            Self::Error(error) => CancelReason::new(Cause::Sibling, format!("{error:#}")),
            Self::Panic(payload) => {
                CancelReason::new(Cause::Panic, PanicError::from_payload(&**payload).message().to_owned())
            }
        }
        .with_by(task.to_string())
    }
}

/// What is left of an error when the cancels that the scope itself caused are taken out; the reason if nothing is.
///
/// The state of the scope decides first: in a scope that was not cancelled, a cancel is an error like others.
pub(crate) fn absorb(error: Error, node: &Node) -> Result<Error, CancelReason> {
    match node.cancel_reason() {
        None => Ok(error),
        Some(reason) => error.without_cancels().ok_or(reason),
    }
}
