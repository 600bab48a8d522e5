//! The children of a nursery as data.

use std::panic::Location;
use std::sync::Arc;

use super::core::Core;
use crate::cancel::CancelReason;
use crate::cancel::node::Node;
use crate::task::{TaskId, TaskInfo};
use crate::tree::Activity;

/// A living child of a nursery at the moment of [`Nursery::children`](crate::Nursery::children). Plain data.
#[derive(Debug, Clone)]
pub struct ChildInfo {
    task: TaskInfo,
    kind: ChildKind,
    activity: Activity,
    cancelled: Option<CancelReason>,
}

/// How a child runs, and whether the nursery waits for its own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildKind {
    /// In the task of the nursery.
    Task,
    /// As a tokio task.
    ParallelTask,
    /// A service in the task of the nursery, ended when nothing else is left.
    Daemon,
    /// A service as a tokio task.
    ParallelDaemon,
}

impl ChildInfo {
    fn of(node: &Node, daemon: bool) -> Option<Self> {
        let (task, record) = node.task().zip(node.record())?;
        let kind = match (daemon, node.is_own_task()) {
            (false, false) => ChildKind::Task,
            (false, true) => ChildKind::ParallelTask,
            (true, false) => ChildKind::Daemon,
            (true, true) => ChildKind::ParallelDaemon,
        };
        Some(Self { task, kind, activity: Activity::of(record), cancelled: node.cancel_reason() })
    }

    fn announced(task: TaskInfo, nursery: &Node) -> Self {
        let cancelled = nursery.cancel_reason();
        Self { task, kind: ChildKind::Task, activity: Activity::New, cancelled }
    }

    /// The child's number.
    pub fn id(&self) -> TaskId {
        self.task.id()
    }

    /// The child's name.
    pub fn name(&self) -> &str {
        self.task.name()
    }

    /// Where the child was spawned.
    pub fn location(&self) -> &'static Location<'static> {
        self.task.location()
    }

    /// How it runs.
    pub fn kind(&self) -> ChildKind {
        self.kind
    }

    /// What it does.
    pub fn activity(&self) -> Activity {
        self.activity
    }

    /// Why it is being cancelled, if it is.
    pub fn cancel_reason(&self) -> Option<&CancelReason> {
        self.cancelled.as_ref()
    }
}

impl Core {
    /// The living children in the order of their start: the tree of scopes is the list.
    pub(super) fn children(&self) -> Vec<ChildInfo> {
        let beneath = |node: &Arc<Node>| node.nodes_beneath();
        let ordinary = beneath(&self.node).into_iter().map(|node| (node, false));
        let daemons = self.daemons().map(beneath).unwrap_or_default().into_iter().map(|node| (node, true));
        let mut children: Vec<ChildInfo> =
            ordinary.chain(daemons).filter_map(|(node, daemon)| ChildInfo::of(&node, daemon)).collect();
        let announced = self.node.announced().into_iter();
        children.extend(announced.map(|task| ChildInfo::announced(task, &self.node)));
        children.sort_by_key(ChildInfo::id);
        children
    }
}
