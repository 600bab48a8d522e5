//! The count of tests that passed and failed, read from what the test runners print.
//!
//! Invariant: the closing line is `N passed, N failed`, so that a reader or a machine finds the result in one place.

use std::process::ExitCode;

/// Tests that passed and that failed, of all runners together.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// A runner ended badly, whatever it counted: a compile error counts no test.
    pub(crate) broken: bool,
}

impl Tally {
    /// Adds what one runner printed (libtest, rustdoc or nextest) and whether it ended well.
    pub(crate) fn add(&mut self, output: &str, success: bool) {
        for line in output.lines().map(plain) {
            // What a failed test printed is repeated by nextest, indented, with the result of its one test.
            let summary = line.trim_start();
            if line.starts_with("test result:") || summary.starts_with("Summary [") {
                self.passed += count_before(summary, "passed");
                self.failed += count_before(summary, "failed");
                self.failed += count_before(summary, "exec failed");
                self.failed += count_before(summary, "timed out");
            }
        }
        self.broken |= !success;
    }

    /// The closing line.
    pub(crate) fn line(self) -> String {
        format!("{} passed, {} failed", self.passed, self.failed)
    }

    /// Prints the closing line.
    pub(crate) fn close(self) -> ExitCode {
        println!("{}", self.line());
        if self.broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// The number before `word`, 0 if the word is absent.
fn count_before(summary: &str, word: &str) -> u64 {
    let Some((before, _)) = summary.split_once(&format!(" {word}")) else { return 0 };
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
    digits.parse().unwrap_or(0)
}

/// The line without colour codes.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // Skips `ESC [ .. m`.
            let _end = chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summaries_of_both_runners_are_added_up() {
        let mut tally = Tally::default();
        tally.add(
            "     Summary [   2.345s] 22 tests run: 18 passed (1 slow), 2 failed, 1 exec failed, 1 timed out, 4 skipped\n",
            false,
        );
        tally.add("test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n", true);
        assert_eq!(tally, Tally { passed: 25, failed: 4, broken: true });
        assert_eq!(tally.line(), "25 passed, 4 failed");
    }

    #[test]
    fn a_failed_test_that_nextest_repeats_counts_once() {
        let mut tally = Tally::default();
        let repeated = "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 5 filtered out\n";
        let summary = "     Summary [   0.1s] 3 tests run: 2 passed, 1 failed, 0 skipped\n";
        tally.add(&[repeated, repeated, summary].concat(), false);
        assert_eq!(tally, Tally { passed: 2, failed: 1, broken: true });
    }

    #[test]
    fn colours_do_not_hide_a_summary() {
        let mut tally = Tally::default();
        tally.add("\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m3\u{1b}[0m tests run: \u{1b}[1m3\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, 0 skipped", true);
        assert_eq!(tally, Tally { passed: 3, failed: 0, broken: false });
    }

    #[test]
    fn a_runner_that_does_not_compile_is_broken_without_a_count() {
        let mut tally = Tally::default();
        tally.add("error: could not compile\n", false);
        assert_eq!(tally, Tally { passed: 0, failed: 0, broken: true });
    }
}
