//! How strictly the processes of a tree are held together: what was asked for, and what is in force.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The variable by which a user chooses the level for a program.
const VARIABLE: &str = "TRIUNE_CONTAINMENT";

/// How strictly the processes of a tree are held together. A later level holds more.
///
/// | level | how | who is gone when a process of the tree is killed |
/// |---|---|---|
/// | `Cooperative` | each process of triune watches its link; process groups | processes of triune, and what stayed in their process groups |
/// | `Tree` | the guardian: parent and subreaper of all | all descendants, also those of `setsid`, a double fork and foreign programs. Not if the root and the guardian are killed in the same instant: then processes of triune die, foreign ones may stay |
/// | `Hard` | the guardian is the first process of a pid namespace | all descendants, whoever is killed in whatever order: the kernel sees to it |
///
/// # Platforms
///
/// Linux 5.4 and later has all three; `Tree` is the default. `Hard` needs `CAP_SYS_ADMIN` or unprivileged user namespaces,
/// which some distributions and most containers deny; then `Tree` is used, and [`containment`] says so. Inside of
/// `Hard`, a process sees its own number and those of its siblings as the namespace has them
/// ([`std::process::id`]), while handles and errors give those of `/proc`.
///
/// Other systems are not supported yet: nothing of triune was ever built or run on macOS, FreeBSD or Windows. What
/// each can offer there is known: macOS only `Cooperative` (it has no subreaper), FreeBSD `Tree` (`procctl` with
/// `PROC_REAP_ACQUIRE`), Windows `Hard` (job objects).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Containment {
    /// Every process of triune looks after itself.
    Cooperative,
    /// A guardian holds the tree. The default on Linux.
    Tree,
    /// The kernel holds the tree.
    Hard,
}

impl Containment {
    pub(crate) const ALL: [Self; 3] = [Self::Cooperative, Self::Tree, Self::Hard];

    /// Its name, as [`FromStr`] takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cooperative => "cooperative",
            Self::Tree => "tree",
            Self::Hard => "hard",
        }
    }
}

impl fmt::Display for Containment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Containment {
    type Err = UnknownContainment;

    fn from_str(text: &str) -> Result<Self, UnknownContainment> {
        let named = Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(text.trim()));
        named.ok_or_else(|| UnknownContainment { text: text.to_owned() })
    }
}

/// A text that names no level.
///
/// ```
/// use triune_process::Containment;
///
/// assert_eq!("Hard".parse(), Ok(Containment::Hard));
/// let error = "strict".parse::<Containment>().unwrap_err();
/// assert_eq!(error.to_string(), "`strict` is no containment level; use cooperative, tree or hard");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownContainment {
    text: String,
}

impl fmt::Display for UnknownContainment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no containment level; use cooperative, tree or hard", self.text)
    }
}

impl std::error::Error for UnknownContainment {}

/// The level could not be chosen: it is in force already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainmentInForce {
    level: Containment,
}

impl fmt::Display for ContainmentInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = self.level;
        write!(
            f,
            "processes of this tree run at the level `{level}` already; choose the level before the first start"
        )
    }
}

impl std::error::Error for ContainmentInForce {}

/// What a process knows of its level.
#[derive(Debug)]
struct Choice {
    /// `None`: nobody has asked yet.
    wanted: Option<Containment>,
    /// Set by the first start.
    in_force: Option<Containment>,
    why_less: Option<String>,
}

static CHOICE: Mutex<Choice> = Mutex::new(Choice { wanted: None, in_force: None, why_less: None });

fn choice() -> MutexGuard<'static, Choice> {
    CHOICE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Choice {
    fn wanted(&mut self) -> Containment {
        *self.wanted.get_or_insert_with(|| match std::env::var(VARIABLE) {
            Ok(text) => text.parse().unwrap_or_else(|error| {
                tracing::warn!(%error, variable = VARIABLE, "using the default level");
                Containment::Tree
            }),
            Err(_) => Containment::Tree,
        })
    }
}

/// How strictly the processes of this tree are held together: the level in force, or, before the first child is
/// started, the one that will be tried. [`ContainmentReport`] says more.
///
/// ```
/// use triune_process::{Containment, containment};
///
/// assert!(containment() >= Containment::Cooperative);
/// ```
#[must_use]
pub fn containment() -> Containment {
    containment_report().level
}

/// The level together with what was asked for, and why it is less if it is.
#[must_use]
pub fn containment_report() -> ContainmentReport {
    let mut choice = choice();
    let wanted = choice.wanted();
    let level = choice.in_force.unwrap_or(wanted);
    ContainmentReport { level, wanted, why_less: choice.why_less.clone() }
}

/// What [`containment_report`] says.
///
/// ```
/// use triune_process::{Containment, containment_report, set_containment};
///
/// set_containment(Containment::Hard)?;
/// let report = containment_report();
/// assert_eq!(report.wanted, Containment::Hard);
/// // Before the first child is started nobody knows whether it can be had.
/// assert_eq!((report.level, report.why_less.as_deref()), (Containment::Hard, None));
/// assert_eq!(report.to_string(), "containment: hard");
/// # Ok::<(), triune_process::ContainmentInForce>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContainmentReport {
    /// The level in force, or the one that will be tried.
    pub level: Containment,
    /// The level that was asked for: by [`set_containment`], by the variable `TRIUNE_CONTAINMENT`, or by default.
    pub wanted: Containment,
    /// Why the level is less than what was asked for.
    pub why_less: Option<String>,
}

impl fmt::Display for ContainmentReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { level, wanted, why_less } = self;
        write!(f, "containment: {level}")?;
        match why_less {
            Some(why) => write!(f, " (not {wanted}: {why})"),
            None => Ok(()),
        }
    }
}

/// Asks for a level, for this program. Call it before the first child is started. It goes before the variable
/// `TRIUNE_CONTAINMENT`, by which a user may ask for one; the default is [`Containment::Tree`].
///
/// # Errors
/// If another level is in force already, because a child was started or this process is one.
///
/// ```
/// use triune_process::{Containment, containment, set_containment};
///
/// set_containment(Containment::Cooperative)?;
/// assert_eq!(containment(), Containment::Cooperative);
/// # Ok::<(), triune_process::ContainmentInForce>(())
/// ```
pub fn set_containment(level: Containment) -> Result<(), ContainmentInForce> {
    let mut choice = choice();
    match choice.in_force {
        Some(in_force) if in_force != level => Err(ContainmentInForce { level: in_force }),
        _ => {
            choice.wanted = Some(level);
            Ok(())
        }
    }
}

/// The level at which the next child is to be started. From now on it is in force.
pub(crate) fn decide() -> Containment {
    let mut choice = choice();
    let wanted = choice.wanted();
    *choice.in_force.get_or_insert(wanted)
}

/// This process is a child, of a tree at this level.
pub(crate) fn inherit(level: Containment) {
    let mut choice = choice();
    choice.wanted = Some(level);
    choice.in_force = Some(level);
}

/// The level could not be had; from now on it is a lower one.
pub(crate) fn lower(to: Containment, why: &str) {
    let mut choice = choice();
    if choice.in_force.is_none_or(|level| level > to) {
        tracing::warn!(level = %to, why, "processes are held together less strictly than was asked for");
        choice.in_force = Some(to);
        choice.why_less = Some(why.to_owned());
    }
}
