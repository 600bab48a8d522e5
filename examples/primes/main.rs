//! The first place where two neighbouring primes lie far apart: a search whose end nobody knows, so it must be possible to
//! stop it.
//!
//! Blocks of numbers are sieved in parallel. As soon as a block has the answer and none before it has, the blocks behind it
//! are cancelled in the middle of their loops, which have no place where they look for a cancel: their processes are killed
//! and reaped before the answer is printed. A time that has passed, or Ctrl-C, ends the search in the same way.
//!
//! ```text
//! cargo run --release --example primes -- 282              # at 436 273 009
//! cargo run --release --example primes -- 400 --seconds=3  # gives up, exit code 1
//! ```
#![expect(clippy::print_stdout, reason = "the answer is what the program is for")]

mod options;
mod sieve;

use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Instant;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use triune::prelude::*;
use triune::{move_on_after, worker};

use options::{Asked, Options};
use sieve::LAST;

/// How many numbers are one job.
const BLOCK: u64 = 4_000_000;

/// How many blocks are on their way for each worker: while one is searched, the next waits.
const AHEAD: usize = 2;

/// The answer, and what became of the blocks behind it.
struct Found {
    primes: (u64, u64),
    cancelled: usize,
}

#[triune::main]
async fn main() -> Result<ExitCode> {
    let options = match options::parse()? {
        Asked::Run(options) => options,
        Asked::Help => {
            println!("{}", options::HELP);
            return Ok(ExitCode::SUCCESS);
        }
    };
    let (begin, bar) = (Instant::now(), bar());
    let search = search(&options, &bar);
    let found = match options.time {
        Some(time) => move_on_after(time, search).await,
        None => Some(search.await),
    };
    let searched = HumanCount(options.from + bar.position());
    bar.finish_and_clear();
    let busy = worker::statistics().busy;
    match found.transpose()?.flatten() {
        Some(Found { primes: (low, high), cancelled }) => {
            let gap = high - low;
            println!("{low} and {high}: {gap} apart, found in {:.2?}", begin.elapsed());
            println!("{cancelled} blocks behind it cancelled, {busy} workers still busy");
            Ok(ExitCode::SUCCESS)
        }
        None => {
            println!("no two neighbouring primes {} apart from {} to {searched}", options.gap, options.from);
            println!("the search is over after {:.2?}, {busy} workers still busy", begin.elapsed());
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Searches block by block, a few of them ahead. `None` if there is nothing in all the numbers that are searched at all.
async fn search(options: &Options, bar: &ProgressBar) -> Result<Option<Found>> {
    let Options { gap, from, .. } = *options;
    nursery(async |n| {
        let mut blocks = (from..LAST).step_by(BLOCK as usize).map(|first| first..(first + BLOCK).min(LAST));
        let mut ahead = VecDeque::new();
        loop {
            let room = AHEAD * worker::statistics().limit - ahead.len();
            ahead.extend(
                blocks.by_ref().take(room).map(|block| n.run_in_worker(sieve::search::with(block, gap))),
            );
            // In the order of the numbers: a later block may have an answer sooner, but not the first one.
            let Some(first) = ahead.pop_front() else { return Ok(None) };
            if let Some(primes) = first.await? {
                n.cancel("the answer is found");
                return Ok(Some(Found { primes, cancelled: ahead.len() }));
            }
            bar.inc(BLOCK);
        }
    })
    .await
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {human_pos} numbers, {per_sec}")
        .expect("the template is a constant");
    ProgressBar::new_spinner().with_style(style)
}
