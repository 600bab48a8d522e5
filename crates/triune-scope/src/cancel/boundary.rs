//! The future that installs a node around another future and delivers a cancel to it.
//!
//! The algorithm is stated in the module head of `cancel`. A boundary polls its future with the node as ambient,
//! and drops it with the node as ambient too.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use pin_project_lite::pin_project;

use super::ambient::{self, Ambient};
use super::node::{Grip, Hold, Inherit, Node, Place};
use super::reason::CancelReason;
use crate::lock::atomic::{AtomicBool, Ordering};
use crate::probe::hard_stop;
use crate::task::TaskInfo;
use crate::task_var::Vars;
use crate::time::timer::Timer;
use crate::tree::record::Record;

/// How often a cancelled task may wake itself before what is left of it is dropped.
pub(crate) const MAX_PASSES: u32 = 64;

/// How often a pass looks again while something beneath was woken by another thread but not yet reached.
const MAX_QUIET_PASSES: u32 = 4;

pin_project! {
    /// Runs a future within a node. Resolves to the reason if a cancel dropped the future.
    #[derive(Debug)]
    pub(crate) struct Boundary<F> {
        core: Core,
        #[pin]
        inner: Option<F>,
    }

    impl<F> PinnedDrop for Boundary<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let mut inner = this.inner;
            this.core.drop_inner(|| inner.set(None));
            this.core.leave();
        }
    }
}

/// What a boundary knows apart from its future.
#[derive(Debug)]
struct Core {
    entry: Entry,
    /// Installed while the future is polled or dropped; `None` before the first poll.
    ambient: Option<Ambient>,
    last_waker: Option<Waker>,
    timer: Timer,
    /// A shield's own mark on everything above it.
    shielding: Option<Hold>,
    /// At the root of a task: what counts its polls.
    record: Option<Arc<Record>>,
    passes: u32,
    quiet: u32,
    /// Dropping the future is what its owner asked for, not the fallback.
    soft: bool,
}

/// What happens at the first poll.
#[derive(Debug)]
enum Entry {
    /// A node beneath the ambient one.
    Nested(Arc<Node>),
    /// The root of a task, with its variables: its node has a record, and is linked already.
    Root(Arc<Node>, Vars),
    /// A node that is linked already, in the name of a task that has its root on another thread.
    Elsewhere(Ambient),
    /// A node beneath that of another scope, wherever it is polled.
    Bound {
        node: Arc<Node>,
        to: Arc<Node>,
    },
    Entered,
}

impl<F: Future> Boundary<F> {
    /// A boundary whose node becomes a child of the ambient node at the first poll.
    pub(crate) fn nested(node: Arc<Node>, inner: F) -> Self {
        Self { core: Core::new(Entry::Nested(node)), inner: Some(inner) }
    }

    /// A boundary beneath `to` instead of the ambient node. It is woken like the root of a task, because the boundaries
    /// between it and `to` are not those that poll it.
    pub(crate) fn bound(to: &Arc<Node>, inner: F) -> Self {
        let mut core = Core::new(Entry::Bound { node: heir(), to: Arc::clone(to) });
        // Its await resolves to `Cancelled`.
        core.soft = true;
        Self { core, inner: Some(inner) }
    }

    /// The outermost boundary of a child that inherits the caller's task variables; the caller has linked its node and
    /// given it its record.
    pub(crate) fn root(node: Arc<Node>, inner: F) -> Self {
        Self { core: Core::new(Entry::Root(node, ambient::vars())), inner: Some(inner) }
    }

    /// The outermost boundary of a task that belongs to the run and inherits nothing.
    pub(crate) fn system_root(node: Arc<Node>, inner: F) -> Self {
        Self { core: Core::new(Entry::Root(node, Vars::default())), inner: Some(inner) }
    }

    /// As [`nested`](Self::nested), around a foreign await that a cancel is meant to drop.
    pub(crate) fn around_foreign(node: Arc<Node>, inner: F) -> Self {
        let mut boundary = Self::nested(node, inner);
        boundary.core.soft = true;
        boundary
    }

    /// The outermost boundary of a part of a task that runs on another thread; its node is linked by the caller.
    pub(crate) fn elsewhere(ambient: Ambient, inner: F) -> Self {
        Self { core: Core::new(Entry::Elsewhere(ambient)), inner: Some(inner) }
    }
}

impl<F: Future> Future for Boundary<F> {
    type Output = Result<F::Output, CancelReason>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut inner = this.inner;
        let core = this.core;
        core.enter();
        core.watch_time(cx);
        let moved = core.follow(cx.waker());
        let armed = core.is_armed();
        let mut woken = false;
        if armed && core.is_over() {
            core.drop_inner(|| inner.set(None));
            return Poll::Ready(Err(core.leave_cancelled()));
        }
        let polled = {
            let future = inner.as_mut().as_pin_mut().expect("a boundary is not polled after it has ended");
            if armed {
                core.start_pass();
                let recorder =
                    Arc::new(Recorder { woken: AtomicBool::new(false), inner: cx.waker().clone() });
                let waker = Waker::from(Arc::clone(&recorder));
                let polled = core.poll_within(|| future.poll(&mut Context::from_waker(&waker)));
                woken = recorder.woken.load(Ordering::Acquire);
                polled
            } else {
                core.poll_within(|| future.poll(cx))
            }
        };
        match polled {
            Poll::Ready(output) => {
                core.drop_inner(|| inner.set(None));
                core.leave();
                Poll::Ready(Ok(output))
            }
            Poll::Pending => {
                // Only now, because most futures are ready at once and then need no registration.
                if moved {
                    core.register(cx.waker());
                }
                let end = if armed { core.after_pass(woken, cx) } else { Poll::Pending };
                if end.is_pending() {
                    // The flag may have been set between the first look and the registration, or by the poll itself;
                    // the deadline may have been moved.
                    if core.has_news(armed) {
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                }
                core.drop_inner(|| inner.set(None));
                Poll::Ready(Err(core.leave_cancelled()))
            }
        }
    }
}

impl Core {
    fn new(entry: Entry) -> Self {
        Self {
            entry,
            ambient: None,
            last_waker: None,
            timer: Timer::default(),
            shielding: None,
            record: None,
            passes: 0,
            quiet: 0,
            soft: false,
        }
    }

    fn node(&self) -> &Arc<Node> {
        &self.ambient.as_ref().expect("a boundary has entered before its node is used").node
    }

    fn enter(&mut self) {
        match std::mem::replace(&mut self.entry, Entry::Entered) {
            Entry::Entered => {}
            Entry::Root(node, vars) => {
                node.enter();
                self.record = node.record().cloned();
                self.ambient = Some(Ambient::new(node, self.record.clone()).with_vars(vars));
            }
            Entry::Elsewhere(ambient) => {
                ambient.node.enter();
                self.ambient = Some(ambient);
            }
            Entry::Bound { node, to } => {
                node.link(&to, Place::OwnTask);
                node.enter();
                let (task, vars) =
                    ambient::current().map(|above| (above.task, above.vars)).unwrap_or_default();
                self.ambient = Some(Ambient::new(node, task).with_vars(vars));
            }
            Entry::Nested(node) => {
                let (mut task, mut vars) = (None, Vars::default());
                if let Some(above) = ambient::current() {
                    node.link(&above.node, Place::SameTask);
                    if node.is_shield() {
                        self.shielding = Some(above.node.hold(Grip::Soft));
                    }
                    (task, vars) = (above.task, above.vars);
                }
                node.enter();
                self.ambient = Some(Ambient::new(node, task).with_vars(vars));
            }
        }
    }

    /// Whether the future is polled by somebody else than before; then it belongs to the task that polls it now.
    fn follow(&mut self, waker: &Waker) -> bool {
        let moved = !self.last_waker.as_ref().is_some_and(|last| last.will_wake(waker));
        if moved && let Some(ambient) = &mut self.ambient {
            ambient.rehome();
        }
        moved
    }

    fn register(&mut self, waker: &Waker) {
        self.node().set_waker(waker);
        self.last_waker = Some(waker.clone());
    }

    /// The task that the boundary is a part of.
    fn task(&self) -> Option<TaskInfo> {
        let task = self.ambient.as_ref()?.task.as_ref()?;
        Some(TaskInfo::clone(task))
    }

    fn is_armed(&self) -> bool {
        self.node().is_cancelled()
    }

    /// Whether the grace is over and nothing must be waited for any more.
    fn is_over(&self) -> bool {
        let node = self.node();
        node.is_hard() && !node.is_held()
    }

    fn watch_time(&mut self, cx: &mut Context<'_>) {
        if let Some(ambient) = &self.ambient {
            self.timer.poll(&ambient.node, cx);
        }
    }

    fn has_news(&self, armed: bool) -> bool {
        let node = self.node();
        (!armed && node.is_cancelled()) || self.timer.is_stale(node)
    }

    fn start_pass(&self) {
        if self.passes == 0 {
            self.node().wake_beneath();
        }
    }

    /// After a pass that left the future pending: wait on, or drop it.
    fn after_pass(&mut self, woken: bool, cx: &Context<'_>) -> Poll<()> {
        let node = Arc::clone(self.node());
        if node.is_held() {
            // Ends with the shield or the parallel child, which wakes this task.
            return Poll::Pending;
        }
        if node.is_hard() {
            return Poll::Ready(());
        }
        self.passes += 1;
        if woken && self.passes < MAX_PASSES {
            return Poll::Pending;
        }
        if !woken && self.quiet < MAX_QUIET_PASSES && node.has_beneath() {
            self.quiet += 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn within<R>(&mut self, f: impl FnOnce() -> R) -> R {
        ambient::with(&mut self.ambient, f)
    }

    /// Polls the future in its ambient, and counts the poll at the root of a task.
    fn poll_within<R>(&mut self, poll: impl FnOnce() -> R) -> R {
        let Some(record) = self.record.take() else { return self.within(poll) };
        record.poll_began();
        let polled = self.within(poll);
        record.poll_ended();
        self.record = Some(record);
        polled
    }

    /// Drops the future where its destructors see the same scope as its code did.
    fn drop_inner(&mut self, drop_it: impl FnOnce()) {
        if self.ambient.is_some() {
            self.within(drop_it);
        } else {
            drop_it();
        }
    }

    fn leave_cancelled(&mut self) -> CancelReason {
        let reason = self.node().cancel_reason().expect("only a cancelled boundary is cut off");
        self.leave();
        if !self.soft {
            hard_stop::record(self.task(), &reason);
        }
        reason
    }

    fn leave(&mut self) {
        self.shielding = None;
        self.timer.stop();
        match (&self.ambient, &self.entry) {
            (Some(ambient), _) => ambient.node.unlink(),
            (
                None,
                Entry::Root(node, _)
                | Entry::Nested(node)
                | Entry::Bound { node, .. }
                | Entry::Elsewhere(Ambient { node, .. }),
            ) => node.unlink(),
            (None, Entry::Entered) => {}
        }
    }
}

/// Passes wakes on and remembers that there was one.
struct Recorder {
    woken: AtomicBool,
    inner: Waker,
}

impl Wake for Recorder {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.inner.wake_by_ref();
    }
}

/// A node that takes over the cancel from above.
pub(crate) fn heir() -> Arc<Node> {
    Node::new(Inherit::Yes)
}
