//! The life of a task that instruments look at. Nothing here runs where there are none.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use super::hooks::Interest;
use super::set::Instruments;
use crate::cancel::node::Node;
use crate::task::{TaskId, TaskInfo};

/// A task was made; `root` is linked.
#[cold]
pub(crate) fn spawned(root: &Arc<Node>) {
    let Some((set, task)) = looked_at(root) else { return };
    let parent = parent_of(root);
    set.unschedule(task.id());
    set.call(Interest::LIVES, |instrument| instrument.task_spawned(&task, parent));
    scheduled(&set, &task);
}

/// A task has ended, and its future is dropped.
#[cold]
pub(crate) fn exited(root: &Arc<Node>) {
    let Some((set, task)) = looked_at(root) else { return };
    set.forget(task.id());
    set.call(Interest::LIVES, |instrument| instrument.task_exited(&task));
}

/// A poll that is looked at; over when dropped.
pub(crate) struct ObservedPoll {
    set: Arc<Instruments>,
    task: TaskInfo,
}

impl ObservedPoll {
    /// A poll begins.
    #[cold]
    pub(crate) fn begin(root: &Arc<Node>) -> Option<Self> {
        let (set, task) = looked_at(root)?;
        set.unschedule(task.id());
        set.call(Interest::POLLS, |instrument| instrument.before_poll(&task));
        Some(Self { set, task })
    }

    /// The waker for this poll, if somebody wants to know who is scheduled.
    pub(crate) fn waker(&self, cx: &Context<'_>) -> Option<Waker> {
        self.set.want(Interest::SCHEDULES).then(|| {
            let (set, task, inner) = (Arc::clone(&self.set), self.task.clone(), cx.waker().clone());
            Waker::from(Arc::new(ObservedWaker { set, task, inner }))
        })
    }
}

impl Drop for ObservedPoll {
    fn drop(&mut self) {
        self.set.call(Interest::POLLS, |instrument| instrument.after_poll(&self.task));
    }
}

/// Tells who is scheduled before it passes the wake on.
struct ObservedWaker {
    set: Arc<Instruments>,
    task: TaskInfo,
    inner: Waker,
}

impl Wake for ObservedWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        scheduled(&self.set, &self.task);
        self.inner.wake_by_ref();
    }
}

fn scheduled(set: &Instruments, task: &TaskInfo) {
    if set.want(Interest::SCHEDULES) && set.schedule(task.id()) {
        set.call(Interest::SCHEDULES, |instrument| instrument.task_scheduled(task));
    }
}

fn looked_at(root: &Arc<Node>) -> Option<(Arc<Instruments>, TaskInfo)> {
    let task = root.task()?;
    Some((Instruments::of(root)?, task))
}

/// The task whose nursery a task is in.
fn parent_of(root: &Arc<Node>) -> Option<TaskId> {
    let mut next = root.parent();
    while let Some(node) = next {
        if let Some(task) = node.task() {
            return Some(task.id());
        }
        next = node.parent();
    }
    None
}
