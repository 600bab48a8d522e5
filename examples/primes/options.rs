//! What the command line asks for.

use std::time::Duration;

use lexopt::ValueExt as _;
use triune::prelude::*;

use crate::sieve::LAST;

pub(crate) const HELP: &str = "\
primes: finds the first two neighbouring primes that are at least GAP apart

usage: primes GAP [--from=N] [--seconds=N]

GAP        how far, such as 282
--from     where to begin; default: 2
--seconds  when to give up; default: never";

/// What to do.
pub(crate) enum Asked {
    Run(Options),
    Help,
}

/// How to run.
pub(crate) struct Options {
    pub(crate) gap: u64,
    pub(crate) from: u64,
    pub(crate) time: Option<Duration>,
}

/// Reads the command line.
pub(crate) fn parse() -> Result<Asked> {
    let (mut gap, mut from, mut time) = (None, 2, None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(Asked::Help),
            lexopt::Arg::Long("from") => from = arguments.value()?.parse()?,
            lexopt::Arg::Long("seconds") => time = Some(Duration::from_secs(arguments.value()?.parse()?)),
            lexopt::Arg::Value(value) if gap.is_none() => {
                gap = Some(value.parse().context("GAP is a number")?)
            }
            other => return Err(Error::new(other.unexpected()).context("see --help")),
        }
    }
    let gap = gap.context("a distance is needed, such as 282; see --help")?;
    if from >= LAST {
        return Err(Error::msg(format!("--from is below {LAST}; larger numbers are not searched")));
    }
    Ok(Asked::Run(Options { gap, from, time }))
}
