//! What the command line asks for.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::ValueExt as _;
use triune::prelude::*;

use crate::plane::Plane;

pub(crate) const HELP: &str = "\
mandelbrot: draws a picture of the Mandelbrot set, one band of it at a time on each core

usage: mandelbrot PICTURE [--width=N] [--height=N] [--center=X,Y] [--span=S] [--iterations=N]

PICTURE       the file to write, as png
--width       default: 1200
--height      default: 800
--center      the point in the middle; default: -0.65,0
--span        what the shorter side of the picture spans; default: 2.4
--iterations  after how many a point counts as one of the set; default: 1000";

/// The largest picture, in pixels: it is in memory at the end.
const LARGEST: u64 = 400_000_000;

/// What to do.
pub(crate) enum Asked {
    Run(Options),
    Help,
}

/// How to run.
pub(crate) struct Options {
    pub(crate) path: PathBuf,
    pub(crate) plane: Plane,
}

/// Reads the command line.
pub(crate) fn parse() -> Result<Asked> {
    let mut path = None;
    let mut plane = Plane { width: 1200, height: 800, center: (-0.65, 0.0), span: 2.4, iterations: 1000 };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(Asked::Help),
            lexopt::Arg::Long("width") => plane.width = arguments.value()?.parse()?,
            lexopt::Arg::Long("height") => plane.height = arguments.value()?.parse()?,
            lexopt::Arg::Long("center") => plane.center = point(arguments.value()?)?,
            lexopt::Arg::Long("span") => plane.span = arguments.value()?.parse()?,
            lexopt::Arg::Long("iterations") => plane.iterations = arguments.value()?.parse()?,
            lexopt::Arg::Value(value) if path.is_none() => path = Some(PathBuf::from(value)),
            other => return Err(Error::new(other.unexpected()).context("see --help")),
        }
    }
    let path = path.context("a file for the picture is needed; see --help")?;
    let pixels = u64::from(plane.width) * u64::from(plane.height);
    if pixels == 0 || pixels > LARGEST {
        return Err(Error::msg(format!("a picture has 1 to {LARGEST} pixels, and not {pixels}")));
    }
    let is_number = plane.center.0.is_finite() && plane.center.1.is_finite() && plane.span.is_normal();
    if !is_number || plane.span < 0.0 {
        return Err(Error::msg("--center and --span must be numbers, and --span more than 0"));
    }
    Ok(Asked::Run(Options { path, plane }))
}

fn point(value: OsString) -> Result<(f64, f64)> {
    let text = value.to_string_lossy();
    let parsed =
        text.split_once(',').and_then(|(x, y)| Some((x.trim().parse().ok()?, y.trim().parse().ok()?)));
    parsed.with_context(|| format!("--center is two numbers such as -0.65,0, and not `{text}`"))
}
