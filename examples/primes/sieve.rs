//! The job: a block of numbers, sieved piece by piece.

use std::ops::Range;

/// No number beyond it is searched: the sieve needs all primes up to its root.
pub(crate) const LAST: u64 = 1_000_000_000_000_000;

/// How many numbers are sieved at a time: half as many bytes, which stay in the cache.
const PIECE: u64 = 1 << 20;

/// Neighbouring primes below [`LAST`] are never so far apart.
const FARTHEST: u64 = 2000;

/// The first two neighbouring primes that are at least `gap` apart and the lower of which is in the block.
#[triune::job]
pub(crate) fn search(block: Range<u64>, gap: u64) -> Option<(u64, u64)> {
    let end = block.end + FARTHEST;
    let small = primes_up_to(end.isqrt());
    let mut low = None;
    for first in (block.start..end).step_by(PIECE as usize) {
        for prime in sieve(first, (first + PIECE).min(end), &small) {
            if let Some(low) = low.filter(|low| *low < block.end && prime - low >= gap) {
                return Some((low, prime));
            }
            low = Some(prime);
        }
    }
    None
}

/// The odd primes up to `last`.
fn primes_up_to(last: u64) -> Vec<u64> {
    let mut composite = vec![false; last as usize / 2 + 1];
    let mut primes = Vec::new();
    for number in (3..=last).step_by(2) {
        if !composite[number as usize / 2] {
            primes.push(number);
            for multiple in (number * number..=last).step_by(2 * number as usize) {
                composite[multiple as usize / 2] = true;
            }
        }
    }
    primes
}

/// The primes from `first` to before `end`, given all odd primes up to the root of `end`.
fn sieve(first: u64, end: u64, small: &[u64]) -> impl Iterator<Item = u64> {
    // Only odd numbers have a place: the one at `at` is `odd + 2 * at`.
    let odd = first | 1;
    let mut composite = vec![false; (end.saturating_sub(odd)).div_ceil(2) as usize];
    for prime in small {
        let begin = (odd.div_ceil(*prime) * prime).max(prime * prime);
        let begin = if begin.is_multiple_of(2) { begin + prime } else { begin };
        for at in (((begin - odd) / 2) as usize..composite.len()).step_by(*prime as usize) {
            composite[at] = true;
        }
    }
    let two = (first <= 2 && end > 2).then_some(2);
    let others = (odd..end).step_by(2).zip(composite).filter(|(number, composite)| !composite && *number > 1);
    two.into_iter().chain(others.map(|(number, _)| number))
}
