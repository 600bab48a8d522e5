//! Which node and task surround the code that runs now, by stack of polls.
//!
//! The ambient is installed for the length of one poll and restored by a guard, also on panic. It carries the id
//! of the tokio task in which it was installed and counts only there: a `LocalSet` or an executor that is polled
//! inside a scope polls strangers' tasks, and these must not see the scope.

use std::cell::RefCell;
use std::sync::Arc;

use super::node::Node;
use crate::task::TaskInfo;
use crate::task_var::Vars;

#[derive(Debug, Clone)]
pub(crate) struct Ambient {
    pub(crate) node: Arc<Node>,
    /// The root of the task that the node is a part of, if it is not the node itself.
    root: Option<Arc<Node>>,
    pub(crate) vars: Vars,
    home: Option<tokio::task::Id>,
}

#[cfg(shuttle)]
use shuttle::thread_local;

thread_local! {
    static CURRENT: RefCell<Option<Ambient>> = const { RefCell::new(None) };
}

impl Ambient {
    /// An ambient for the tokio task that runs now, in which no task variable is set.
    pub(crate) fn new(node: Arc<Node>, root: Option<Arc<Node>>) -> Self {
        Self { node, root, vars: Vars::default(), home: tokio::task::try_id() }
    }

    /// The same with the task variables of somewhere else.
    pub(crate) fn with_vars(self, vars: Vars) -> Self {
        Self { vars, ..self }
    }

    /// The task that runs.
    pub(crate) fn task(&self) -> Option<TaskInfo> {
        self.root()?.task()
    }

    /// The root of the task that runs.
    pub(crate) fn root(&self) -> Option<&Arc<Node>> {
        if self.node.is_root() { Some(&self.node) } else { self.root.as_ref() }
    }

    /// What a boundary beneath takes over: the node above it, the root of the task, the task variables.
    pub(crate) fn inherit(&self) -> (Arc<Node>, Option<Arc<Node>>, Vars) {
        (Arc::clone(&self.node), self.root().cloned(), self.vars.clone())
    }

    /// Follows the future to the tokio task that polls it now.
    pub(crate) fn rehome(&mut self) {
        self.home = tokio::task::try_id();
    }
}

/// The ambient of the code that runs now.
pub(crate) fn current() -> Option<Ambient> {
    peek(Ambient::clone)
}

/// Looks at the ambient of the code that runs now without copying it. `look` must not run code of the user.
pub(crate) fn peek<R>(look: impl FnOnce(&Ambient) -> R) -> Option<R> {
    let look_home = |ambient: &Ambient| (ambient.home == tokio::task::try_id()).then(|| look(ambient));
    // `try_with`: a destructor may run after the thread-local is gone.
    CURRENT.try_with(|current| current.borrow().as_ref().and_then(look_home)).ok().flatten()
}

/// The task variables that the code that runs now sees.
pub(crate) fn vars() -> Vars {
    peek(|ambient| ambient.vars.clone()).unwrap_or_default()
}

/// Runs `f` with the ambient in `slot`, and takes it back afterwards.
pub(crate) fn with<R>(slot: &mut Option<Ambient>, f: impl FnOnce() -> R) -> R {
    struct Restore<'a>(&'a mut Option<Ambient>);
    impl Drop for Restore<'_> {
        fn drop(&mut self) {
            swap(self.0);
        }
    }
    swap(slot);
    let _restore = Restore(slot);
    f()
}

fn swap(slot: &mut Option<Ambient>) {
    // When the thread-local is already destroyed there is no ambient to install, which is right for a destructor.
    let _gone = CURRENT.try_with(|current| std::mem::swap(&mut *current.borrow_mut(), slot));
}
