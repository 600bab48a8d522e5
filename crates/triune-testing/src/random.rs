//! Numbers that can be replayed: a seed, and what follows from it.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;

/// The variable that sets the seed for a replay.
pub(crate) const SEED_VARIABLE: &str = "TRIUNE_SEED";

/// The seed of this test: `TRIUNE_SEED` of the environment, else a random one. Print it where a failing test reports.
///
/// # Panics
///
/// If `TRIUNE_SEED` is not a number.
#[must_use]
#[track_caller]
pub fn seed() -> u64 {
    match std::env::var(SEED_VARIABLE) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{SEED_VARIABLE} is a number, not `{text}`")),
        Err(_) => RandomState::new().hash_one(SEED_VARIABLE),
    }
}

/// A sequence of numbers that a seed determines, the same on every machine. For tests, not for secrets.
///
/// ```
/// use triune_testing::Random;
///
/// let mut one = Random::new(7);
/// let mut other = one.clone();
/// assert_eq!(one.next_u64(), other.next_u64());
/// assert!((10..20).contains(&one.in_range(10..20)));
/// assert!([1, 2, 3].contains(one.one_of(&[1, 2, 3])));
/// ```
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The sequence of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number, any of them (SplitMix64).
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of this range. The lower ones are the likelier, by less than one part in 2^32 for ranges below 2^32.
    ///
    /// # Panics
    ///
    /// If the range is empty.
    pub fn in_range(&mut self, range: Range<u64>) -> u64 {
        assert!(!range.is_empty(), "a number is wanted from the empty range {range:?}");
        range.start + self.next_u64() % (range.end - range.start)
    }

    /// One of these.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = self.in_range(0..choices.len() as u64);
        &choices[usize::try_from(index).expect("an index of a slice")]
    }
}
