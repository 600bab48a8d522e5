//! Another program as a child of this one.
//!
//! Every child begins as this program, in a role of its own; one of these roles *becomes* another program
//! ([`Boot::execute`]). What makes it a child stays over `exec`, whatever language the program is written in: its parent, its process
//! group, the bond of its life to that of the guardian, the limits that it has put on itself, the mark in its environment
//! by which what it leaves behind is found. So nothing else in this crate has to know of other programs.
//!
//! The program finds the link to its owner at descriptor 3, and everything else above the standard ones is closed. The variable
//! `TRIUNE_LINK` says so: `role:descriptor:inode`. One of triune's goes into that role when it reaches its entry; any other one
//! speaks the protocol by itself (`docs/protocol.md`). What such a program starts inherits the variable, but not the socket with
//! this inode at this descriptor, so it does not take itself for the child.
//!
//! Invariant: a program is executed as it is named, with its arguments as they are. No shell reads them, and none takes a file that
//! the system does not execute for a script, as `execvp` would have it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::boot::Boot;
use crate::limits::{self, LimitsReport};
use crate::marker::{self, LinkMark};
use crate::{sys, tree};

/// The role of a child that becomes another program. Whoever knows what is to be said on the link if that fails registers it.
pub const PROGRAM: &str = "program";

/// Another program, to be started with these arguments and this environment: like `std::process::Command`, but a value, from which
/// any number of processes is started.
///
/// A path with a slash in it is looked up in the current folder of this process, whatever
/// [`current_dir`](Self::current_dir) says; a name without one in the `PATH` of the program's own environment. No shell is involved.
///
/// ```
/// use triune_process::Program;
///
/// let program = Program::new("python3").arg("worker.py").env("PYTHONUNBUFFERED", "1");
/// assert_eq!(program.to_string(), "python3 worker.py");
///
/// // Nothing of this process's environment but the path, and another folder.
/// let path = std::env::var_os("PATH").unwrap_or_default();
/// let program = Program::new("./server").args(["--port", "80"]).env_clear().env("PATH", path).current_dir("/srv");
/// assert_eq!(program.to_string(), "./server --port 80");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a program is only described here; give it to somebody who starts it"]
pub struct Program {
    path: OsString,
    args: Vec<OsString>,
    clears_env: bool,
    /// What is set, and (`None`) what is removed, in the order in which it was said.
    env: Vec<(OsString, Option<OsString>)>,
    folder: Option<PathBuf>,
}

impl Program {
    /// The program at this path or of this name, without arguments.
    pub fn new(path: impl Into<OsString>) -> Self {
        Self { path: path.into(), args: Vec::new(), clears_env: false, env: Vec::new(), folder: None }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds several arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment, which is otherwise that of this process at the start. Those of triune itself
    /// (`TRIUNE_...`) cannot be set.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), Some(value.into())));
        self
    }

    /// Sets several variables, as [`env`](Self::env) does.
    ///
    /// ```
    /// use triune_process::Program;
    ///
    /// let program = Program::new("true").envs([("LANG", "C"), ("TZ", "UTC")]).env_remove("TZ");
    /// assert_eq!(program, Program::new("true").env("LANG", "C").env("TZ", "UTC").env_remove("TZ"));
    /// ```
    pub fn envs<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.env.extend(variables.into_iter().map(|(key, value)| (key.into(), Some(value.into()))));
        self
    }

    /// Removes a variable from its environment.
    pub fn env_remove(mut self, key: impl Into<OsString>) -> Self {
        self.env.push((key.into(), None));
        self
    }

    /// Begins with an empty environment, for instance to keep secrets of this process from the program. What was set before is
    /// forgotten. The variables of triune itself are there all the same.
    pub fn env_clear(mut self) -> Self {
        self.clears_env = true;
        self.env.clear();
        self
    }

    /// Its current folder, instead of that of this process. It must exist at the start, or the start is an error that names it.
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Whether it is named by a path, and so not looked for.
    pub(crate) fn is_path(&self) -> bool {
        self.path.as_bytes().contains(&b'/')
    }

    /// Where it is: its whole path, or the name that it is looked for by.
    pub(crate) fn path(&self) -> OsString {
        // Without a current folder of ours, a relative path leads nowhere anyway.
        let absolute = self.is_path().then(|| std::path::absolute(&self.path).ok()).flatten();
        absolute.map_or_else(|| self.path.clone(), PathBuf::into_os_string)
    }

    /// What the child executes: the program and its arguments.
    pub(crate) fn command_line(&self) -> Vec<OsString> {
        std::iter::once(self.path()).chain(self.args.iter().cloned()).collect()
    }

    /// Changes an environment, given as `KEY=value`, into that of the program.
    pub(crate) fn change(&self, env: &mut Vec<OsString>) {
        if self.clears_env {
            env.clear();
        }
        for (key, value) in &self.env {
            let mut entry = key.clone();
            entry.push("=");
            env.retain(|other| !other.as_bytes().starts_with(entry.as_bytes()));
            if let Some(value) = value {
                entry.push(value);
                env.push(entry);
            }
        }
    }

    /// What would end a text too early, or be cut off by the system.
    pub(crate) fn holds_zero(&self) -> bool {
        let nul = |text: &OsStr| text.as_bytes().contains(&0);
        let variable =
            |(key, value): &(OsString, Option<OsString>)| nul(key) || value.as_deref().is_some_and(nul);
        nul(&self.path) || self.args.iter().any(|arg| nul(arg)) || self.env.iter().any(variable)
    }
}

impl fmt::Display for Program {
    /// Path and arguments with spaces in between, for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", arg.display()))
    }
}

impl Boot {
    /// Becomes the [`Program`] that this process was started for, to play `role` there. Returns only if it cannot be
    /// executed.
    ///
    /// ```
    /// use std::io::Read;
    /// use triune_process::{Boot, PROGRAM, Program, ROLES, Role, Spec, spawn};
    ///
    /// #[linkme::distributed_slice(ROLES)]
    /// static SCRIPT: Role = Role { name: PROGRAM, main: become_program };
    ///
    /// fn become_program(boot: Boot) -> u8 {
    ///     let error = boot.execute("script");
    ///     eprintln!("{error}");
    ///     127
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let script = Program::new("sh").args(["-c", "echo $GREETING >&3"]).env("GREETING", "hello over the link");
    /// let (process, mut link) = spawn(Spec::new(PROGRAM, "script").program(script)).await?;
    /// let mut said = String::new();
    /// link.read_to_string(&mut said)?;
    /// assert_eq!(said, "hello over the link\n");
    /// assert!(process.wait().await.is_success());
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn execute(&self, role: &str) -> io::Error {
        let arguments = sys::arguments().split_off(1);
        let mark = match sys::leave_to_program(self.link().as_fd()) {
            Ok((descriptor, inode)) => LinkMark { role: role.to_owned(), descriptor, inode },
            Err(error) => return error,
        };
        let report = limits::limits_report().map(LimitsReport::encode).unwrap_or_default();
        let own = [(marker::LINK, mark.encode()), (limits::REPORT_VARIABLE, report)];
        let mut env = tree::environment();
        for (key, value) in own {
            env.retain(|other| !other.as_bytes().starts_with(format!("{key}=").as_bytes()));
            env.push(format!("{key}={value}").into());
        }
        sys::execute(&arguments, &env)
    }
}

#[cfg(test)]
mod tests;
