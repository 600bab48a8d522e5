//! Tests that cannot do what they are for on this machine.

use std::io::Write;

/// Says that a test, or a part of it, is skipped here, and why: on standard error, and as a line of the file that the variable
/// `TRIUNE_TEST_SKIPS` names, if it is set. Test runners show nothing of what a passing test prints; `cargo xtask` repeats the
/// lines of that file at the end.
///
/// ```
/// /// The output of a tool that not every machine has.
/// fn traced() -> Option<String> {
///     let Ok(output) = std::process::Command::new("strace").arg("true").output() else {
///         triune_testing::skip("starts are traced", "there is no strace here");
///         return None;
///     };
///     Some(String::from_utf8_lossy(&output.stderr).into_owned())
/// }
/// # let _not_run = traced;
/// ```
#[expect(clippy::print_stderr, reason = "the reader of the test's output is who is told")]
pub fn skip(what: &str, why: &str) {
    eprintln!("skipped: {what}: {why}");
    if let Some(path) = std::env::var_os("TRIUNE_TEST_SKIPS") {
        let line = format!("{what}: {why}\n");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        // It was told on standard error.
        let _nowhere_to_keep_it = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
