//! Who a task is: a number, a name and the place where it was spawned.
//!
//! These are plain data. Errors and reasons hold only such data, never a handle on a task, so that keeping an
//! error keeps nothing alive.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cancel::ambient::{self, Ambient};

/// The number of a task; unique in this process for its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub(crate) u64);

impl TaskId {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The bare number, for reports and for the wire.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// How a task is called and where it came from.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::{current_task, current_task_id, nursery};
///
/// nursery(async |n| {
///     let child = n.spawn_named("fetch", async { Ok(current_task().unwrap()) });
///     let id = child.id();
///     let task = child.await?;
///     assert_eq!((task.id(), task.name()), (id, "fetch"));
///     assert!(task.location().file().ends_with(".rs"));
///     assert_eq!(task.to_string(), format!("fetch#{}", id.get()));
///     Ok(())
/// })
/// .await?;
/// assert_eq!(current_task_id(), None);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TaskInfo {
    id: TaskId,
    name: Name,
    location: &'static Location<'static>,
}

#[derive(Clone)]
enum Name {
    /// The type name of the future; trimmed only when somebody reads it, because spawning is hot.
    Type(fn() -> &'static str),
    Given(Arc<str>),
}

impl TaskInfo {
    pub(crate) fn of_type<F>(location: &'static Location<'static>) -> Self {
        Self { id: TaskId::next(), name: Name::Type(std::any::type_name::<F>), location }
    }

    pub(crate) fn named(name: impl Into<Cow<'static, str>>, location: &'static Location<'static>) -> Self {
        Self { id: TaskId::next(), name: Name::Given(name.into().into()), location }
    }

    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The task's name: the one that was given, else the path of the function whose future it is.
    pub fn name(&self) -> &str {
        match &self.name {
            Name::Given(name) => name,
            Name::Type(path) => trim_type_name(path()),
        }
    }

    /// Where the task was spawned.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl fmt::Debug for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} ({})", self.name(), self.id, self.location)
    }
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name(), self.id)
    }
}

/// The task whose code runs now; `None` outside of a nursery's child and of a run's main task.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::{current_task, nursery};
///
/// nursery(async |n| {
///     let child = n.spawn_named("fetch", async { Ok(current_task().unwrap().name().to_owned()) });
///     assert_eq!(child.await?, "fetch");
///     Ok(())
/// })
/// .await?;
/// assert!(current_task().is_none(), "this is a plain task of tokio");
/// # Ok(()) }
/// ```
pub fn current_task() -> Option<TaskInfo> {
    ambient::peek(Ambient::task).flatten()
}

/// The number of the task whose code runs now, see [`current_task`].
pub fn current_task_id() -> Option<u64> {
    current_task().map(|task| task.id().get())
}

/// `app::crawl::fetch::{{closure}}` reads `crawl::fetch`.
fn trim_type_name(path: &str) -> &str {
    let path = path.split('<').next().unwrap_or(path);
    let end = path.find("::{{").unwrap_or(path.len());
    let path = &path[..end];
    match path.rmatch_indices("::").nth(1) {
        Some((at, _)) => &path[at + 2..],
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::trim_type_name;

    #[test]
    fn a_type_name_is_trimmed_to_module_and_function() {
        assert_eq!(trim_type_name("app::crawl::fetch::{{closure}}"), "crawl::fetch");
        assert_eq!(trim_type_name("fetch"), "fetch");
        assert_eq!(trim_type_name("app::Ready<alloc::vec::Vec<u8>>"), "app::Ready");
    }
}
