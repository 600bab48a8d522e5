//! Steps of several tasks in a fixed order.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use triune_scope::{FutureExt as _, Result};

/// Runs steps of several tasks one after the other: step 0, step 1, and so on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use std::sync::Mutex;
/// use triune_scope::nursery;
/// use triune_testing::Sequencer;
///
/// let (order, record) = (Sequencer::new(), Mutex::new(Vec::new()));
/// nursery(async |n| {
///     n.spawn(async {
///         let _step = order.step(1).await?;
///         record.lock().unwrap().push("second");
///         Ok(())
///     });
///     let _step = order.step(0).await?;
///     record.lock().unwrap().push("first");
///     Ok(())
/// })
/// .await?;
/// assert_eq!(*record.lock().unwrap(), ["first", "second"]);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Sequencer {
    position: watch::Sender<Position>,
    asked: Mutex<BTreeSet<usize>>,
}

#[derive(Debug, Clone, Copy)]
enum Position {
    /// This step may run.
    At(usize),
    /// Somebody who waited for this step gave up: it, and what follows, will never come.
    BrokenAt(usize),
}

impl Sequencer {
    /// A sequencer whose first step is 0.
    #[must_use]
    pub fn new() -> Self {
        Self { position: watch::Sender::new(Position::At(0)), asked: Mutex::default() }
    }

    /// Waits until every step before `number` is over. This one is over when the returned guard is dropped.
    ///
    /// # Cancel safety
    ///
    /// A wait that is given up breaks the sequence: the steps behind it fail instead of waiting for ever.
    ///
    /// # Errors
    ///
    /// A cancel of the scope around it; [`SequenceBroken`].
    ///
    /// # Panics
    ///
    /// When the step was asked for before: each is taken once.
    pub async fn step(&self, number: usize) -> Result<Step<'_>> {
        let first = self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
        assert!(first, "step {number} is taken twice; give each step of a test its own number");
        let mut turn = Turn { sequencer: self, number, reached: false };
        let mut position = self.position.subscribe();
        let reached = position
            .wait_for(|position| match position {
                Position::At(at) => *at >= number,
                Position::BrokenAt(_) => true,
            })
            .cancellable()
            .await?;
        let reached = reached.map(|position| *position);
        match reached.expect("the sequencer owns the sender") {
            Position::At(_) => {
                turn.reached = true;
                Ok(Step { sequencer: self, number })
            }
            Position::BrokenAt(at) => Err(SequenceBroken { at }.into()),
        }
    }
}

impl Default for Sequencer {
    fn default() -> Self {
        Self::new()
    }
}

/// A wait for a step; breaks the sequence when it is given up.
struct Turn<'a> {
    sequencer: &'a Sequencer,
    number: usize,
    reached: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.reached {
            self.sequencer.position.send_if_modified(|position| {
                let first = matches!(position, Position::At(_));
                if first {
                    *position = Position::BrokenAt(self.number);
                }
                first
            });
        }
    }
}

/// A step that runs; the next one begins when this is dropped.
#[derive(Debug)]
#[must_use = "the step is over when this is dropped"]
pub struct Step<'a> {
    sequencer: &'a Sequencer,
    number: usize,
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.sequencer.position.send_if_modified(|position| match position {
            Position::At(at) => {
                *at = self.number + 1;
                true
            }
            Position::BrokenAt(_) => false,
        });
    }
}

/// A step will never come, because somebody gave up waiting for one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceBroken {
    at: usize,
}

impl fmt::Display for SequenceBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the sequence is broken: nobody waits for step {} any more", self.at)
    }
}

impl StdError for SequenceBroken {}
