//! Checks and tasks of this repository: `cargo xtask ci | test | tidy | bench | stress | chaos | workers | fuzz | model | miri`.
//!
//! Owns the list of gates that a change must pass, on a developer's machine and in CI alike. Does not hold rules about the
//! code that clippy, rustfmt or rustc can hold.

#![expect(clippy::print_stdout, reason = "a command-line tool reports on standard output")]
#![expect(clippy::print_stderr, reason = "a command-line tool reports its failures on standard error")]

mod ci;
mod command;
mod fuzz;
mod skips;
mod tally;
mod test_run;
mod tidy;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tally::Tally;

/// What every part of this tool returns; the text is shown to the user as it is.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "\
usage: cargo xtask <task>

  ci [--keep-going] [STEP..]   every gate of this repository, or only the named steps
  test [ARGS..]                all tests and doc tests; ARGS go to the test runner
  tidy                         the rules that the compiler does not know
  bench [ARGS..]               the benchmarks of triune-bench; `bench --check` lints them, which CI does not
  stress [N] [ARGS..]          the concurrency tests, N times over (default 20)
  chaos [N]                    random faults over a tree under load, N of them (default 1000); a failure prints its seed
  workers [N]                  N jobs killed by a cancel, 10 N jobs whose workers are killed at random (default 10000)
  fuzz [SECONDS] [TARGET]      the fuzz targets of every decoder and of the link, one after the other (default 10 s each)
  model [N]                    the models of the cancel's delivery, N random schedules each (default 100000)
  miri [ARGS..]                the tests of triune-scope's core under Miri; ARGS go to `cargo miri test` instead of the list
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match args.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", args.as_slice()),
    };
    let root = root();
    let done = match task {
        "ci" => ci::run(&root, rest),
        "test" => test_run::run(&root, rest).map(Tally::close),
        "tidy" => tidy::run(&root).map(success),
        "bench" => tools::bench(&root, rest).map(success),
        "stress" => tools::stress(&root, rest).map(success),
        "chaos" => tools::chaos(&root, rest.first().map_or("1000", String::as_str)).map(success),
        "workers" => tools::workers(&root, rest.first().map_or("10000", String::as_str)).map(success),
        "fuzz" => fuzz::run(&root, rest).map(success),
        "model" => tools::model(&root, rest.first().map_or("100000", String::as_str)).map(success),
        "miri" => tools::miri(&root, rest).map(success),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        other => Err(format!("unknown task `{other}`\n\n{USAGE}").into()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("xtask: {error}");
        ExitCode::FAILURE
    })
}

fn success((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// The root of the repository: the parent of this crate's folder.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("xtask"), PathBuf::from);
    here.parent().unwrap_or(Path::new(".")).to_path_buf()
}
