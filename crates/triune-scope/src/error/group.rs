//! Several failures of one nursery, in the order in which they happened, none dropped.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::panic::Location;
use std::time::Duration;

use super::{Error, ReportedBy};
use crate::task::TaskInfo;

/// How many members of one group a report shows.
const MAX_SHOWN: usize = 20;

/// The failures of one nursery. A nursery always raises a group, also of one.
///
/// The first member caused the others to be cancelled: it is the [`primary`](Self::primary), and the `source()` of
/// the group. Members that failed after the nursery was cancelled are marked [`secondary`](Member::is_secondary).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{Error, nursery};
///
/// let failed = nursery(async |n| {
///     n.spawn_named("parse", async { Ok("x".parse::<u32>()?) });
///     n.spawn_named("fetch", async { Err::<(), _>(Error::msg("connection refused")) });
///     Ok(())
/// });
/// let error = failed.await.unwrap_err();
/// let group = error.group().unwrap();
/// assert_eq!(group.primary().task().name(), "parse");
/// let names: Vec<&str> = group.iter().map(|member| member.task().name()).collect();
/// assert_eq!(names, ["parse", "fetch"]);
/// assert_eq!(group.downcast_all::<std::num::ParseIntError>().len(), 1);
/// # }
/// ```
#[derive(Debug)]
pub struct ErrorGroup {
    name: Option<Cow<'static, str>>,
    nursery: &'static Location<'static>,
    /// Never empty; the primary is the first.
    members: Vec<Member>,
}

/// One failure in an [`ErrorGroup`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{Error, FutureExt as _, nursery};
///
/// let failed = nursery(async |n| {
///     n.spawn_named("first", async { Err::<(), _>(Error::msg("disk full")) });
///     n.spawn_named("second", async {
///         std::future::pending::<()>().cancellable().await.ok();
///         Err::<(), _>(Error::msg("cannot clean up"))
///     });
///     Ok(())
/// });
/// let error = failed.await.unwrap_err();
/// let members: Vec<_> = error.group().unwrap().iter().collect();
/// assert_eq!((members[0].task().name(), members[0].is_secondary()), ("first", false));
/// assert_eq!((members[1].task().name(), members[1].is_secondary()), ("second", true));
/// assert_eq!(members[1].error().to_string(), "cannot clean up");
/// assert!(members[0].after() <= members[1].after());
/// # }
/// ```
#[derive(Debug)]
pub struct Member {
    error: Error,
    task: TaskInfo,
    after: Duration,
    secondary: bool,
}

impl Member {
    pub(crate) fn new(error: Error, task: TaskInfo, after: Duration, secondary: bool) -> Self {
        Self { error, task, after, secondary }
    }

    /// What went wrong.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// What went wrong, by value.
    pub fn into_error(self) -> Error {
        self.error
    }

    /// The task that failed: its number, name and spawn location. The body of a nursery is called `body`.
    pub fn task(&self) -> &TaskInfo {
        &self.task
    }

    /// When it failed, counted from the start of the nursery.
    pub fn after(&self) -> Duration {
        self.after
    }

    /// Whether the nursery was cancelled already when this happened.
    pub fn is_secondary(&self) -> bool {
        self.secondary
    }
}

impl ErrorGroup {
    /// Gathers members in the order of arrival; `None` when echoes and cancels are all there is.
    pub(crate) fn gather(
        name: Option<Cow<'static, str>>,
        nursery: &'static Location<'static>,
        members: Vec<Member>,
    ) -> Option<Self> {
        let reporters: Vec<u64> = members.iter().map(|member| member.task.id().get()).collect();
        let mut members: Vec<Member> = members
            .into_iter()
            .filter(|member| !is_echo(&member.error, member.task.id().get(), &reporters))
            .collect();
        members.sort_by_key(Member::is_secondary);
        (!members.is_empty()).then_some(Self { name, nursery, members })
    }

    /// The failure that came first.
    pub fn primary(&self) -> &Member {
        &self.members[0]
    }

    /// All failures: first the primary, the secondary ones last, otherwise in the order in which they happened.
    pub fn iter(&self) -> std::slice::Iter<'_, Member> {
        self.members.iter()
    }

    /// How many failures there are; never zero.
    #[expect(clippy::len_without_is_empty, reason = "a group is never empty")]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The name of the nursery, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where the nursery was opened.
    pub fn location(&self) -> &'static Location<'static> {
        self.nursery
    }

    /// The failures by value.
    pub fn into_members(self) -> Vec<Member> {
        self.members
    }

    /// Every error that is not itself a group, through all levels.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use triune_scope::{Error, nursery};
    ///
    /// let failed = nursery(async |n| {
    ///     n.spawn(nursery(async |n| {
    ///         n.spawn(async { Ok("x".parse::<u32>()?) });
    ///         Ok(())
    ///     }));
    ///     Ok(())
    /// });
    /// let error = failed.await.unwrap_err();
    /// let group = error.group().unwrap();
    /// assert!(group.primary().error().group().is_some(), "a group in a group");
    /// assert_eq!(group.flatten()[0].to_string(), "invalid digit found in string");
    /// assert!(group.report().contains("invalid digit"));
    /// # }
    /// ```
    pub fn flatten(&self) -> Vec<&Error> {
        let mut leaves = Vec::new();
        for member in &self.members {
            match member.error.group() {
                Some(group) => leaves.extend(group.flatten()),
                None => leaves.push(&member.error),
            }
        }
        leaves
    }

    /// Every `E` among the errors, through all levels.
    pub fn downcast_all<E: StdError + 'static>(&self) -> Vec<&E> {
        self.flatten().into_iter().filter_map(Error::downcast_ref::<E>).collect()
    }

    /// Divides the direct members by a predicate.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use triune_scope::{Error, ErrorGroup, nursery};
    ///
    /// let failed = nursery(async |n| {
    ///     n.spawn(async { Ok("x".parse::<u32>()?) });
    ///     n.spawn(async { Err::<(), _>(Error::msg("connection refused")) });
    ///     Ok(())
    /// });
    /// let group = failed.await.unwrap_err().downcast::<ErrorGroup>().unwrap();
    /// let (bad_input, rest) = group.split(|error| error.is::<std::num::ParseIntError>());
    /// assert_eq!(bad_input.unwrap().len(), 1);
    /// let rest = rest.unwrap().into_members();
    /// assert_eq!(rest[0].error().to_string(), "connection refused");
    /// # }
    /// ```
    pub fn split(self, mut predicate: impl FnMut(&Error) -> bool) -> (Option<Self>, Option<Self>) {
        let (name, nursery) = (self.name, self.nursery);
        let (yes, no): (Vec<_>, Vec<_>) =
            self.members.into_iter().partition(|member| predicate(&member.error));
        let group = |members: Vec<Member>| {
            (!members.is_empty()).then_some(Self { name: name.clone(), nursery, members })
        };
        (group(yes), group(no))
    }

    /// The group without the cancels in it, at all levels; `None` if nothing else is there.
    pub(super) fn without_cancels(self) -> Option<Self> {
        let strip = |member: Member| {
            let Member { error, task, after, secondary } = member;
            error.without_cancels().map(|error| Member { error, task, after, secondary })
        };
        let members: Vec<_> = self.members.into_iter().filter_map(strip).collect();
        (!members.is_empty()).then_some(Self { members, ..self })
    }

    /// The whole group as a tree of lines: names, places, times, causes. Of a great many members only the first are shown.
    pub fn report(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _infallible = self.write_report(&mut out);
        out
    }

    fn write_report(&self, out: &mut String) -> fmt::Result {
        let (count, noun) = (self.members.len(), if self.members.len() == 1 { "task" } else { "tasks" });
        write!(out, "{count} {noun} failed in the nursery ")?;
        if let Some(name) = &self.name {
            write!(out, "`{name}` ")?;
        }
        writeln!(out, "at {}", self.nursery)?;
        let shown = if count > MAX_SHOWN { MAX_SHOWN } else { count };
        for (index, member) in self.members.iter().take(shown).enumerate() {
            let last = index + 1 == count;
            let (branch, rest) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            write!(out, "{branch}{} after {:.1?}", member.task, member.after)?;
            writeln!(out, "{}", if member.secondary { " (secondary)" } else { "" })?;
            let (error, spawned) =
                (format!("{:?}", member.error), format!("spawned at {}", member.task.location()));
            // Not behind a tree of its own, where nobody would see whose it is.
            let first = member.error.group().is_some();
            let lines = first.then_some(&*spawned).into_iter().chain(error.lines());
            for line in lines.chain((!first).then_some(&*spawned)) {
                writeln!(out, "{rest}{line}")?;
            }
        }
        if shown < count {
            let secondary = self.members[shown..].iter().filter(|member| member.secondary).count();
            writeln!(out, "└─ and {} more, {secondary} of them secondary", count - shown)?;
        }
        Ok(())
    }
}

/// Whether somebody else in the group reports the same failure; for an inner group, all of its failures.
fn is_echo(error: &Error, own: u64, reporters: &[u64]) -> bool {
    match error.group() {
        Some(group) => group.iter().all(|member| is_echo(&member.error, own, reporters)),
        None => ReportedBy::find(error.as_std())
            .is_some_and(|ReportedBy(id)| id != own && reporters.contains(&id)),
    }
}

impl<'a> IntoIterator for &'a ErrorGroup {
    type Item = &'a Member;
    type IntoIter = std::slice::Iter<'a, Member>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ErrorGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return f.write_str(self.report().trim_end());
        }
        let primary = self.primary();
        let text = format!("{:#}", primary.error);
        let mut lines = text.lines();
        write!(f, "task `{}` failed: {}", primary.task, lines.next().unwrap_or_default())?;
        if lines.next().is_some() {
            f.write_str(" …")?;
        }
        match self.members.len() {
            1 => Ok(()),
            2 => f.write_str(" (and 1 more)"),
            more => write!(f, " (and {} more)", more - 1),
        }
    }
}

impl StdError for ErrorGroup {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.primary().error.as_std())
    }
}
