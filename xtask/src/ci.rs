//! The gates of a change, in the order in which they fail fastest: named, timed, each with the command that repeats it.
//!
//! Without `--keep-going` the first failure ends the run. With it every step runs and the failures are listed at the end;
//! CI uses that, so that one misformatted line does not hide a failing test.
//!
//! Invariant: the last line is the count of tests (see [`crate::tally`]) whenever the tests have run.

mod steps;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::Result;
use crate::tally::Tally;
use steps::{STEPS, Verdict};

/// One line of the summary.
struct Done {
    name: &'static str,
    took: Duration,
    verdict: std::result::Result<Option<String>, String>,
}

/// Runs the steps named in `args`, or all of them.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<ExitCode> {
    let keep_going = args.iter().any(|arg| arg == "--keep-going");
    let wanted: Vec<&str> = args.iter().map(String::as_str).filter(|arg| *arg != "--keep-going").collect();
    if let Some(unknown) = wanted.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        return Err(format!("unknown step `{unknown}`: the steps are {}", names.join(", ")).into());
    }

    let mut done = Vec::new();
    let mut tally = None;
    for step in STEPS.iter().filter(|step| wanted.is_empty() || wanted.contains(&step.name)) {
        println!("\n=== {} ===", step.name);
        let start = Instant::now();
        let verdict = match (step.run)(root) {
            Ok(Verdict::Passed) => Ok(None),
            Ok(Verdict::Skipped(why)) => Ok(Some(why)),
            Ok(Verdict::Tests(counted)) => {
                tally = Some(counted);
                if counted.broken { Err("the tests failed".to_owned()) } else { Ok(None) }
            }
            Err(error) => Err(error.to_string()),
        };
        let failed = verdict.is_err();
        done.push(Done { name: step.name, took: start.elapsed(), verdict });
        if failed && !keep_going {
            break;
        }
    }
    let skips = if tally.is_some() { crate::skips::told(root) } else { Vec::new() };
    Ok(close(&done, &skips, tally))
}

/// Prints what every step did, what failed and, as the last line, the count of the tests.
fn close(done: &[Done], skips: &[String], tally: Option<Tally>) -> ExitCode {
    println!("\n=== summary ===");
    for Done { name, took, verdict } in done {
        let text = match verdict {
            Ok(None) => "ok".to_owned(),
            Ok(Some(why)) => format!("skipped: {why}"),
            Err(_) => "FAILED".to_owned(),
        };
        println!("{name:<10} {:>7.1} s  {text}", took.as_secs_f64());
    }
    skips.iter().for_each(|line| println!("{line}"));
    let mut code = ExitCode::SUCCESS;
    for Done { name, verdict, .. } in done {
        if let Err(why) = verdict {
            code = ExitCode::FAILURE;
            println!("\n{name} failed: {why}\n  repeat it with: cargo xtask ci {name}");
        }
    }
    if let Some(tally) = tally {
        println!("\n{}", tally.line());
    }
    code
}
