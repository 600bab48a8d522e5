//! Runs an example to its end, under the leak guard.

use std::process::{Command, Output, Stdio};

use triune_testing::{LeakGuard, ProcessInfo};

use super::program::example;

/// What an example has said, and how it ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

/// Runs an example; none of its processes may be left. They carry the cookie of this test's tree, so that none can hide.
#[track_caller]
pub(crate) fn run(name: &str, arguments: &[&str]) -> Ran {
    // First: a build of the example is none of the processes that another test sees.
    let guard = LeakGuard::new();
    let program = example(name);
    let own = ProcessInfo::of(std::process::id()).expect("this process runs");
    #[expect(clippy::disallowed_methods, reason = "the program is tested as a user starts it")]
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "120"])
        .arg(program)
        .args(arguments)
        .env("TRIUNE_TREE", format!("{}-{}-{name}", own.pid, own.start))
        .stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().expect("the example starts");
    guard.finish();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it speaks UTF-8");
    Ran { code: status.code(), output: text(stdout), errors: text(stderr) }
}

/// Runs an example with arguments that it cannot use: it must say so and begin nothing.
#[track_caller]
pub(crate) fn refuses(name: &str, arguments: &[&str], words: &str) {
    let ran = run(name, arguments);
    assert_eq!(ran.code, Some(1), "{arguments:?}: {}", ran.errors);
    assert!(ran.errors.starts_with("error: ") && ran.errors.contains(words), "{arguments:?}: {}", ran.errors);
    assert!(!ran.errors.contains("panicked"), "{}", ran.errors);
    assert_eq!(ran.output, "");
}
