//! What the command line asks for.

use std::path::PathBuf;
use std::time::Duration;

use lexopt::ValueExt as _;
use triune::prelude::*;

pub(crate) const HELP: &str = "\
thumbnails: makes a thumbnail of each picture in a folder, whatever the pictures do to their decoder

usage: thumbnails PICTURES THUMBNAILS [--size=N] [--memory=MIB] [--seconds=N]

PICTURES    the folder to read: png, jpg, jpeg
THUMBNAILS  the folder to write; it is made if it is not there
--size      the longer side of a thumbnail, in pixels; default: 256
--memory    what a decoder may use, in MiB; default: 512
--seconds   the processor time of a decoder for one picture; default: 10";

/// What to do.
pub(crate) enum Asked {
    Run(Options),
    Help,
}

/// How to run.
pub(crate) struct Options {
    pub(crate) pictures: PathBuf,
    pub(crate) thumbnails: PathBuf,
    pub(crate) size: u32,
    pub(crate) memory: u64,
    pub(crate) time: Duration,
}

/// Reads the command line.
pub(crate) fn parse() -> Result<Asked> {
    let mut folders = Vec::new();
    let (mut size, mut memory, mut seconds) = (256, 512_u64, 10);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(Asked::Help),
            lexopt::Arg::Long("size") => size = arguments.value()?.parse()?,
            lexopt::Arg::Long("memory") => memory = arguments.value()?.parse()?,
            lexopt::Arg::Long("seconds") => seconds = arguments.value()?.parse()?,
            lexopt::Arg::Value(value) if folders.len() < 2 => folders.push(PathBuf::from(value)),
            other => return Err(Error::new(other.unexpected()).context("see --help")),
        }
    }
    let Ok([pictures, thumbnails]) = <[PathBuf; 2]>::try_from(folders) else {
        return Err(Error::msg("two folders are needed, one to read and one to write; see --help"));
    };
    if size == 0 || memory == 0 || seconds == 0 {
        return Err(Error::msg("--size, --memory and --seconds must be more than 0"));
    }
    let memory = memory.saturating_mul(1024 * 1024);
    let time = Duration::from_secs(seconds);
    Ok(Asked::Run(Options { pictures, thumbnails, size, memory, time }))
}
