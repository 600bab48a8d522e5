//! A snapshot of the tree of tasks.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::record::Record;
use super::waits::{Awaited, TaskWait};
use super::walk;
use crate::cancel::CancelReason;
use crate::cancel::node::Node;
use crate::run::Run;
use crate::task::{TaskId, TaskInfo};

/// The tasks of a run at one moment: plain data.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::{Activity, Awaited, FutureExt as _, nursery, tree};
///
/// nursery(async |n| {
///     let fetch = n.spawn_named("fetch", async { Ok(std::future::pending::<()>().cancellable().await?) });
///     assert_eq!(tree().tasks()[0].activity, Activity::New);
///     tokio::task::yield_now().await;
///     let tree = tree();
///     let state = tree.children_of(None).next().unwrap();
///     assert_eq!((state.info.id(), state.polls), (fetch.id(), 1));
///     assert_eq!(state.waits_for[0].what(), Awaited::Foreign);
///     assert!(tree.to_string().contains("fetch"));
///     n.cancel("seen");
///     Ok(())
/// })
/// .await
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Tree {
    tasks: Vec<TaskState>,
}

/// One task at the moment of the snapshot.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TaskState {
    /// Number, name and spawn location.
    pub info: TaskInfo,
    /// The task whose nursery it is in; `None` for the main task, system tasks, and what runs outside of a main task.
    pub parent: Option<TaskId>,
    /// What it does.
    pub activity: Activity,
    /// What it waits for: nothing while it is new or runs, and several things if it waits for them at once.
    pub waits_for: Vec<TaskWait>,
    /// How often it was polled to the end of the poll.
    pub polls: u64,
    /// For how long it was polled in all.
    pub busy: Duration,
    /// Its longest finished poll.
    pub longest_poll: Duration,
    /// Why it is being cancelled, if it is.
    pub cancelled: Option<CancelReason>,
    /// When a deadline will cancel it, if one will: the earliest of the scopes around it, up to the innermost shield.
    pub deadline: Option<Instant>,
    /// The nurseries that it has open, outermost first.
    pub nurseries: Vec<NurseryState>,
    /// Whether something in it is shielded, or it waits for parallel children, so that a cancel cannot drop it.
    pub held: bool,
    depth: usize,
}

/// An open nursery at the moment of the snapshot.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NurseryState {
    /// What it was called with [`named`](crate::NurseryFuture::named).
    pub name: Option<Cow<'static, str>>,
    /// Where it was opened.
    pub location: &'static Location<'static>,
    /// Why it is being cancelled, if it is.
    pub cancelled: Option<CancelReason>,
}

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activity {
    /// It was not polled yet.
    New,
    /// It waits.
    Idle,
    /// It is being polled, for so long already.
    Running(Duration),
}

/// A snapshot of the tasks of the run that the caller is in: those beneath its main task, its system tasks, and the
/// children of nurseries that were opened outside of both.
///
/// Tasks that were spawned past triune are not in it.
///
/// # Panics
///
/// Outside of a tokio runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::{nursery, tree};
///
/// nursery(async |n| {
///     let parked = n.spawn_named("parked", std::future::pending::<triune_scope::Result>());
///     tokio::task::yield_now().await;
///     let tree = tree();
///     let task = tree.tasks().iter().find(|task| task.info.name() == "parked").unwrap();
///     assert_eq!(task.polls, 1);
///     parked.cancel("seen");
///     Ok(())
/// })
/// .await
/// # }
/// ```
#[track_caller]
pub fn tree() -> Tree {
    Run::current().tree()
}

impl Tree {
    /// Walks from `roots` down, parents before children.
    pub(crate) fn of(roots: Vec<Arc<Node>>) -> Self {
        let mut tasks: Vec<TaskState> = Vec::new();
        walk::each(roots, |node, above: Option<(usize, usize)>| {
            let own = match node.task().zip(node.record()) {
                Some((info, record)) => {
                    let parent = above.map(|(parent, _)| tasks[parent].info.id());
                    let depth = above.map_or(0, |(_, depth)| depth + 1);
                    tasks.push(TaskState::of(node, info, record, parent, depth));
                    Some((tasks.len() - 1, depth))
                }
                None => above,
            };
            let (parent, depth) =
                own.map_or((None, 0), |(own, depth)| (Some(tasks[own].info.id()), depth + 1));
            let announced = node.announced().into_iter();
            tasks.extend(announced.map(|task| TaskState::announced(task, node, parent, depth)));
            if let Some(task) = own.and_then(|(own, _)| tasks.get_mut(own)) {
                task.add_waits(node);
                task.nurseries.extend(NurseryState::of(node));
            }
            own
        });
        Self { tasks }
    }

    /// Every task, parents before their children, siblings in the order of their start as far as it is known.
    pub fn tasks(&self) -> &[TaskState] {
        &self.tasks
    }

    /// The children of a task, or with `None` those that have no parent.
    pub fn children_of(&self, parent: Option<TaskId>) -> impl Iterator<Item = &TaskState> {
        self.tasks.iter().filter(move |task| task.parent == parent)
    }
}

impl Activity {
    pub(crate) fn of(record: &Record) -> Self {
        match (record.running_for(), record.polls()) {
            (Some(time), _) => Self::Running(time),
            (None, 0) => Self::New,
            (None, _) => Self::Idle,
        }
    }
}

impl NurseryState {
    fn of(node: &Node) -> Option<Self> {
        let opening = node.opening()?;
        Some(Self { name: opening.name().cloned(), location: opening.at, cancelled: node.cancel_reason() })
    }
}

impl TaskState {
    fn of(node: &Arc<Node>, info: TaskInfo, record: &Record, parent: Option<TaskId>, depth: usize) -> Self {
        Self {
            info,
            parent,
            activity: Activity::of(record),
            waits_for: Vec::new(),
            polls: record.polls(),
            busy: record.busy(),
            longest_poll: record.longest_poll(),
            cancelled: node.cancel_reason(),
            deadline: if node.is_cancelled() { None } else { node.effective_deadline() },
            nurseries: Vec::new(),
            held: node.is_held(),
            depth,
        }
    }

    /// A child without a node of its own, in the nursery with this node.
    fn announced(info: TaskInfo, nursery: &Arc<Node>, parent: Option<TaskId>, depth: usize) -> Self {
        Self {
            info,
            parent,
            activity: Activity::New,
            waits_for: Vec::new(),
            polls: 0,
            busy: Duration::ZERO,
            longest_poll: Duration::ZERO,
            cancelled: nursery.cancel_reason(),
            deadline: if nursery.is_cancelled() { None } else { nursery.effective_deadline() },
            nurseries: Vec::new(),
            held: false,
            depth,
        }
    }

    /// Adds what is waited for at a node of this task.
    fn add_waits(&mut self, node: &Node) {
        if self.activity != Activity::Idle {
            return;
        }
        let waits = node.waits();
        if !waits.is_empty() {
            self.waits_for.extend(waits);
            return;
        }
        // A scope that was not entered yet, or that of daemons, polls nothing.
        if !node.is_root() && !node.has_entered() {
            return;
        }
        let beneath = node.nodes_beneath();
        if beneath.is_empty() {
            self.waits_for.push(TaskWait::new(Awaited::Foreign, None));
        } else if beneath.iter().all(|node| node.is_root()) {
            self.waits_for.push(TaskWait::new(Awaited::Children, None));
        }
    }
}

/// One line per task, indented beneath its parent.
impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for task in &self.tasks {
            writeln!(f, "{:indent$}{task}", "", indent = task.depth * 2)?;
        }
        Ok(())
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  polls {}  busy {:.1?}  {}", self.info, self.polls, self.busy, self.info.location())?;
        match self.activity {
            Activity::New => f.write_str("  new")?,
            Activity::Idle => {
                for (index, wait) in self.waits_for.iter().enumerate() {
                    write!(f, "{}{wait}", if index == 0 { "  waits for " } else { ", " })?;
                }
            }
            Activity::Running(time) => write!(f, "  running for {time:.1?}")?,
        }
        if let Some(reason) = &self.cancelled {
            write!(f, "  cancelling: {reason}")?;
        }
        if self.held {
            f.write_str("  held")?;
        }
        Ok(())
    }
}
