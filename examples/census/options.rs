//! What the command line asks for.

use std::path::PathBuf;

use triune::{Error, Result};

/// What to do.
pub(crate) enum Asked {
    Run(Options),
    Help,
}

/// How to run.
pub(crate) struct Options {
    pub(crate) path: PathBuf,
    pub(crate) kill: Option<Victim>,
}

/// Who is shot in mid-run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    /// One of the other two, by chance.
    Any,
    Worker,
    Actor,
}

/// Reads the command line.
pub(crate) fn parse() -> Result<Asked> {
    let mut path = None;
    let mut kill = None;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(Asked::Help),
            lexopt::Arg::Long("kill") => kill = Some(victim(arguments.optional_value())?),
            lexopt::Arg::Value(value) if path.is_none() => path = Some(PathBuf::from(value)),
            other => return Err(Error::new(other.unexpected()).context("see --help")),
        }
    }
    let path = path.unwrap_or_else(|| PathBuf::from("."));
    Ok(Asked::Run(Options { path, kill }))
}

fn victim(value: Option<std::ffi::OsString>) -> Result<Victim> {
    match value.as_deref().map(|value| value.to_string_lossy()).as_deref() {
        None => Ok(Victim::Any),
        Some("worker") => Ok(Victim::Worker),
        Some("actor") => Ok(Victim::Actor),
        Some(other) => {
            Err(Error::msg(format!("cannot kill `{other}`: say --kill, --kill=worker or --kill=actor")))
        }
    }
}
