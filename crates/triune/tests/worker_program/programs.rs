//! The programs of the workers.

use std::future::Future;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use triune::Result;
use triune::worker::{Program, WorkerKind};

use crate::program::example;
use crate::support::guarded_as;

/// This program, as if it were another one.
pub(crate) fn own() -> Program {
    Program::new(std::env::current_exe().expect("a test has an executable"))
}

/// Another build.
pub(crate) fn another() -> Program {
    Program::new(example("worker_program"))
}

/// Another language, if it is there.
pub(crate) fn python() -> Option<Program> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/worker_program/worker.py");
    // It shall leave nothing in the folders of the sources.
    Some(Program::new(interpreter()?).arg(script).env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// Another build, started by a script that waits for it.
pub(crate) fn wrapped() -> Program {
    Program::new("sh").args(["-c", "\"$0\"; exit $?"]).arg(example("worker_program"))
}

/// The interpreter itself: what is in `PATH` may be a script around it.
pub(crate) fn interpreter() -> Option<PathBuf> {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    PATH.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "asked before there is a tree")]
        let mut python = Command::new("python3");
        let why = match python.args(["-c", "import msgpack, sys; print(sys.executable)"]).output() {
            Ok(output) if output.status.success() => {
                return Some(String::from_utf8_lossy(&output.stdout).trim_end().into());
            }
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        assert!(std::env::var_os("CI").is_none(), "python3 with msgpack is needed in CI: {why}");
        #[expect(clippy::print_stdout, reason = "the reader of the test is told")]
        {
            println!("skipped, install python3 and msgpack (`pip install msgpack`): {why}");
        }
        None
    })
    .clone()
}

/// Where the interpreter and its modules are.
pub(crate) fn python_folders() -> Vec<PathBuf> {
    let Some(python) = interpreter() else { return Vec::new() };
    #[expect(clippy::disallowed_methods, reason = "asked beside the tree")]
    let said = Command::new(python)
        .args(["-c", "import msgpack, sys; print(sys.prefix, sys.base_prefix, *msgpack.__path__, sep='\\n')"])
        .output()
        .expect("it could be asked before");
    String::from_utf8_lossy(&said.stdout).lines().map(PathBuf::from).collect()
}

/// One of the programs, by a number that another process may be told; `None` beyond the last one, or if it is not there.
pub(crate) fn program(number: u8) -> Option<Program> {
    match number {
        0 => Some(own()),
        1 => Some(another()),
        2 => python(),
        _ => None,
    }
}

/// Runs a test with workers of each program, on both runtime flavours.
#[track_caller]
pub(crate) fn with_each<Fut: Future<Output = Result>>(name: &str, test: impl Fn() -> Fut) {
    for program in (0..).map_while(program) {
        guarded_as(&WorkerKind::Program(program), name, &test);
    }
}

/// The same with one program.
#[track_caller]
pub(crate) fn with<Fut: Future<Output = Result>>(program: Program, name: &str, test: impl Fn() -> Fut) {
    guarded_as(&WorkerKind::Program(program), name, test);
}
