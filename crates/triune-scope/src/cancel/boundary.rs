//! The future that installs a node around another future and delivers a cancel to it.
//!
//! The algorithm is stated in the module head of `cancel`. A boundary polls its future with the node as ambient,
//! and drops it with the node as ambient too. Where it sits in the tree, what it remembers of its polls and what it does
//! beside is the business of its [`Seat`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use pin_project_lite::pin_project;

use super::ambient::Ambient;
use super::node::{Inherit, Node};
use super::reason::CancelReason;
use super::seat::{Nested, Root, Seat};
use super::turn::Turn;
use crate::instrument::{self, observed};
use crate::lock::atomic::{AtomicBool, Ordering};
use crate::probe::hard_stop;

/// How often a cancelled task may wake itself, without anything beneath coming to its end, before what is left of it is
/// dropped.
pub(crate) const MAX_PASSES: u8 = 64;

/// How often a pass looks again while something beneath was woken by another thread but not yet reached.
const MAX_QUIET_PASSES: u8 = 4;

pin_project! {
    /// Runs a future within a node. Resolves to the reason if a cancel dropped the future.
    #[derive(Debug)]
    pub(crate) struct Seated<F, S: Seat> {
        seat: S,
        #[pin]
        inner: Option<F>,
    }

    impl<F, S: Seat> PinnedDrop for Seated<F, S> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let mut inner = this.inner;
            if inner.is_some() {
                this.seat.within_if_entered(|| inner.set(None));
            }
            this.seat.exited();
            this.seat.leave();
        }
    }
}

/// A boundary somewhere in a task.
pub(crate) type Boundary<F> = Seated<F, Nested>;

/// The outermost boundary of a task.
pub(crate) type RootBoundary<F> = Seated<F, Root>;

/// How often a cancelled boundary was polled.
#[derive(Debug, Default)]
pub(crate) struct Passes {
    done: u8,
    quiet: u8,
    /// Dropping the future is what its owner asked for, not the fallback.
    soft: bool,
}

impl<F> Boundary<F> {
    /// A boundary whose node becomes a child of the ambient node at the first poll.
    pub(crate) fn nested(node: Arc<Node>, inner: F) -> Self {
        Self { seat: Nested::beneath_ambient(node), inner: Some(inner) }
    }

    /// A boundary beneath `to` instead of the ambient node. It is woken like the root of a task, because the boundaries
    /// between it and `to` are not those that poll it.
    pub(crate) fn bound(to: &Arc<Node>, inner: F) -> Self {
        let mut boundary = Self { seat: Nested::beneath(heir(), Arc::clone(to)), inner: Some(inner) };
        // Its await resolves to `Cancelled`.
        boundary.seat.passes().soft = true;
        boundary
    }

    /// As [`nested`](Self::nested), around a foreign await that a cancel is meant to drop.
    pub(crate) fn around_foreign(node: Arc<Node>, inner: F) -> Self {
        let mut boundary = Self::nested(node, inner);
        boundary.seat.passes().soft = true;
        boundary
    }

    /// The outermost boundary of a part of a task that runs on another thread; its node is linked by the caller.
    pub(crate) fn elsewhere(ambient: Ambient, inner: F) -> Self {
        Self { seat: Nested::elsewhere(ambient), inner: Some(inner) }
    }
}

impl<F> RootBoundary<F> {
    /// The outermost boundary of a task, whose node was made by [`Node::task_root`]. It may be polled by anybody.
    pub(crate) fn root(node: Arc<Node>, inner: F) -> Self {
        Self { seat: Root::polled_by_anybody(node), inner: Some(inner) }.told()
    }

    /// As [`root`](Self::root), for a child: what polls it passes the same waker for its whole life, as a tokio task does,
    /// and the set of a nursery.
    pub(crate) fn child(node: Arc<Node>, inner: F) -> Self {
        Self { seat: Root::polled_by_one(node), inner: Some(inner) }.told()
    }

    /// Tells the instruments, if there are any, of the new task. It is whole: whatever a hook does, its end is told as well.
    fn told(self) -> Self {
        if instrument::is_wanted() {
            observed::spawned(self.seat.node());
        }
        self
    }

    /// As [`child`](Self::child), for one that its nursery polls, without a node before [`give`](Self::give).
    pub(crate) fn without_node(inner: F) -> Self {
        Self { seat: Root::without_node(), inner: Some(inner) }
    }

    /// Its node, before the first poll.
    pub(crate) fn give(self: Pin<&mut Self>, node: Arc<Node>) {
        let seat = self.project().seat;
        seat.give(node);
        if instrument::is_wanted() {
            observed::spawned(seat.node());
        }
    }

    /// The node of a boundary that is not being polled, if it has one. A shared reference to the whole would be one to the
    /// future in it, which may refer to itself.
    pub(crate) fn given_node(self: Pin<&mut Self>) -> Option<&Arc<Node>> {
        let seat: &Root = self.project().seat;
        seat.root()
    }

    /// The node of a boundary that is not being polled.
    pub(crate) fn node(&self) -> &Arc<Node> {
        self.seat.node()
    }

    /// Takes the node out of a boundary that has ended.
    pub(crate) fn take_node(self: Pin<&mut Self>) -> Arc<Node> {
        self.project().seat.take_node()
    }
}

impl<F: Future, S: Seat> Future for Seated<F, S> {
    type Output = Result<F::Output, CancelReason>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.seat.is_observed() {
            return poll_observed(this.seat, this.inner, cx);
        }
        poll_seated(this.seat, this.inner, cx)
    }
}

/// A poll that instruments look at.
#[cold]
fn poll_observed<F: Future, S: Seat>(
    seat: &mut S,
    inner: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Poll<Result<F::Output, CancelReason>> {
    let observed = seat.observe();
    match observed.as_ref().and_then(|observed| observed.waker(cx)) {
        None => poll_seated(seat, inner, cx),
        Some(waker) => poll_seated(seat, inner, &mut Context::from_waker(&waker)),
    }
}

#[inline]
fn poll_seated<F: Future, S: Seat>(
    seat: &mut S,
    mut inner: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Poll<Result<F::Output, CancelReason>> {
    seat.enter(cx);
    let moved = seat.follow(cx.waker());
    let armed = seat.node().is_cancelled();
    if armed {
        return poll_cancelled(seat, inner, moved, cx);
    }
    if let Poll::Ready(output) = seat.poll_within(|| poll_once(inner.as_mut(), cx)) {
        seat.leave();
        return Poll::Ready(Ok(output));
    }
    // Only now, because most futures are ready at once and then need no registration.
    if moved {
        seat.register(cx.waker());
    }
    // The flag may have been set between the first look and the registration, or by the poll itself; the deadline
    // may have been moved.
    if seat.node().is_cancelled() || seat.is_late() {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}

/// Polls the future and, when it is ready, drops it: where its destructors see the same scope as its code did.
fn poll_once<F: Future>(mut inner: Pin<&mut Option<F>>, cx: &mut Context<'_>) -> Poll<F::Output> {
    let future = inner.as_mut().as_pin_mut().expect("a boundary is not polled after it has ended");
    let polled = future.poll(cx);
    if polled.is_ready() {
        inner.set(None);
    }
    polled
}

/// A poll with the flag set: one pass.
fn poll_cancelled<F: Future, S: Seat>(
    seat: &mut S,
    mut inner: Pin<&mut Option<F>>,
    moved: bool,
    cx: &mut Context<'_>,
) -> Poll<Result<F::Output, CancelReason>> {
    if is_over(seat.node()) {
        return cut_off(seat, inner);
    }
    if seat.passes().done == 0 {
        seat.node().wake_beneath();
    }
    let recorder = if knows_its_wakes(seat, cx.waker()) { None } else { Some(Recorder::new(cx.waker())) };
    let polled = match &recorder {
        None => seat.poll_within(|| poll_once(inner.as_mut(), cx)),
        Some(recorder) => {
            let waker = Waker::from(Arc::clone(recorder));
            seat.poll_within(|| poll_once(inner.as_mut(), &mut Context::from_waker(&waker)))
        }
    };
    if let Poll::Ready(output) = polled {
        seat.leave();
        return Poll::Ready(Ok(output));
    }
    if moved {
        seat.register(cx.waker());
    }
    let woken = match recorder {
        None => seat.root().and_then(|root| root.turn()).is_some_and(Turn::is_due),
        Some(recorder) => recorder.woken.load(Ordering::Acquire),
    };
    // What ran out of tokio's budget is woken after this poll.
    let woken = woken || !tokio::task::coop::has_budget_remaining();
    if after_pass(seat, woken, cx).is_ready() {
        return cut_off(seat, inner);
    }
    if seat.is_late() {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}

/// Whether the grace is over and nothing must be waited for any more.
fn is_over(node: &Node) -> bool {
    node.is_hard() && !node.is_held()
}

/// After a pass that left the future pending: wait on, or drop it.
fn after_pass(seat: &mut impl Seat, woken: bool, cx: &Context<'_>) -> Poll<()> {
    if seat.node().is_held() {
        // Ends with the shield or the parallel child, which wakes this task.
        return Poll::Pending;
    }
    if seat.node().is_hard() {
        return Poll::Ready(());
    }
    let beneath = !woken && seat.node().has_beneath();
    let passes = seat.passes();
    passes.done = passes.done.saturating_add(1);
    if woken && passes.done < MAX_PASSES {
        return Poll::Pending;
    }
    if woken && seat.node().has_less_beneath() {
        seat.passes().done = 1;
        return Poll::Pending;
    }
    let passes = seat.passes();
    if beneath && passes.quiet < MAX_QUIET_PASSES {
        passes.quiet += 1;
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    Poll::Ready(())
}

/// Drops the future because of a cancel.
fn cut_off<F: Future, S: Seat>(
    seat: &mut S,
    mut inner: Pin<&mut Option<F>>,
) -> Poll<Result<F::Output, CancelReason>> {
    seat.within_if_entered(|| inner.set(None));
    let reason = seat.node().cancel_reason().expect("only a cancelled boundary is cut off");
    if !seat.passes().soft {
        hard_stop::record(seat.root().map(|root| &**root), &reason);
    }
    seat.leave();
    Poll::Ready(Err(reason))
}

/// Whether the waker is the root node of the task, which remembers by itself that it was woken. Of several branches of one
/// task it does not tell which: then this pass waits for the next, and that one comes.
fn knows_its_wakes(seat: &impl Seat, waker: &Waker) -> bool {
    seat.root().is_some_and(|root| root.turn().is_some() && waker.data() == Arc::as_ptr(root).cast())
}

/// Passes wakes on and remembers that there was one.
struct Recorder {
    woken: AtomicBool,
    inner: Waker,
}

impl Recorder {
    fn new(inner: &Waker) -> Arc<Self> {
        Arc::new(Self { woken: AtomicBool::new(false), inner: inner.clone() })
    }
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
