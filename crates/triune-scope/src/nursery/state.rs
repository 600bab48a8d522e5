//! What a running nursery knows apart from its futures: who failed, what is held, how it will end.

use std::any::Any;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::child::{Ended, Failure, absorb};
use super::core::Core;
use super::grace::Grace;
use crate::cancel::ambient::{self, Ambient};
use crate::cancel::node::{Node, Place};
use crate::cancel::{CancelReason, Cause};
use crate::error::{Error, ErrorGroup, Member, NurseryError, NurseryMoved, PanicError, discard};
use crate::run::Run;
use crate::task::TaskInfo;
use crate::task_var::Vars;
use crate::time::timer::Timer;
use crate::tree::ticks;

/// What a nursery does with the panic of its body or of a child.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{PanicError, PanicPolicy, nursery};
///
/// let served = nursery(async |n| {
///     n.spawn(async { if true { panic!("one bad request") } else { Ok(()) } });
///     Ok(())
/// });
/// let error = served.on_panic(PanicPolicy::AsError).await.unwrap_err();
/// assert_eq!(error.downcast_ref::<PanicError>().unwrap().message(), "one bad request");
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PanicPolicy {
    /// The others are cancelled and may clean up; then the panic goes on where the nursery is awaited.
    #[default]
    Propagate,
    /// The panic becomes a [`PanicError`] in the group, and counts as an error in everything else: for servers,
    /// where one bad request must not end the process.
    AsError,
}

/// How a nursery ended.
pub(super) enum End<T> {
    Value(T),
    /// Nothing failed, and a cancel cut the body off.
    Cancelled {
        reason: CancelReason,
        /// The nursery itself was cancelled, and nothing around it is.
        own: bool,
    },
    Failed(ErrorGroup),
}

#[derive(Default)]
pub(super) struct State {
    /// The nursery's own ambient, in which the body is polled; `None` before the first poll.
    ambient: Option<Ambient>,
    /// Where it is, as long as it has not moved away from there.
    origin: Option<Origin>,
    /// In ticks.
    started: Option<u64>,
    waker: Option<Waker>,
    timer: Timer,
    grace: Option<Grace>,
    members: Vec<Member>,
    panic: Option<Box<dyn Any + Send>>,
    on_panic: PanicPolicy,
    supervise: bool,
    stopping_daemons: bool,
    closed: bool,
}

/// Beneath which scope, and in which tokio task, a nursery was first polled.
#[derive(Clone, Copy)]
struct Origin {
    /// The address of the node above, which the nursery keeps alive.
    above: usize,
    tokio_task: Option<tokio::task::Id>,
}

impl State {
    pub(super) fn set_on_panic(&mut self, policy: PanicPolicy) {
        self.on_panic = policy;
    }

    pub(super) fn set_supervise(&mut self) {
        self.supervise = true;
    }

    pub(super) fn set_grace(&mut self, max: Duration) {
        self.grace = Some(Grace::new(max));
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn ambient(&mut self) -> &mut Option<Ambient> {
        &mut self.ambient
    }

    pub(super) fn has_entered(&self) -> bool {
        self.ambient.is_some()
    }

    /// At the first poll: takes its place beneath the scope that is around the caller.
    pub(super) fn enter(&mut self, core: &Arc<Core>) {
        if self.ambient.is_some() {
            return;
        }
        let (mut root, mut vars) = (None, Vars::default());
        let run = Run::try_current();
        if let Some(above) = ambient::current() {
            self.link(core, &above.node, Place::SameTask);
            self.origin =
                Some(Origin { above: Arc::as_ptr(&above.node).addr(), tokio_task: tokio::task::try_id() });
            root = above.root().cloned();
            vars = above.vars;
            if root.is_none()
                && let Some(run) = &run
            {
                run.adopt(&above.node);
            }
        } else if let Some(run) = &run {
            // Outside of every task of triune, for instance under a plain `#[tokio::main]`.
            self.link(core, run.root(), Place::OwnTask);
        }
        core.node.enter();
        self.ambient = Some(Ambient::new(Arc::clone(&core.node), root).with_vars(vars));
        self.started = Some(ticks::now());
        if let Some(run) = run {
            // Nobody else sets it: a nursery is entered once.
            let _first = core.run.set(run);
        }
    }

    fn link(&mut self, core: &Core, above: &Arc<Node>, place: Place) {
        match &mut self.grace {
            Some(grace) => grace.enter(&core.node, above, place),
            None => core.node.link(above, place),
        }
    }

    pub(super) fn register(&mut self, core: &Core, waker: &Waker) {
        if self.waker.as_ref().is_some_and(|last| last.will_wake(waker)) {
            return;
        }
        if self.waker.is_some() && self.has_moved() {
            self.refuse_move(core);
        }
        core.set_waker(waker);
        core.node.set_waker(waker);
        if let Some(grace) = &self.grace {
            grace.register(waker);
        }
        self.waker = Some(waker.clone());
        if let Some(ambient) = &mut self.ambient {
            ambient.rehome();
        }
    }

    /// Whether another task polls it, beneath another scope; once. With the scope around it a nursery may move.
    fn has_moved(&mut self) -> bool {
        let Some(Origin { above, tokio_task }) = self.origin else { return false };
        let here = ambient::peek(|here| {
            (Arc::as_ptr(&here.node).addr() == above, here.task().map(|task| task.id()))
        });
        let first = self.ambient.as_ref().and_then(Ambient::task).map(|task| task.id());
        let moved = match here {
            Some((is_above, _)) if is_above => false,
            Some((_, task)) => task != first || tokio::task::try_id() != tokio_task,
            None => true,
        };
        if moved {
            self.origin = None;
        }
        moved
    }

    fn refuse_move(&mut self, core: &Core) {
        let first = self.ambient.as_ref().and_then(Ambient::task);
        let error = Error::new(NurseryMoved::new(core.opened_at(), first));
        let reason = self.fail(core, Failure::Error(error), TaskInfo::named("nursery", core.opened_at()));
        core.node.cancel(reason);
    }

    /// Notices a passed deadline, and for a shielded nursery that its grace is over.
    pub(super) fn poll_times(&mut self, core: &Core, cx: &mut Context<'_>) {
        self.timer.poll(&core.node, cx);
        if let Some(grace) = &mut self.grace {
            grace.poll(cx);
        }
    }

    /// Whether the daemons must be told now that nothing else is left; only once.
    pub(super) fn may_stop_daemons(&mut self) -> bool {
        !std::mem::replace(&mut self.stopping_daemons, true)
    }

    /// Counts a child's end and, if it failed, keeps the failure and cancels the others.
    pub(super) fn settle(&mut self, core: &Core, ended: Ended) {
        core.discount(ended.kind, ended.place);
        if let Some((task, failure)) = ended.failure {
            let reason = self.fail(core, failure, task);
            // A panic that will go on upwards is everybody's business, also under supervision.
            if !self.supervise || self.panic.is_some() {
                core.node.cancel(reason);
            }
        }
    }

    /// Keeps a failure; with which reason the others are to be cancelled.
    fn fail(&mut self, core: &Core, failure: Failure, task: TaskInfo) -> CancelReason {
        let failure = match (failure, self.on_panic) {
            (Failure::Panic(payload), PanicPolicy::AsError) => {
                Failure::Error(PanicError::caught(payload).into())
            }
            (failure, _) => failure,
        };
        let reason = failure.reason(&task);
        match failure {
            Failure::Error(error) => {
                let secondary = core.node.is_cancelled();
                let after = self
                    .started
                    .map(|started| ticks::duration(ticks::now().saturating_sub(started)))
                    .unwrap_or_default();
                self.members.push(Member::new(error, task, after, secondary));
            }
            Failure::Panic(payload) if self.panic.is_none() => self.panic = Some(payload),
            Failure::Panic(payload) => {
                discard(payload);
                tracing::error!(?task, %reason, "another child panicked; only the first goes on");
            }
        }
        reason
    }

    /// Takes in how the body ended; its value if it has one.
    pub(super) fn settle_body<T, E: NurseryError>(
        &mut self,
        core: &Core,
        end: std::thread::Result<Poll<Result<Result<T, E>, CancelReason>>>,
        dropped: std::thread::Result<()>,
    ) -> Option<T> {
        let failure = match (end, dropped) {
            (Err(payload), dropped) => {
                dropped.err().into_iter().for_each(discard);
                Failure::Panic(payload)
            }
            (Ok(_), Err(payload)) => Failure::Panic(payload),
            (Ok(Poll::Ready(Ok(Ok(value)))), Ok(())) => return Some(value),
            // Cut off by a cancel of this scope or of one above.
            (Ok(Poll::Ready(Err(_)) | Poll::Pending), Ok(())) => return None,
            (Ok(Poll::Ready(Ok(Err(error)))), Ok(())) => match absorb(error.into_error(), &core.node) {
                Ok(error) => Failure::Error(error),
                // Left by `?` on such a cancel.
                Err(_) => return None,
            },
        };
        let reason = self.fail(core, failure, TaskInfo::named("body", core.opened_at()));
        core.node.cancel(reason);
        None
    }

    /// What the nursery resolves to, when everything has ended. Resumes a panic.
    pub(super) fn close<T>(&mut self, core: &Core, value: Option<T>) -> End<T> {
        self.closed = true;
        self.grace = None;
        self.timer.stop();
        let members = std::mem::take(&mut self.members);
        let group = ErrorGroup::gather(core.name().cloned(), core.opened_at(), members);
        if let Some(payload) = self.panic.take() {
            core.close();
            if let Some(group) = group {
                let panic = PanicError::from_payload(&*payload);
                tracing::error!(%panic, "these errors came with a panic, which goes on:\n{}", group.report());
            }
            resume_unwind(payload);
        }
        match (group, value) {
            (Some(group), _) => End::Failed(group),
            (None, Some(value)) => End::Value(value),
            (None, None) => {
                let above = ambient::peek(|above| above.node.cancel_reason()).flatten();
                let own = above.is_none() && core.node.is_called();
                let reason = core.node.cancel_reason().or(above);
                End::Cancelled { reason: reason.unwrap_or_else(|| CancelReason::from(Cause::Parent)), own }
            }
        }
    }
}

impl<T> End<T> {
    pub(super) fn into_result<E: NurseryError>(self) -> Result<T, E> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Cancelled { reason, .. } => Err(Error::cancelled(reason).into()),
            Self::Failed(group) => Err(Error::new(group).into()),
        }
    }

    pub(super) fn into_optional<E: NurseryError>(self) -> Result<Option<T>, E> {
        match self {
            Self::Cancelled { own: true, .. } => Ok(None),
            other => other.into_result().map(Some),
        }
    }
}
