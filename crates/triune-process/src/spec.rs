//! What to start: the role, the name, and everything that the child is to be given.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::limits::Limits;
use crate::program::Program;
use crate::stdio::Stdio;
use crate::{sys, tree};

/// How long a child may clean up when its owner is gone, unless told otherwise.
const GRACE: Duration = Duration::from_millis(500);

/// What child to start: the role that it plays, its name, and what it is given.
///
/// A child has the environment and the current folder of its owner, as they are at the start; its standard input is
/// empty. Everything else that a process passes on (user, mask for new files, priority, affinity) is that of the root at
/// the time of its first start.
///
/// ```
/// use std::time::Duration;
/// use triune_process::{Limits, Output, Spec, Stdio};
///
/// let spec = Spec::new("worker", "resize")
///     .env("RUST_BACKTRACE", "1")
///     .current_dir("/")
///     .stdio(Stdio::new().stderr(Output::Capture))
///     .limits(Limits::new().open_files(64))
///     .orphan_grace(Duration::from_secs(1));
/// # drop(spec);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a specification starts nothing; give it to `spawn`"]
pub struct Spec {
    pub(crate) role: &'static str,
    pub(crate) name: String,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) program: Option<Program>,
    pub(crate) stdio: Stdio,
    pub(crate) limits: Limits,
    pub(crate) grace: Duration,
}

impl Spec {
    /// A child that plays `role` (the name of a [`Role`](crate::Role)) under `name`, which shows in `ps`, logs and errors.
    pub fn new(role: &'static str, name: impl Into<String>) -> Self {
        Self {
            role,
            name: name.into(),
            env: Vec::new(),
            folder: None,
            program: None,
            stdio: Stdio::new(),
            limits: Limits::new(),
            grace: GRACE,
        }
    }

    /// Sets an environment variable for the child. The variables of triune itself (`TRIUNE_CHILD`, `TRIUNE_NAME`,
    /// `TRIUNE_TREE`, `TRIUNE_GUARD`, `TRIUNE_FORKS`, `TRIUNE_LINK`) cannot be set.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Sets several environment variables, as [`env`](Self::env) does.
    ///
    /// ```
    /// use triune_process::{Boot, ROLES, Role, Spec, spawn};
    ///
    /// #[linkme::distributed_slice(ROLES)]
    /// static READER: Role = Role { name: "reader", main: reader };
    ///
    /// fn reader(_boot: Boot) -> u8 {
    ///     let number = |key| std::env::var(key).ok().and_then(|value| value.parse::<u8>().ok()).unwrap_or(0);
    ///     number("WIDTH") * number("HEIGHT")
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let size = [("WIDTH".into(), "6".into()), ("HEIGHT".into(), "7".into())];
    /// let (process, _link) = spawn(Spec::new("reader", "reader").envs(size)).await?;
    /// assert_eq!(process.wait().await.code(), Some(42));
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn envs(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        self.env.extend(variables);
        self
    }

    /// The child's current folder, instead of that of its owner. It must exist at the start, or the start is an error that names it.
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// The program that the child's role becomes by [`Boot::execute`](crate::Boot::execute): its environment is that of the program, and
    /// its current folder, if the program has one of its own.
    pub fn program(mut self, program: Program) -> Self {
        self.program = Some(program);
        self
    }

    /// What becomes of the child's standard output and error. See [`Stdio`].
    pub fn stdio(mut self, stdio: Stdio) -> Self {
        self.stdio = stdio;
        self
    }

    /// What the system is to refuse to the child. See [`Limits`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long the child may clean up when its owner is gone: then it is killed, whatever it does. 500 ms by default. One that has
    /// no time at all (zero) is killed by the system itself, also while somebody keeps the guardian from it.
    pub fn orphan_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The whole environment of the child, as `KEY=value`.
    pub(crate) fn environment(&self) -> Vec<OsString> {
        let mut env = tree::environment();
        if let Some(program) = &self.program {
            program.change(&mut env);
        }
        for (key, value) in self.own_variables() {
            let mut entry = key;
            entry.push("=");
            env.retain(|other| !other.as_bytes().starts_with(entry.as_bytes()));
            entry.push(value);
            env.push(entry);
        }
        env
    }

    /// What it adds to the environment, as `KEY=value`.
    pub(crate) fn changes(&self) -> Vec<OsString> {
        let entries = self.own_variables().map(|(mut entry, value)| {
            entry.push("=");
            entry.push(value);
            entry
        });
        entries.collect()
    }

    /// What the child is told behind its name: the command line of its program.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        self.program.as_ref().map(Program::command_line).unwrap_or_default()
    }

    /// Its current folder, if it is not that of this process.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.program.as_ref().and_then(Program::folder).or(self.folder.as_deref())
    }

    /// Opens its current folder, for whoever starts it.
    pub(crate) fn open_folder(&self) -> io::Result<OwnedFd> {
        let Some(folder) = self.folder() else { return sys::open_folder(".".as_ref()) };
        // With the dot, the system also looks whether we may enter it.
        sys::open_folder(&folder.join(".")).map_err(|error| {
            let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
            let text = format!(
                "its current folder `{}` cannot be entered: {error}; make it before the start, or name another one with \
                 `current_dir`",
                whole.display()
            );
            io::Error::new(error.kind(), text)
        })
    }

    fn own_variables(&self) -> impl Iterator<Item = (OsString, OsString)> {
        self.env.iter().cloned().chain([self.limits.to_variable()])
    }
}
