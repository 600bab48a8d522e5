//! Comparisons in one run: the samples of all contenders in turn, a table with medians and ratios.
//!
//! Whatever else the machine does then hits all of them alike, which samples of one contender after the other cannot say.
//! Owns the clock and the table; what is measured is the business of the benchmark.

#![expect(clippy::print_stdout, reason = "the table is what the benchmark is for")]

use std::fmt;
use std::time::{Duration, Instant};

/// Samples that are thrown away.
const WARM_UP: usize = 2;

/// Where the processes of a comparison run. It decides more than their code does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a private tool; a match should miss nothing")]
pub enum Placement {
    /// All of them on one core.
    OneCore,
    /// Wherever the scheduler puts them.
    Free,
}

impl Placement {
    /// Runs `work` with this thread placed so; what it starts inherits the place.
    ///
    /// # Panics
    ///
    /// If the system refuses the place.
    pub fn apply<R>(self, work: impl FnOnce() -> R) -> R {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
        let before = sched_getaffinity(None).expect("the system tells the cores of this thread");
        if self == Self::OneCore {
            let first = (0..CpuSet::MAX_CPU).find(|core| before.is_set(*core)).expect("it runs on a core");
            let mut one = CpuSet::new();
            one.set(first);
            sched_setaffinity(None, &one).expect("a thread may be held on a core that it has");
        }
        let result = work();
        sched_setaffinity(None, &before).expect("a thread may go back to its cores");
        result
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneCore => "one core",
            Self::Free => "free",
        })
    }
}

/// What one sample does.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a private tool")]
pub struct Load {
    /// How many operations a sample has.
    pub operations: usize,
    /// How many bytes an operation moves.
    pub bytes: usize,
}

/// One contender: its name, and what takes a sample.
pub struct Contender<'a> {
    name: &'static str,
    sample: Box<dyn FnMut() + 'a>,
    took: Vec<Duration>,
}

impl<'a> Contender<'a> {
    /// A contender whose `sample` does the operations of the load, all of them.
    pub fn new(name: &'static str, sample: impl FnMut() + 'a) -> Self {
        Self { name, sample: Box::new(sample), took: Vec::new() }
    }

    fn run(&mut self) {
        let start = Instant::now();
        (self.sample)();
        self.took.push(start.elapsed());
    }

    /// The sample at this part of all, in order of their length.
    fn at(&self, part: f64) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index among a few hundred samples"
        )]
        let index = ((self.took.len() - 1) as f64 * part).round() as usize;
        self.took[index]
    }
}

impl fmt::Debug for Contender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contender").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Takes `rounds` samples of each contender, in turn, and prints the table. The ratio is that of the medians to the first.
///
/// # Panics
///
/// Without a round.
pub fn compare(title: &str, load: Load, rounds: usize, mut contenders: Vec<Contender<'_>>) {
    for round in 0..WARM_UP + rounds {
        for contender in &mut contenders {
            contender.run();
        }
        if round + 1 == WARM_UP {
            contenders.iter_mut().for_each(|contender| contender.took.clear());
        }
    }
    contenders.iter_mut().for_each(|contender| contender.took.sort());
    println!("\n{title}");
    println!(
        "  {:<16} {:>12} {:>12} {:>12} {:>14} {:>10} {:>7}",
        "", "median", "10 %", "90 %", "per second", "MB/s", "ratio"
    );
    let Some(floor) = contenders.first().map(|first| first.at(0.5)) else { return };
    for contender in &contenders {
        let median = contender.at(0.5).as_secs_f64() / count(load.operations);
        println!(
            "  {:<16} {:>12} {:>12} {:>12} {:>14.0} {:>10.1} {:>7.2}",
            contender.name,
            Each(contender.at(0.5), load.operations).to_string(),
            Each(contender.at(0.1), load.operations).to_string(),
            Each(contender.at(0.9), load.operations).to_string(),
            1.0 / median,
            count(load.bytes) / median / 1e6,
            contender.at(0.5).as_secs_f64() / floor.as_secs_f64(),
        );
    }
}

/// Prints how long single operations took; those without any are left out.
pub fn distribution(title: &str, contenders: Vec<(&'static str, Vec<Duration>)>) {
    println!("\n{title}");
    println!("  {:<16} {:>12} {:>12} {:>12} {:>12}", "", "median", "90 %", "99 %", "maximum");
    for (name, mut took) in contenders.into_iter().filter(|(_, took)| !took.is_empty()) {
        took.sort_unstable();
        let at = |percent: usize| Each(took[(took.len() - 1) * percent / 100], 1).to_string();
        println!("  {name:<16} {:>12} {:>12} {:>12} {:>12}", at(50), at(90), at(99), at(100));
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of operations and bytes, far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

/// The part of a time that falls to one of so many operations.
struct Each(Duration, usize);

impl fmt::Display for Each {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_secs_f64() * 1e9 / count(self.1);
        if nanos < 1e4 { write!(f, "{nanos:.0} ns") } else { write!(f, "{:.1} us", nanos / 1e3) }
    }
}
