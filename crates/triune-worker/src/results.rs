//! The results of a map on their way from its jobs to whoever polls it.
//!
//! Jobs and consumer are polled by one task, so a result that is put here needs no wake-up, no node and no memory of its own.
//!
//! Invariants:
//! 1. Each place that was given out gives exactly one result, or keeps the map from ending.
//! 2. Results in the order of their places wait for those before them; others for nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::RunError;

/// What a job of a map came to.
type Outcome<O> = Result<O, RunError>;

/// The results that are awaited or not given out yet.
pub(crate) struct Results<O>(Arc<Mutex<Queue<O>>>);

struct Queue<O> {
    is_ordered: bool,
    /// How many places were given out whose results were not.
    open: usize,
    /// The number of the next place.
    next: u64,
    /// In order: that of the first entry of `there`, and the place of one that is missing.
    first: u64,
    there: VecDeque<Option<Outcome<O>>>,
}

/// Where the result of one job goes. Dropped without one, it says that the job was given up.
pub(crate) struct Place<O> {
    number: u64,
    job: &'static str,
    results: Arc<Mutex<Queue<O>>>,
    is_open: bool,
}

fn lock<O>(queue: &Mutex<Queue<O>>) -> MutexGuard<'_, Queue<O>> {
    // Nothing that can panic runs under the lock.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<O> Results<O> {
    pub(crate) fn new() -> Self {
        let (there, is_ordered) = (VecDeque::new(), true);
        Self(Arc::new(Mutex::new(Queue { is_ordered, open: 0, next: 0, first: 0, there })))
    }

    /// Before the first place only.
    pub(crate) fn set_ordered(&self, is_ordered: bool) {
        lock(&self.0).is_ordered = is_ordered;
    }

    pub(crate) fn is_ordered(&self) -> bool {
        lock(&self.0).is_ordered
    }

    /// How many jobs are under way: they have a place, and their result was not given out.
    pub(crate) fn len(&self) -> usize {
        lock(&self.0).open
    }

    /// A place behind all others.
    pub(crate) fn place(&self, job: &'static str) -> Place<O> {
        let results = Arc::clone(&self.0);
        let mut queue = lock(&self.0);
        let number = queue.next;
        queue.next += 1;
        queue.open += 1;
        drop(queue);
        Place { number, job, results, is_open: true }
    }

    /// The next result, if it is there.
    pub(crate) fn take(&self) -> Option<Outcome<O>> {
        let mut queue = lock(&self.0);
        queue.there.front()?.as_ref()?;
        let outcome = queue.there.pop_front().flatten();
        queue.first += 1;
        queue.open -= 1;
        outcome
    }
}

impl<O> Place<O> {
    pub(crate) fn give(mut self, outcome: Outcome<O>) {
        self.put(outcome);
    }

    fn put(&mut self, outcome: Outcome<O>) {
        self.is_open = false;
        let mut queue = lock(&self.results);
        if !queue.is_ordered {
            queue.there.push_back(Some(outcome));
            return;
        }
        let at =
            usize::try_from(self.number - queue.first).expect("no more are under way than fit into memory");
        if queue.there.len() <= at {
            queue.there.resize_with(at + 1, || None);
        }
        queue.there[at] = Some(outcome);
    }
}

impl<O> Drop for Place<O> {
    fn drop(&mut self) {
        if self.is_open {
            self.put(Err(RunError::Closed { job: self.job.to_owned() }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Results};
    use crate::error::RunError;

    fn three(results: &Results<u32>) -> [Place<u32>; 3] {
        [(); 3].map(|()| results.place("job"))
    }

    fn take(results: &Results<u32>) -> Option<Option<u32>> {
        results.take().map(Result::ok)
    }

    #[test]
    fn results_come_in_the_order_of_their_places_or_in_that_of_their_arrival() {
        for (is_ordered, expected) in [(true, [0, 1, 2]), (false, [2, 0, 1])] {
            let results = Results::new();
            results.set_ordered(is_ordered);
            // The second time around, the numbers do not begin at 0.
            for _ in 0..2 {
                let [zero, one, two] = three(&results);
                assert_eq!((results.len(), take(&results)), (3, None));
                two.give(Ok(2));
                assert_eq!(take(&results), (!is_ordered).then_some(Some(2)));
                zero.give(Ok(0));
                one.give(Ok(1));
                let rest = if is_ordered { &expected[..] } else { &expected[1..] };
                for number in rest {
                    assert_eq!(take(&results), Some(Some(*number)));
                }
                assert_eq!((results.len(), take(&results)), (0, None));
            }
        }
    }

    #[test]
    fn a_place_that_is_dropped_gives_an_error() {
        let results = Results::<u32>::new();
        drop(three(&results));
        assert!(matches!(results.take(), Some(Err(RunError::Closed { job })) if job == "job"));
        assert_eq!(results.len(), 2);
    }
}
