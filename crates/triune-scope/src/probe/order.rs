//! The order in which new children get their first poll. First in, first out, unless a test shuffles it by a seed.
//!
//! A nursery takes the children that were started since its last poll all at once; only their order among each other is
//! changed, so what a program may rely on stays as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::lock::Mutex;
use crate::run::Run;

/// How many runs shuffle: without one, nobody looks any further.
static SHUFFLING: AtomicUsize = AtomicUsize::new(0);

/// The generator of one run.
#[derive(Debug, Default)]
pub struct ChildOrder {
    /// `None` while the order is that of the starts.
    state: Mutex<Option<u64>>,
}

impl ChildOrder {
    /// That of the run that the caller is in.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    #[track_caller]
    pub fn current() -> Arc<Self> {
        Run::current().extension(Self::default)
    }

    /// Shuffles by this seed from now on; `None` goes back to the order of the starts.
    pub fn set_seed(&self, seed: Option<u64>) {
        let old = std::mem::replace(&mut *self.state.lock(), seed);
        match (old, seed) {
            (None, Some(_)) => drop(SHUFFLING.fetch_add(1, Ordering::Relaxed)),
            (Some(_), None) => drop(SHUFFLING.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }

    fn shuffle<T>(&self, children: &mut [T]) {
        let mut state = self.state.lock();
        let Some(state) = &mut *state else { return };
        for last in (1..children.len()).rev() {
            let bound = u64::try_from(last + 1).expect("a length fits");
            let other = usize::try_from(next(state) % bound).expect("less than a length");
            children.swap(last, other);
        }
    }
}

impl Drop for ChildOrder {
    fn drop(&mut self) {
        self.set_seed(None);
    }
}

/// Shuffles new children if a test asked for it.
pub(crate) fn shuffle<T>(children: &mut [T]) {
    if SHUFFLING.load(Ordering::Relaxed) == 0 || children.len() < 2 {
        return;
    }
    if let Some(order) = Run::try_current().and_then(|run| run.find_extension::<ChildOrder>()) {
        order.shuffle(children);
    }
}

/// SplitMix64: the same numbers on every machine and in every version, which a replay needs.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
