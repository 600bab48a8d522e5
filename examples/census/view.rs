//! What a person sees: a progress bar while it runs, a table at the end.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::ledger::{Summary, Totals};

/// How many skipped paths the table names.
const SHOWN: usize = 10;

/// The progress bar; hidden when standard error is no terminal.
pub(crate) struct View {
    bar: ProgressBar,
    start: Instant,
}

impl View {
    /// Starts the clock.
    pub(crate) fn new() -> Self {
        let style = ProgressStyle::with_template("{bar:40.cyan/blue} {pos}/{len} files  {msg}")
            .expect("the template is a constant")
            .progress_chars("█▉▊▋▌▍▎▏ ");
        Self { bar: ProgressBar::new(0).with_style(style), start: Instant::now() }
    }

    /// The walk has found so many files more.
    pub(crate) fn found(&self, files: u64) {
        self.bar.inc_length(files);
    }

    /// The ledger has new totals.
    pub(crate) fn show(&self, totals: &Totals) {
        self.bar.set_position(totals.files + totals.skipped);
        self.bar.set_message(format!("{}  {} words", HumanBytes(totals.bytes), HumanCount(totals.words)));
    }

    /// Takes the bar away.
    pub(crate) fn close(&self) {
        self.bar.finish_and_clear();
    }

    /// How long the census has taken.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Prints the result.
pub(crate) fn table(path: &Path, summary: &Summary, elapsed: Duration) {
    let Summary { totals, distinct, forgot, top, skipped } = summary;
    for (path, why) in skipped.iter().take(SHOWN) {
        println!("skipped {path}: {why}");
    }
    if totals.skipped > SHOWN as u64 {
        println!("skipped {} more", totals.skipped - SHOWN as u64);
    }
    if totals.files == 0 {
        println!("no text files in {}", path.display());
        return;
    }
    let ratio = totals.compressed as f64 / totals.bytes.max(1) as f64;
    let at_least = if *forgot { "at least " } else { "" };
    println!("\n{:>14}  word", "count");
    for (word, count) in top {
        println!("{:>14}  {word}", HumanCount(*count).to_string());
    }
    println!("\n{:>14}  files, {} skipped", HumanCount(totals.files).to_string(), totals.skipped);
    println!(
        "{:>14}  words, {at_least}{} different",
        HumanCount(totals.words).to_string(),
        HumanCount(*distinct)
    );
    println!("{:>14}  of text", HumanBytes(totals.bytes).to_string());
    println!("{:>14.3}  compression ratio, {:.2} bits of entropy per byte", ratio, ratio * 8.0);
    println!("{:>14.0}  files per second, in {:.2?}", totals.files as f64 / elapsed.as_secs_f64(), elapsed);
}

/// Prints how to call the program.
pub(crate) fn help() {
    println!(
        "census: counts the words under a directory\n\n\
         usage: census [PATH] [--kill[=worker|actor]]\n\n\
         PATH    a directory or a file; default: the current directory (.git and target are left out)\n\
         --kill  shoots one of the own processes in mid-run, to show the report: exit code 1, nothing left"
    );
}
