//! What every nursery does when it is polled: runs the body and the in-task children until all have ended.
//!
//! Generic over the boxed child, so that there is one loop for all kinds of nursery. What is counted and kept on the
//! way is in `state`.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::child::Kind;
use super::core::Core;
use super::queue::Shared;
use super::set::{Budget, ChildSet, Member};
use super::state::{End, State};
use crate::cancel::ambient;
use crate::cancel::boundary::{Boundary, heir};
use crate::cancel::turn::Turns;
use crate::error::NurseryError;
use crate::probe::order;

pin_project! {
    /// A nursery whose children in this task are `B`s.
    pub(super) struct Engine<B, Fut, T>
    where
        B: Member,
        B: Unpin,
    {
        pub(super) shared: Arc<Shared<B>>,
        #[pin]
        body: Option<Boundary<Fut>>,
        children: ChildSet<B>,
        pub(super) state: State,
        value: Option<T>,
    }

    impl<B, Fut, T> PinnedDrop for Engine<B, Fut, T>
    where
        B: Member,
        B: Unpin,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.state.is_closed() {
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

impl<B, Fut, T> Engine<B, Fut, T>
where
    B: Member + Unpin,
    Fut: Future,
{
    pub(super) fn new(shared: Arc<Shared<B>>, body: Fut) -> Self {
        Self {
            shared,
            body: Some(Boundary::nested(heir(), body)),
            children: ChildSet::default(),
            state: State::default(),
            value: None,
        }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.shared.core
    }

    pub(super) fn poll_end<E>(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End<T>>
    where
        Fut: Future<Output = Result<T, E>>,
        E: NurseryError,
    {
        let mut this = self.project();
        assert!(!this.state.is_closed(), "a nursery is not polled after it has ended");
        let core = &this.shared.core;
        if !this.state.has_entered() {
            // A loop of nurseries that end at once must let others run, too.
            // Tokio wakes when this poll of the task is over, and not at once: nested nurseries would each be polled again
            // and again within it.
            ready!(tokio::task::coop::poll_proceed(cx)).made_progress();
        }
        this.state.enter(core);
        this.state.register(core, cx.waker());
        let polling = core.turns().map(|turns| turns.polling(cx.waker()));
        this.state.poll_times(core, cx);
        if core.node.is_cancelled()
            && let Some(reason) = core.node.wake_beside_children()
        {
            this.children.rouse(&reason);
        }
        if let Some(body) = this.body.as_mut().as_pin_mut() {
            let ambient = this.state.ambient();
            let polled = catch_unwind(AssertUnwindSafe(|| ambient::with(ambient, || body.poll(cx))));
            if !matches!(polled, Ok(Poll::Pending)) {
                let dropped = catch_unwind(AssertUnwindSafe(|| this.body.set(None)));
                *this.value = this.state.settle_body(core, polled, dropped);
            }
        }
        // By `&mut`: a shared borrow of a future that points into itself is more than the aliasing rules allow.
        let body_done = this.body.as_mut().as_pin_mut().is_none();
        // The body may have started the first child.
        let _polling = polling.or_else(|| core.turns().map(|turns| turns.polling(cx.waker())));
        poll_children(this.shared, this.children, this.state, body_done);
        core.keep_hold();
        if !body_done || !this.shared.try_close() {
            if this.children.is_behind() {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        let end = this.state.close(core, this.value.take());
        core.close();
        Poll::Ready(end)
    }
}

/// Polls the children whose turn it is, and those that start meanwhile. Never holds a lock while it polls.
fn poll_children<B: Member + Unpin>(
    shared: &Shared<B>,
    children: &mut ChildSet<B>,
    state: &mut State,
    body_done: bool,
) {
    let core = &shared.core;
    let mut has_rung = core.turns().is_some_and(|turns| children.gather(turns));
    let mut budget = Budget::new();
    loop {
        let mut moved = false;
        if has_rung {
            moved = true;
            let mut started = shared.take_queue();
            order::shuffle(&mut started);
            children.extend(started);
        }
        for ended in core.take_ended() {
            state.settle(core, ended);
            moved = true;
        }
        while let Some(ended) = children.poll_due(core, &mut budget) {
            state.settle(core, ended);
            moved = true;
        }
        if moved {
            has_rung = core.turns().is_some_and(Turns::has_rung);
            continue;
        }
        let only_daemons = body_done && core.living(Kind::Ordinary) == 0 && core.living(Kind::Daemon) > 0;
        if only_daemons && state.may_stop_daemons() {
            core.cancel_daemons();
        }
        children.end_poll(core);
        return;
    }
}
