//! What the handle, the future and the parallel children of one nursery share; it knows nothing of `'env`.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use super::child::{Ended, Kind};
use crate::cancel::ambient;
use crate::cancel::boundary::heir;
use crate::cancel::flags::Flag;
use crate::cancel::hold::{Grip, Hold};
use crate::cancel::node::{Inherit, Node, Place};
use crate::cancel::trial::Trials;
use crate::cancel::turn::Turns;
use crate::cancel::{CancelReason, CancelScope, Cause};
use crate::lock::Mutex;
use crate::probe::census;
use crate::run::Run;
use crate::task::TaskInfo;
use crate::tree::record::{Opening, Record};

pub(super) struct Core {
    /// The scope of the nursery: body and children are beneath it.
    pub(super) scope: CancelScope,
    pub(super) node: Arc<Node>,
    /// The scope of the daemons, beneath `node`; made with the first daemon.
    daemons: OnceLock<Arc<Node>>,
    /// Children, by kind, whose end the nursery has not settled yet.
    ordinary: Count,
    daemon: Count,
    /// Those that are tokio tasks and have not ended.
    running: Running,
    /// Held while they run: a cancel from above must not drop what waits for them.
    hold: Mutex<Option<Hold>>,
    holds: AtomicBool,
    mail: Mutex<Mail>,
    /// Of the children in the task of the nursery; made with the first of them.
    turns: OnceLock<Arc<Turns>>,
    /// The run, and with it the runtime, in which the nursery was first polled: parallel children start there.
    pub(super) run: OnceLock<Run>,
    _census: census::Entry,
}

/// Counts the children of one kind that the nursery settles.
#[derive(Default)]
struct Count {
    /// In the task of the nursery; written under the lock of the queue.
    started: AtomicUsize,
    /// Of these; written by the nursery's future.
    settled: AtomicUsize,
    /// Parallel ones that ended with a failure, which is in the mail.
    failed: AtomicUsize,
}

impl Count {
    fn start(&self) {
        self.started.store(self.started.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    fn settle(&self) {
        self.settled.store(self.settled.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    fn living(&self) -> usize {
        // In this order, so that no child is settled that did not start.
        let settled = self.settled.load(Ordering::Acquire);
        self.started.load(Ordering::Acquire) - settled + self.failed.load(Ordering::Acquire)
    }
}

/// Counts the parallel children that run, of both kinds in one number: a start and an end are one atomic operation each.
#[derive(Default)]
struct Running(AtomicU64);

impl Running {
    const fn one(kind: Kind) -> u64 {
        match kind {
            Kind::Ordinary => 1,
            Kind::Daemon => 1 << 32,
        }
    }

    fn of(number: u64, kind: Kind) -> usize {
        let half = match kind {
            Kind::Ordinary => number & u64::from(u32::MAX),
            Kind::Daemon => number >> 32,
        };
        usize::try_from(half).expect("fewer than four billion children fit into memory")
    }

    fn count(&self, kind: Kind) -> usize {
        Self::of(self.0.load(Ordering::Acquire), kind)
    }

    fn is_none(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    /// One more; whether it is the only one.
    fn start(&self, kind: Kind) -> bool {
        self.0.fetch_add(Self::one(kind), Ordering::AcqRel) == 0
    }

    /// One less; whether it was the last of all, and the last ordinary one.
    fn end(&self, kind: Kind) -> (bool, bool) {
        let before = self.0.fetch_sub(Self::one(kind), Ordering::AcqRel);
        (before == Self::one(kind), kind == Kind::Ordinary && Self::of(before, kind) == 1)
    }
}

/// What arrives for the nursery from other tasks.
#[derive(Default)]
struct Mail {
    waker: Option<Waker>,
    ended: Vec<Ended>,
    /// The nursery was dropped: nobody reads the mail any more.
    abandoned: bool,
}

impl Core {
    pub(super) fn new(opened_at: &'static Location<'static>) -> Arc<Self> {
        let node = Node::nursery(Opening::new(opened_at));
        Arc::new(Self {
            scope: CancelScope::of(Arc::clone(&node)),
            node,
            daemons: OnceLock::new(),
            ordinary: Count::default(),
            daemon: Count::default(),
            running: Running::default(),
            hold: Mutex::new(None),
            holds: AtomicBool::new(false),
            mail: Mutex::default(),
            turns: OnceLock::new(),
            run: OnceLock::new(),
            _census: census::Entry::new(census::Kind::Nursery),
        })
    }

    pub(super) fn opened_at(&self) -> &'static Location<'static> {
        self.opening().at
    }

    /// What it was called with `named`.
    pub(super) fn name(&self) -> Option<&Cow<'static, str>> {
        self.opening().name()
    }

    /// A second name is ignored.
    pub(super) fn set_name(&self, name: Cow<'static, str>) {
        self.opening().set_name(name);
    }

    fn opening(&self) -> &Opening {
        self.node.opening().expect("the node was made for a nursery")
    }

    /// What the `Debug` of a handle shows.
    pub(super) fn describe(&self, what: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct(what);
        if let Some(name) = self.name() {
            shown.field("name", name);
        }
        shown
            .field("opened_at", &format_args!("{}", self.opened_at()))
            .field("children", &self.living(Kind::Ordinary))
            .field("daemons", &self.living(Kind::Daemon))
            .finish_non_exhaustive()
    }

    /// The root of a new child, linked beneath the nursery.
    pub(super) fn new_child(&self, kind: Kind, place: Place, info: TaskInfo) -> Arc<Node> {
        let vars = ambient::vars();
        let parent = match kind {
            Kind::Ordinary => &self.node,
            Kind::Daemon => self.daemons.get_or_init(|| {
                let daemons = heir();
                daemons.link(&self.node, Place::SameTask);
                daemons
            }),
        };
        let node = match place {
            Place::OwnTask => Node::task_root(parent, Inherit::Yes, info, Record::child(), vars),
            Place::SameTask => {
                let turns = self.turns.get_or_init(Arc::default);
                Node::child_root(parent, info, Arc::clone(turns), vars)
            }
        };
        if kind == Kind::Daemon {
            node.raise(Flag::Daemon);
        }
        node
    }

    /// Shows an ordinary child in the task of the nursery, which gets a node with its first poll.
    pub(super) fn announce(&self, task: TaskInfo) {
        self.turns.get_or_init(Arc::default);
        self.node.announce(task);
    }

    /// The root of its own for a child that was announced.
    pub(super) fn bear(&self, task: &TaskInfo) -> Arc<Node> {
        self.node.own_root(task, self.turns.get_or_init(Arc::default))
    }

    /// The root of a child that was announced and that nobody can reach, on trial; `None` if it should have one of its own.
    pub(super) fn try_out(&self, task: &TaskInfo, trials: &mut Trials) -> Option<Arc<Node>> {
        self.node.try_out(task, trials, self.turns.get_or_init(Arc::default))
    }

    /// The root of a child that is polled where it is started, which nobody can reach; `None` if it is to be queued.
    pub(super) fn try_here(&self, task: &TaskInfo) -> Option<Arc<Node>> {
        self.node.try_here(task, self.turns.get_or_init(Arc::default))
    }

    /// It has parked: the root is its own.
    pub(super) fn keep_here(&self, root: &Arc<Node>) {
        self.node.keep_trial(root);
    }

    /// It has ended in its first poll.
    pub(super) fn end_here(&self, root: Arc<Node>) {
        self.node.end_trials();
        drop(root);
    }

    /// It has failed in its first poll.
    pub(super) fn report_here(&self, ended: Ended) {
        self.counter(ended.kind).failed.fetch_add(1, Ordering::AcqRel);
        // It was never counted as one in the task of the nursery.
        self.post(Ended { place: Place::OwnTask, ..ended });
    }

    /// The turns of the children in the task of the nursery, if there were any.
    pub(super) fn turns(&self) -> Option<&Turns> {
        self.turns.get().map(|turns| &**turns)
    }

    /// The scope of the daemons, if there was one.
    pub(super) fn daemons(&self) -> Option<&Arc<Node>> {
        self.daemons.get()
    }

    /// Ends the daemons: nothing else is left.
    pub(super) fn cancel_daemons(&self) {
        if let Some(daemons) = self.daemons.get() {
            daemons.cancel(Cause::Finished.into());
            // They have no boundary in common that would make the pass for those in this task.
            daemons.wake_beneath();
        }
    }

    /// A child waits in the queue for its first poll.
    pub(super) fn ring(&self) {
        if self.turns().is_none_or(Turns::ring) {
            self.wake();
        }
    }

    /// Has the nursery polled again.
    pub(super) fn wake(&self) {
        let waker = self.mail.lock().waker.clone();
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) fn set_waker(&self, waker: &Waker) {
        let old = self.mail.lock().waker.replace(waker.clone());
        drop(old);
    }

    /// Holds what is above while parallel children run. The last one gives it up, not the nursery when it is polled next:
    /// that may never happen.
    pub(super) fn keep_hold(&self) {
        if self.running.is_none() || self.holds.load(Ordering::Acquire) {
            return;
        }
        let hold = self.node.hold(Grip::Firm);
        let old = self.hold.lock().replace(hold);
        drop(old);
        self.holds.store(true, Ordering::Release);
        if self.running.is_none() {
            self.release();
        }
    }

    fn release(&self) {
        if self.holds.swap(false, Ordering::AcqRel) {
            let hold = self.hold.lock().take();
            drop(hold);
        }
    }

    /// A parallel child has ended, and nothing of it is left.
    pub(super) fn report(&self, ended: Ended) {
        let kind = ended.kind;
        if ended.failure.is_some() {
            // Before it runs no more: meanwhile it counts twice, and never not at all.
            self.counter(kind).failed.fetch_add(1, Ordering::AcqRel);
            self.post(ended);
        }
        let (is_last, is_last_ordinary) = self.running.end(kind);
        if is_last {
            self.release();
        }
        if is_last_ordinary || is_last {
            self.wake();
        }
    }

    fn post(&self, ended: Ended) {
        let mut mail = self.mail.lock();
        if mail.abandoned {
            drop(mail);
            ended.log_orphan(self.opened_at());
            return;
        }
        mail.ended.push(ended);
        // The nursery takes all of it.
        let waker = if mail.ended.len() == 1 { mail.waker.clone() } else { None };
        drop(mail);
        waker.into_iter().for_each(Waker::wake);
    }

    /// A child starts; the caller holds the lock of the queue, so that the queue is not closed meanwhile. Says whether it
    /// is the only parallel one.
    pub(super) fn count(&self, kind: Kind, place: Place) -> bool {
        match place {
            Place::SameTask => {
                self.counter(kind).start();
                false
            }
            Place::OwnTask => self.running.start(kind),
        }
    }

    /// A child's end has been settled, by the nursery's future.
    pub(super) fn discount(&self, kind: Kind, place: Place) {
        match place {
            Place::SameTask => self.counter(kind).settle(),
            Place::OwnTask => drop(self.counter(kind).failed.fetch_sub(1, Ordering::AcqRel)),
        }
    }

    fn counter(&self, kind: Kind) -> &Count {
        match kind {
            Kind::Ordinary => &self.ordinary,
            Kind::Daemon => &self.daemon,
        }
    }

    /// How many children of a kind have not ended, or are not settled. Exact for who holds the lock of the queue and is the
    /// nursery's future, else of some moment.
    pub(super) fn living(&self, kind: Kind) -> usize {
        // In this order, because a parallel child that fails goes from the one to the other.
        let running = self.running.count(kind);
        running + self.counter(kind).living()
    }

    pub(super) fn take_ended(&self) -> Vec<Ended> {
        if [&self.ordinary, &self.daemon].iter().all(|count| count.failed.load(Ordering::Acquire) == 0) {
            return Vec::new();
        }
        std::mem::take(&mut self.mail.lock().ended)
    }

    /// The nursery is over: nothing of it stays in the tree.
    pub(super) fn close(&self) {
        self.node.end_trials();
        self.node.forget_announced();
        if let Some(daemons) = self.daemons.get() {
            daemons.unlink();
        }
        self.node.unlink();
        if let Some(turns) = self.turns() {
            turns.close();
        }
        self.release();
        let waker = self.mail.lock().waker.take();
        drop(waker);
    }

    /// The nursery's future was dropped: parallel children are asked to end, and belong to the run now.
    pub(super) fn abandon(&self) {
        let left = {
            let mut mail = self.mail.lock();
            mail.abandoned = true;
            mail.waker = None;
            std::mem::take(&mut mail.ended)
        };
        left.into_iter().for_each(|ended| ended.log_orphan(self.opened_at()));
        self.node.cancel(CancelReason::new(
            Cause::Dropped,
            format!("the nursery at {} was dropped", self.opened_at()),
        ));
        let living = self.running.count(Kind::Ordinary) + self.running.count(Kind::Daemon);
        if living > 0 {
            tracing::warn!(
                nursery = %self.opened_at(),
                children = living,
                "a nursery was dropped before its end; its parallel children were cancelled and the run waits for them"
            );
        }
    }
}
