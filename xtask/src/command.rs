//! One command line of a step: shown as the user would type it, run in the root, its output passed through.
//!
//! Owns every start of a process in this tool. Does not decide what a failure means for the other steps.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};

use crate::Result;

/// A program with its arguments and extra environment variables.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    program: String,
    args: Vec<String>,
    env: Vec<(&'static str, String)>,
}

impl Command {
    /// `cargo` with these arguments.
    pub(crate) fn cargo(args: &[&str]) -> Command {
        Command::new("cargo", args)
    }

    pub(crate) fn new(program: &str, args: &[&str]) -> Command {
        let args = args.iter().map(ToString::to_string).collect();
        Command { program: program.to_owned(), args, env: Vec::new() }
    }

    pub(crate) fn args(mut self, more: &[String]) -> Command {
        self.args.extend_from_slice(more);
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: &str) -> Command {
        self.env.push((name, value.to_owned()));
        self
    }

    /// Runs to the end with the terminal handed through.
    pub(crate) fn run(&self, root: &Path) -> Result {
        let status = self.start(root, false)?.wait()?;
        if status.success() { Ok(()) } else { Err(format!("`{self}` ended with {status}").into()) }
    }

    /// Runs to the end; every line goes to the terminal as it comes, and all of them are returned with the success.
    pub(crate) fn run_and_keep(&self, root: &Path) -> Result<(bool, String)> {
        let mut child = self.start(root, true)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let kept = std::thread::scope(|scope| {
            let errors = scope.spawn(|| stderr.map(|pipe| pass_on(pipe, std::io::stderr())));
            let output = stdout.map(|pipe| pass_on(pipe, std::io::stdout()));
            let errors = errors.join().unwrap_or_default();
            format!("{}{}", output.unwrap_or_default(), errors.unwrap_or_default())
        });
        Ok((child.wait()?.success(), kept))
    }

    /// Standard output of a command that is only asked something; its errors stay silent.
    pub(crate) fn ask(&self, root: &Path) -> Result<String> {
        let output = self.builder(root).stdin(Stdio::null()).stderr(Stdio::null()).output();
        let output = output.map_err(|error| format!("cannot start `{self}`: {error}"))?;
        if !output.status.success() {
            return Err(format!("`{self}` ended with {}", output.status).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn start(&self, root: &Path, keep: bool) -> Result<Child> {
        let stdio = || if keep { Stdio::piped() } else { Stdio::inherit() };
        let child = self.builder(root).stdout(stdio()).stderr(stdio()).spawn();
        child.map_err(|error| format!("cannot start `{self}`: {error}").into())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place of this tool that starts programs, and it waits for each"
    )]
    fn builder(&self, root: &Path) -> std::process::Command {
        let mut builder = std::process::Command::new(&self.program);
        builder.args(&self.args).current_dir(root);
        builder.envs(self.env.iter().map(|(name, value)| (name, value)));
        // Cargo set these for this tool; for a nested cargo they would only spoil its fingerprints.
        builder
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("CARGO_MANIFEST_PATH")
            .env_remove("CARGO_PKG_NAME");
        builder
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{name}={} ", quoted(value))?;
        }
        f.write_str(&self.program)?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", quoted(arg)))
    }
}

/// Quotes what a shell would split or expand.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

fn pass_on(pipe: impl Read, mut to: impl Write) -> String {
    let mut kept = String::new();
    let mut lines = BufReader::new(pipe);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        // A closed terminal must not stop the run: the child would block on a full pipe.
        let _shown = to.write_all(&line).and_then(|()| to.flush());
        kept.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_can_type_it() {
        let command = Command::cargo(&["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(command.to_string(), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
    }

    #[test]
    fn output_is_passed_on_and_kept_also_without_a_last_newline() {
        let mut shown = Vec::new();
        assert_eq!(pass_on(&b"one\ntwo"[..], &mut shown), "one\ntwo");
        assert_eq!(shown, b"one\ntwo");
    }
}
