//! Which node and task surround the code that runs now, by stack of polls.
//!
//! The ambient is installed for the length of one poll and restored by a guard, also on panic. It carries the id
//! of the tokio task in which it was installed and counts only there: a `LocalSet` or an executor that is polled
//! inside a scope polls strangers' tasks, and these must not see the scope.

use std::cell::RefCell;
use std::sync::Arc;

use super::node::Node;
use crate::task::TaskInfo;

#[derive(Debug, Clone)]
pub(crate) struct Ambient {
    pub(crate) node: Arc<Node>,
    pub(crate) task: Option<Arc<TaskInfo>>,
    home: Option<tokio::task::Id>,
}

thread_local! {
    static CURRENT: RefCell<Option<Ambient>> = const { RefCell::new(None) };
}

impl Ambient {
    /// An ambient for the tokio task that runs now.
    pub(crate) fn new(node: Arc<Node>, task: Option<Arc<TaskInfo>>) -> Self {
        Self { node, task, home: tokio::task::try_id() }
    }

    /// Follows the future to the tokio task that polls it now.
    pub(crate) fn rehome(&mut self) {
        self.home = tokio::task::try_id();
    }
}

/// The ambient of the code that runs now.
pub(crate) fn current() -> Option<Ambient> {
    // `try_with`: a destructor may run after the thread-local is gone.
    let ambient = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()?;
    (ambient.home == tokio::task::try_id()).then_some(ambient)
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
