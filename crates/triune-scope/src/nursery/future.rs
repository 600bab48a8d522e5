//! What the parent awaits: runs the body and the in-task children, gathers what fails, ends when all is gone.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures_buffered::FuturesUnordered;
use futures_core::Stream as _;
use pin_project_lite::pin_project;

use super::child::{Failure, Finished, Kind};
use super::core::Core;
use super::handle::{BoxedChild, Nursery, Shared};
use crate::cancel::ambient::{self, Ambient};
use crate::cancel::boundary::{Boundary, heir};
use crate::cancel::node::{Grip, Hold, Place};
use crate::cancel::{CancelReason, Cause};
use crate::error::{Error, ErrorGroup, Member, PanicError, Result};
use crate::run::Run;
use crate::task::TaskInfo;
use crate::task_var::Vars;
use crate::time::timer::Timer;

/// Opens a nursery: runs `body`, which may start children, and returns when the body and every child have ended.
///
/// * The first child (or the body) that fails cancels the others. They may clean up; then the nursery fails with
///   an [`ErrorGroup`] that keeps every error.
/// * A panic of a child cancels the others in the same way and is resumed here, after they have ended.
/// * When the scope around the nursery is cancelled, so are the body and the children. Without errors the nursery
///   then resolves to the body's value, if it got that far, else to `Err(Cancelled)`.
///
/// `body` is written `async |n| { .. }`; children may borrow whatever lives outside of it. The bound is
/// `FnOnce(Nursery) -> Fut`, not `AsyncFnOnce`, because only so is the future `Send` inside `tokio::spawn`.
///
/// # Cancel safety
///
/// When foreign code drops the future (`select!`, `timeout`), children in this task are dropped with it;
/// parallel ones are cancelled, and the [`Run`](crate::Run) waits for them.
///
/// # Errors
///
/// An [`ErrorGroup`], also of one; or a cancel.
///
/// # Panics
///
/// Resumes the panic of the body or of a child.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{Error, nursery};
///
/// let failed = nursery(async |n| {
///     n.spawn_named("fetch", async { Err::<(), _>(Error::msg("connection refused")) });
///     std::future::pending::<()>().await;
///     Ok(())
/// })
/// .await
/// .unwrap_err();
/// assert_eq!(failed.group().unwrap().primary().task().name(), "fetch");
/// # }
/// ```
#[track_caller]
pub fn nursery<'env, F, Fut, T>(body: F) -> NurseryFuture<'env, Fut, T>
where
    F: FnOnce(Nursery<'env>) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let core = Core::new(Location::caller());
    let (handle, shared) = Nursery::new(core);
    NurseryFuture {
        shared,
        body: Some(Boundary::nested(heir(), body(handle))),
        children: FuturesUnordered::new(),
        state: State::default(),
        value: None,
    }
}

pin_project! {
    /// An open nursery; made by [`nursery`].
    #[must_use = "a nursery does nothing unless awaited; await it, or its children never run"]
    pub struct NurseryFuture<'env, Fut, T>
    where
        Fut: Future<Output = Result<T>>,
    {
        shared: Arc<Shared<'env>>,
        #[pin]
        body: Option<Boundary<Fut>>,
        children: FuturesUnordered<BoxedChild<'env>>,
        state: State,
        value: Option<T>,
    }

    impl<Fut, T> PinnedDrop for NurseryFuture<'_, Fut, T>
    where
        Fut: Future<Output = Result<T>>,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.state.closed {
                return;
            }
            let queued = this.shared.abandon();
            this.shared.core.abandon();
            drop(queued);
            drop(std::mem::take(this.children));
            let mut body = this.body;
            body.set(None);
            this.shared.core.close();
        }
    }
}

/// What a running nursery knows apart from its futures.
#[derive(Default)]
struct State {
    /// The nursery's own ambient, in which the body is polled; `None` before the first poll.
    ambient: Option<Ambient>,
    started: Option<Instant>,
    waker: Option<Waker>,
    timer: Timer,
    /// Held while parallel children live: a cancel from above must not drop what waits for them.
    hold: Option<Hold>,
    members: Vec<Member>,
    panic: Option<Box<dyn Any + Send>>,
    stopping_daemons: bool,
    closed: bool,
}

impl<'env, Fut, T> Future for NurseryFuture<'env, Fut, T>
where
    Fut: Future<Output = Result<T>>,
{
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let core = &this.shared.core;
        this.state.enter(core);
        this.state.register(core, cx.waker());
        this.state.timer.poll(&core.node, cx);
        if core.node.is_cancelled() {
            core.node.wake_beneath();
        }
        if let Some(body) = this.body.as_mut().as_pin_mut() {
            let ambient = &mut this.state.ambient;
            let polled = catch_unwind(AssertUnwindSafe(|| ambient::with(ambient, || body.poll(cx))));
            if !matches!(polled, Ok(Poll::Pending)) {
                let dropped = catch_unwind(AssertUnwindSafe(|| this.body.set(None)));
                *this.value = this.state.settle_body(core, polled, dropped);
            }
        }
        let body_done = this.body.is_none();
        poll_children(this.shared, this.children, this.state, body_done, cx);
        this.state.keep_hold(core);
        if !body_done || !this.shared.try_close() {
            return Poll::Pending;
        }
        this.state.closed = true;
        let end = this.state.end(core, this.value.take());
        core.close();
        Poll::Ready(end)
    }
}

/// Polls children until nothing moves any more. Never holds a lock while it polls.
fn poll_children<'env>(
    shared: &Shared<'env>,
    children: &mut FuturesUnordered<BoxedChild<'env>>,
    state: &mut State,
    body_done: bool,
    cx: &mut Context<'_>,
) {
    let core = &shared.core;
    loop {
        let mut moved = false;
        for child in shared.take_queue() {
            children.push(child);
            moved = true;
        }
        for finished in core.take_finished() {
            state.settle(core, finished);
            moved = true;
        }
        if let Poll::Ready(Some(finished)) = Pin::new(&mut *children).poll_next(cx) {
            state.settle(core, finished);
            moved = true;
        }
        if moved {
            continue;
        }
        let only_daemons = body_done && core.living(Kind::Ordinary) == 0 && core.living(Kind::Daemon) > 0;
        if only_daemons && !std::mem::replace(&mut state.stopping_daemons, true) {
            core.cancel_daemons();
            continue;
        }
        return;
    }
}

impl State {
    fn enter(&mut self, core: &Arc<Core>) {
        if self.ambient.is_some() {
            return;
        }
        let (mut task, mut vars) = (None, Vars::default());
        let run = Run::try_current();
        if let Some(above) = ambient::current() {
            core.node.link(&above.node, Place::SameTask);
            (task, vars) = (above.task, above.vars);
        } else if let Some(run) = &run {
            // Outside of every task of triune, for instance under a plain `#[tokio::main]`.
            core.node.link(run.root(), Place::OwnTask);
        }
        core.node.enter();
        self.ambient = Some(Ambient::new(Arc::clone(&core.node), task).with_vars(vars));
        self.started = Some(Instant::now());
        if let Some(run) = run {
            // Nobody else sets it: a nursery is entered once.
            let _first = core.run.set(run);
        }
    }

    fn register(&mut self, core: &Core, waker: &Waker) {
        if self.waker.as_ref().is_some_and(|last| last.will_wake(waker)) {
            return;
        }
        core.set_waker(waker);
        core.node.set_waker(waker);
        self.waker = Some(waker.clone());
        if let Some(ambient) = &mut self.ambient {
            ambient.rehome();
        }
    }

    fn keep_hold(&mut self, core: &Core) {
        match (core.living_parallel() > 0, &self.hold) {
            (true, None) => self.hold = Some(core.node.hold(Grip::Firm)),
            (false, Some(_)) => self.hold = None,
            _ => {}
        }
    }

    /// Counts a child's end and, if it failed, keeps the failure and cancels the others.
    fn settle(&mut self, core: &Core, finished: Finished) {
        core.discount(finished.kind, finished.place);
        if let Some(failure) = finished.failure {
            self.fail(core, failure, TaskInfo::clone(&finished.task));
        }
    }

    fn fail(&mut self, core: &Core, failure: Failure, task: TaskInfo) {
        let secondary = core.node.is_cancelled();
        let reason = failure.reason(&task);
        match failure {
            Failure::Error(error) => {
                let after = self.started.map(|started| started.elapsed()).unwrap_or_default();
                self.members.push(Member::new(error, task, after, secondary));
            }
            Failure::Panic(payload) if self.panic.is_none() => self.panic = Some(payload),
            Failure::Panic(_) => {
                tracing::error!(?task, %reason, "another child panicked; only the first goes on")
            }
        }
        core.node.cancel(reason);
    }

    /// Takes in how the body ended; its value if it has one.
    fn settle_body<T>(
        &mut self,
        core: &Core,
        end: std::thread::Result<Poll<Result<Result<T>, CancelReason>>>,
        dropped: std::thread::Result<()>,
    ) -> Option<T> {
        let failure = match (end, dropped) {
            (Err(payload), _) | (_, Err(payload)) => Failure::Panic(payload),
            (Ok(Poll::Ready(Ok(Ok(value)))), Ok(())) => return Some(value),
            // Cut off, or left by `?` on a cancel of this scope or of one above.
            (Ok(Poll::Ready(Err(_)) | Poll::Pending), Ok(())) => return None,
            (Ok(Poll::Ready(Ok(Err(error)))), Ok(())) if core.node.is_cancelled() && error.is_cancelled() => {
                return None;
            }
            (Ok(Poll::Ready(Ok(Err(error)))), Ok(())) => Failure::Error(error),
        };
        self.fail(core, failure, TaskInfo::named("body", core.opened_at));
        None
    }

    /// What the nursery resolves to, when everything has ended.
    fn end<T>(&mut self, core: &Core, value: Option<T>) -> Result<T> {
        let group = ErrorGroup::gather(core.opened_at, std::mem::take(&mut self.members));
        if let Some(payload) = self.panic.take() {
            if let Some(group) = group {
                let panic = PanicError::from_payload(&*payload);
                tracing::error!(%panic, "these errors came with a panic, which goes on:\n{}", group.report());
            }
            resume_unwind(payload);
        }
        match (group, value) {
            (Some(group), _) => Err(group.into()),
            (None, Some(value)) => Ok(value),
            (None, None) => Err(Error::cancelled(
                core.node.cancel_reason().unwrap_or_else(|| CancelReason::from(Cause::Parent)),
            )),
        }
    }
}

impl<Fut, T> fmt::Debug for NurseryFuture<'_, Fut, T>
where
    Fut: Future<Output = Result<T>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NurseryFuture")
            .field("opened_at", &format_args!("{}", self.shared.core.opened_at))
            .finish_non_exhaustive()
    }
}
