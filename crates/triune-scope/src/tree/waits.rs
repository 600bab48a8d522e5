//! What a task waits for.

use std::fmt;
use std::panic::Location;

use tokio::time::Instant;

use crate::task::TaskId;

/// What a task waits for at the moment of the snapshot, and where in the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskWait {
    what: Awaited,
    location: Option<&'static Location<'static>>,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Awaited {
    /// A primitive of triune, by the name of its method or of what it waits for.
    Primitive(&'static str),
    /// A moment.
    Time(Instant),
    /// The value of another task.
    Child(TaskId),
    /// The end of the children of a nursery; or something that is not triune's, if the body of the nursery goes on.
    Children,
    /// Something that is not triune's; or only the task's turn, where it yields in a `checkpoint`.
    Foreign,
}

impl TaskWait {
    pub(crate) const fn new(what: Awaited, location: Option<&'static Location<'static>>) -> Self {
        Self { what, location }
    }

    /// For a primitive that was awaited at `location`.
    pub(crate) const fn on(name: &'static str, location: Option<&'static Location<'static>>) -> Self {
        Self::new(Awaited::Primitive(name), location)
    }

    /// For a look at the scope that waits for nothing but its turn.
    pub(crate) const fn checkpoint() -> Self {
        Self::on("checkpoint", None)
    }

    /// What is waited for.
    pub fn what(&self) -> Awaited {
        self.what
    }

    /// Where the wait was called, as far as that is known: of foreign awaits it is not.
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.location
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primitive(name) => f.write_str(name),
            Self::Time(at) => match at.checked_duration_since(Instant::now()) {
                Some(left) => write!(f, "sleep, {left:.1?} left"),
                None => f.write_str("sleep, over"),
            },
            Self::Child(id) => write!(f, "child {id}"),
            Self::Children => f.write_str("its children or a foreign await"),
            Self::Foreign => f.write_str("a foreign await"),
        }
    }
}

impl fmt::Display for TaskWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.location {
            Some(location) => write!(f, "{} at {location}", self.what),
            None => write!(f, "{}", self.what),
        }
    }
}
