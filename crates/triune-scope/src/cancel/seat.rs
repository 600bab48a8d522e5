//! Where a boundary sits: how it gets its place in the tree, and what it keeps between two polls.
//!
//! [`Nested`] is every boundary within a task; [`Root`] is the outermost one, of which there may be a million, so that it
//! keeps nothing that it can do without:
//!
//! 1. A root has no times: its node is not the user's. It holds nothing above it: that is in other tasks.
//! 2. Its ambient is made for each poll; the node itself travels through the thread-local and back, without a count.
//! 3. The root of a child is polled with one waker for its whole life, so that it need not remember it. If the nursery polls
//!    the child itself, its node is that waker, and is registered nowhere; only a waker of the instruments' is.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::ambient::{self, Ambient};
use super::boundary::Passes;
use super::hold::Grip;
use super::node::{Node, Place};
use crate::instrument;
use crate::instrument::observed::{self, ObservedPoll};
use crate::task_var::Vars;
use crate::time::timer::Timer;
use crate::tree::record::Record;

/// What a boundary asks of its place.
pub(crate) trait Seat {
    /// Whether there may be instruments that look at a poll.
    fn is_observed(&self) -> bool {
        false
    }

    /// Tells them of a poll.
    fn observe(&mut self) -> Option<ObservedPoll> {
        None
    }

    /// At the begin of a poll: takes the place in the tree, the first time, and looks at the clock.
    fn enter(&mut self, cx: &mut Context<'_>);

    /// The node of the boundary; after the first [`enter`](Self::enter).
    fn node(&self) -> &Arc<Node>;

    /// Whether the boundary is polled by somebody else than before; then it belongs to the task that polls it now.
    fn follow(&mut self, waker: &Waker) -> bool;

    /// Has the node wake whoever polls.
    fn register(&mut self, waker: &Waker);

    /// Whether a deadline was moved since [`enter`](Self::enter).
    fn is_late(&self) -> bool;

    /// Runs code in the ambient of the boundary.
    fn within<R>(&mut self, run: impl FnOnce() -> R) -> R;

    /// As [`within`](Self::within), for a poll of the future.
    fn poll_within<R>(&mut self, poll: impl FnOnce() -> R) -> R {
        self.within(poll)
    }

    /// As [`within`](Self::within); before the first poll there is no ambient.
    fn within_if_entered(&mut self, run: impl FnOnce());

    fn passes(&mut self) -> &mut Passes;

    /// The node at the root of the task that the boundary is a part of.
    fn root(&self) -> Option<&Arc<Node>>;

    /// Gives the place up. Again does nothing.
    fn leave(&mut self);

    /// Tells the instruments, if there are any, that the future is gone and is not polled any more. Again does nothing.
    fn exited(&mut self) {}
}

/// The place of a boundary within a task.
#[derive(Debug)]
pub(crate) struct Nested {
    entry: Entry,
    /// Installed while the future is polled or dropped; `None` before the first poll.
    ambient: Option<Ambient>,
    last_waker: Option<Waker>,
    timer: Timer,
    passes: Passes,
}

/// What happens at the first poll.
#[derive(Debug)]
enum Entry {
    /// A node beneath the ambient one.
    Nested(Arc<Node>),
    /// A node that is linked already, in the name of a task that has its root on another thread.
    Elsewhere(Ambient),
    /// A node beneath that of another scope, wherever it is polled.
    Bound {
        node: Arc<Node>,
        to: Arc<Node>,
    },
    Entered,
}

impl Nested {
    fn new(entry: Entry) -> Self {
        Self { entry, ambient: None, last_waker: None, timer: Timer::default(), passes: Passes::default() }
    }

    pub(super) fn beneath_ambient(node: Arc<Node>) -> Self {
        Self::new(Entry::Nested(node))
    }

    pub(super) fn beneath(node: Arc<Node>, to: Arc<Node>) -> Self {
        Self::new(Entry::Bound { node, to })
    }

    pub(super) fn elsewhere(ambient: Ambient) -> Self {
        Self::new(Entry::Elsewhere(ambient))
    }

    fn take_place(&mut self) {
        let (node, root, vars) = match std::mem::replace(&mut self.entry, Entry::Entered) {
            Entry::Entered => return,
            Entry::Elsewhere(ambient) => {
                ambient.node.enter();
                self.ambient = Some(ambient);
                return;
            }
            Entry::Bound { node, to } => {
                node.link(&to, Place::OwnTask);
                let (root, vars) =
                    ambient::peek(|above| (above.root().cloned(), above.vars.clone())).unwrap_or_default();
                (node, root, vars)
            }
            Entry::Nested(node) => match ambient::peek(Ambient::inherit) {
                Some((above, root, vars)) => {
                    if node.is_shield() {
                        node.keep_shielding(above.hold(Grip::Soft));
                    }
                    node.link(&above, Place::SameTask);
                    (node, root, vars)
                }
                None => (node, None, Vars::default()),
            },
        };
        node.enter();
        self.ambient = Some(Ambient::new(node, root).with_vars(vars));
    }
}

impl Seat for Nested {
    fn enter(&mut self, cx: &mut Context<'_>) {
        self.take_place();
        if let Some(ambient) = &self.ambient {
            self.timer.poll(&ambient.node, cx);
        }
    }

    fn node(&self) -> &Arc<Node> {
        &self.ambient.as_ref().expect("a boundary has entered before its node is used").node
    }

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

    fn is_late(&self) -> bool {
        self.timer.is_stale(self.node())
    }

    fn within<R>(&mut self, run: impl FnOnce() -> R) -> R {
        ambient::with(&mut self.ambient, run)
    }

    fn within_if_entered(&mut self, run: impl FnOnce()) {
        if self.ambient.is_some() {
            self.within(run);
        } else {
            run();
        }
    }

    fn passes(&mut self) -> &mut Passes {
        &mut self.passes
    }

    fn root(&self) -> Option<&Arc<Node>> {
        self.ambient.as_ref()?.root()
    }

    fn leave(&mut self) {
        self.timer.stop();
        match (&self.ambient, &self.entry) {
            (Some(Ambient { node, .. }), _) => {
                if node.is_shield() {
                    node.stop_shielding();
                }
                node.unlink();
            }
            (
                None,
                Entry::Nested(node) | Entry::Bound { node, .. } | Entry::Elsewhere(Ambient { node, .. }),
            ) => node.unlink(),
            (None, Entry::Entered) => {}
        }
    }
}

/// The place of the outermost boundary of a task.
#[derive(Debug)]
pub(crate) struct Root {
    /// In the thread-local while the future is polled or dropped.
    node: Option<Arc<Node>>,
    entered: bool,
    registered: bool,
    /// The instruments know that it has ended.
    gone: bool,
    /// Whoever polls it passes the same waker each time.
    one_waker: bool,
    passes: Passes,
}

impl Root {
    fn new(node: Arc<Node>, one_waker: bool) -> Self {
        let is_waker = node.turn().is_some();
        Self {
            node: Some(node),
            entered: false,
            registered: is_waker,
            gone: false,
            one_waker,
            passes: Passes::default(),
        }
    }

    pub(super) fn polled_by_anybody(node: Arc<Node>) -> Self {
        Self::new(node, false)
    }

    pub(super) fn polled_by_one(node: Arc<Node>) -> Self {
        Self::new(node, true)
    }

    /// Has no node before [`give`](Self::give).
    pub(super) fn without_node() -> Self {
        Self {
            node: None,
            entered: false,
            registered: true,
            gone: false,
            one_waker: true,
            passes: Passes::default(),
        }
    }

    /// Before the first poll.
    pub(super) fn give(&mut self, node: Arc<Node>) {
        self.node = Some(node);
    }

    /// The boundary has left already.
    pub(super) fn take_node(&mut self) -> Arc<Node> {
        self.exited();
        self.node.take().expect("the node is taken once, after the end")
    }
}

impl Seat for Root {
    fn is_observed(&self) -> bool {
        instrument::is_wanted()
    }

    fn observe(&mut self) -> Option<ObservedPoll> {
        // The poll may come with a waker of its own.
        self.registered = false;
        ObservedPoll::begin(self.node())
    }

    fn enter(&mut self, _cx: &mut Context<'_>) {
        self.entered = true;
    }

    fn node(&self) -> &Arc<Node> {
        self.node.as_ref().expect("the node is away only during a poll")
    }

    fn follow(&mut self, waker: &Waker) -> bool {
        !self.registered || (!self.one_waker && !self.node().is_woken_by(waker))
    }

    fn register(&mut self, waker: &Waker) {
        self.node().set_waker(waker);
        self.registered = true;
    }

    fn is_late(&self) -> bool {
        false
    }

    fn within<R>(&mut self, run: impl FnOnce() -> R) -> R {
        struct Back<'a>(&'a mut Option<Arc<Node>>, Option<Ambient>);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                *self.0 = self.1.take().map(|ambient| ambient.node);
            }
        }
        let ambient = self.node.take().map(|node| {
            let vars = node.vars();
            Ambient::new(node, None).with_vars(vars)
        });
        let mut back = Back(&mut self.node, ambient);
        ambient::with(&mut back.1, run)
    }

    /// Counts the poll.
    fn poll_within<R>(&mut self, poll: impl FnOnce() -> R) -> R {
        let began = self.node().record().map(Record::poll_began);
        let polled = self.within(poll);
        let node = self.node();
        if let (Some(began), Some(record)) = (began, node.record())
            && let Some(took) = record.poll_ended(began)
        {
            warn_of_blocking(node, took);
        }
        polled
    }

    fn within_if_entered(&mut self, run: impl FnOnce()) {
        if self.entered {
            self.within(run);
        } else {
            run();
        }
    }

    fn passes(&mut self) -> &mut Passes {
        &mut self.passes
    }

    fn root(&self) -> Option<&Arc<Node>> {
        self.node.as_ref()
    }

    fn exited(&mut self) {
        if !std::mem::replace(&mut self.gone, true)
            && instrument::is_wanted()
            && let Some(node) = &self.node
        {
            observed::exited(node);
        }
    }

    fn leave(&mut self) {
        let Some(node) = &self.node else { return };
        // Then it goes on to another child, or is retired by the nursery.
        if node.is_on_trial() {
            return;
        }
        if let Some(turn) = node.turn() {
            turn.end();
        }
        // Where nobody else has the node it leaves the tree by being dropped, which is about to happen. The set of a nursery
        // has it, to wake the child.
        let owners = if node.turn().is_some() { 2 } else { 1 };
        if Arc::strong_count(node) > owners {
            node.unlink();
        }
    }
}

/// Warns of a poll that took too long.
#[cold]
fn warn_of_blocking(root: &Node, took: Duration) {
    tracing::warn!(
        task = ?root.task(),
        ?took,
        "a task computed so long without an await: everybody in the same task waited; use `spawn_task`, or a \
         worker job"
    );
}
