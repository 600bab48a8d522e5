//! A seeded order of children: races that depend on who is polled first, found and replayed.

use std::sync::Arc;

use triune_scope::__testing::ChildOrder;

use crate::random::{SEED_VARIABLE, seed};

/// Shuffles the children of this run until it is dropped; if the test panics, it prints the seed. Made by
/// [`shuffle_children`].
#[derive(Debug)]
#[must_use = "children are shuffled until it is dropped"]
pub struct ShuffledChildren {
    order: Arc<ChildOrder>,
    seed: u64,
}

/// From now on, the nurseries of this run poll children that were started together in a random order, instead of the order of
/// their starts. The same seed gives the same order on a current-thread runtime.
///
/// The seed is `TRIUNE_SEED` of the environment, else a random one; a failing test prints it.
///
/// # Panics
///
/// Outside of a tokio runtime; if `TRIUNE_SEED` is not a number.
#[track_caller]
pub fn shuffle_children() -> ShuffledChildren {
    shuffle_children_with(seed())
}

/// As [`shuffle_children`], by a given seed.
///
/// # Panics
///
/// Outside of a tokio runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use std::sync::Mutex;
/// use triune_scope::nursery;
/// use triune_testing::shuffle_children_with;
///
/// let _shuffled = shuffle_children_with(7);
/// let record = Mutex::new(Vec::new());
/// nursery(async |n| {
///     for number in 0..10 {
///         let record = &record;
///         n.spawn(async move { Ok(record.lock().unwrap().push(number)) });
///     }
///     Ok(())
/// })
/// .await?;
/// let mut record = record.into_inner().unwrap();
/// assert_ne!(record, (0..10).collect::<Vec<_>>());
/// record.sort();
/// assert_eq!(record, (0..10).collect::<Vec<_>>());
/// # Ok(()) }
/// ```
#[track_caller]
pub fn shuffle_children_with(seed: u64) -> ShuffledChildren {
    let order = ChildOrder::current();
    order.set_seed(Some(seed));
    ShuffledChildren { order, seed }
}

impl ShuffledChildren {
    /// The seed, for a replay.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

impl Drop for ShuffledChildren {
    fn drop(&mut self) {
        self.order.set_seed(None);
        if std::thread::panicking() {
            report(self.seed);
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the output of a failing test is where its reader looks for the seed"
)]
fn report(seed: u64) {
    eprintln!("the children of this test were shuffled; replay with {SEED_VARIABLE}={seed}");
}
