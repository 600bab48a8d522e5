//! Memory that is lent to workers beside their calls: a descriptor goes over once, and its number from then on.
//!
//! The pool keeps the books: it lends what the next call needs and the worker does not have, and recalls what was not needed
//! for long, and what is needed by nobody any more. Loans go over the link before their call. The worker does as it is told
//! ([`take`]), so the two cannot disagree.
//!
//! Invariants:
//! 1. A worker has what the arguments of its call refer to when it begins to decode them.
//! 2. It keeps the last few, so that the next job of the same input costs nothing, and no more than those and what its
//!    last call has needed.
//! 3. Memory that has no handle and no job in this process any more is recalled at once, or at the end of the job that the
//!    worker has: its pages are the first to be used again then, which halves the cost of the next one.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use triune_ipc::Link;
use triune_ipc::blocking::Loan;
use triune_process::Sealed;

use crate::shared::{Kept, Memory};

/// How much of it a worker keeps that its call does not need.
const SPARE: usize = 8;

/// What was lent to one worker.
#[derive(Debug)]
pub(crate) struct Lent {
    link: Link,
    /// What was needed last is at the end. The lock orders what is said on the link, too.
    numbers: Mutex<Vec<u64>>,
}

impl Lent {
    /// Nothing is lent over this link.
    pub(crate) fn new(link: Link) -> Arc<Self> {
        Arc::new(Self { link, numbers: Mutex::default() })
    }

    /// Lends what the next call needs; to be called by whoever has the worker for itself.
    pub(crate) fn lend<'a>(self: &Arc<Self>, needed: impl IntoIterator<Item = &'a Kept>) {
        let mut needed = needed.into_iter().flat_map(Kept::memories).peekable();
        if needed.peek().is_none() {
            return;
        }
        let mut numbers = self.lock();
        let (new, old) = renew(&mut numbers, needed.map(|memory| (memory.id, memory)));
        old.into_iter().for_each(|number| self.link.recall(number));
        for memory in new {
            memory.is_lent_to(self);
            self.link.lend(memory.id, Arc::clone(memory.sealed.file()));
        }
    }

    /// Recalls what nobody needs any more.
    pub(crate) fn recall(&self, number: u64) {
        let mut numbers = self.lock();
        if let Some(at) = numbers.iter().position(|other| *other == number) {
            numbers.remove(at);
            self.link.recall(number);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u64>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves what is needed to the end. Gives what has come new, and the numbers of what has gone for it.
fn renew<T>(lent: &mut Vec<u64>, needed: impl Iterator<Item = (u64, T)>) -> (Vec<T>, Vec<u64>) {
    let (mut new, mut count) = (Vec::new(), 0);
    for (number, thing) in needed {
        match lent.iter().rposition(|other| *other == number) {
            // It is among those that were needed just now.
            Some(at) if at >= lent.len() - count => continue,
            Some(at) => drop(lent.remove(at)),
            None => new.push(thing),
        }
        lent.push(number);
        count += 1;
    }
    let most = count.max(SPARE);
    let old = lent.drain(..lent.len().saturating_sub(most)).collect();
    (new, old)
}

/// Memory by its number; or why it is not there.
type Known = (u64, Result<Arc<Memory>, String>);

thread_local! {
    /// What was lent to this process, on the thread that runs its jobs.
    static KNOWN: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// In a worker: takes what is lent to it, and forgets what is recalled.
pub(crate) fn take(loan: Loan) {
    KNOWN.with_borrow_mut(|known| match loan {
        Loan::Recalled { number } => known.retain(|(id, _)| *id != number),
        // The copy of a fork server may have it already.
        Loan::Lent { number, .. } if known.iter().any(|(id, _)| *id == number) => {}
        Loan::Lent { number, file: Some(file) } => {
            let mapped = Sealed::of(file).map_err(|error| format!("cannot map shared memory: {error}"));
            known.push((number, mapped.map(|sealed| Memory::new(sealed, number))));
        }
        Loan::Lent { number, file: None } => {
            let text = "there is no descriptor left for shared memory; raise the limit of open files";
            known.push((number, Err(text.to_owned())));
        }
        _ => {}
    });
}

/// In a worker: the memory with this number.
pub(crate) fn find(number: u64) -> Result<Arc<Memory>, String> {
    KNOWN.with_borrow(|known| match known.iter().find(|(id, _)| *id == number) {
        Some((_, memory)) => memory.clone(),
        None => {
            Err("this shared memory was not lent to this process: it is an argument of a job of another"
                .into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{SPARE, renew};

    fn needed(lent: &mut Vec<u64>, numbers: &[u64]) -> (Vec<u64>, Vec<u64>) {
        renew(lent, numbers.iter().map(|number| (*number, *number)))
    }

    #[test]
    fn what_is_needed_again_is_not_lent_again_and_what_was_not_for_long_is_recalled() {
        let mut lent = Vec::new();
        assert_eq!(needed(&mut lent, &[1, 2, 1]), (vec![1, 2], vec![]));
        assert_eq!(needed(&mut lent, &[2]), (vec![], vec![]));
        for number in 3..=8 {
            assert_eq!(needed(&mut lent, &[number]), (vec![number], vec![]));
        }
        assert_eq!(lent.len(), SPARE);
        assert_eq!(needed(&mut lent, &[1]), (vec![], vec![]), "it is the latest now");
        assert_eq!(needed(&mut lent, &[9]), (vec![9], vec![2]));
        assert_eq!(needed(&mut lent, &[1, 9]), (vec![], vec![]));
    }

    #[test]
    fn a_call_gets_all_that_it_needs() {
        let mut lent: Vec<u64> = (0..8).collect();
        let many: Vec<u64> = (4..24).collect();
        assert_eq!(needed(&mut lent, &many), ((8..24).collect(), (0..4).collect()));
        assert_eq!(lent, many);
        assert_eq!(needed(&mut lent, &[30]), (vec![30], (4..17).collect()));
    }
}
