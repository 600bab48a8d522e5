//! A token, and the wait for one.

use std::task::Waker;

use super::borrower::Borrower;
use super::capacity::{CapacityLimiter, Waiting};
use super::error::TryAcquireError;
use crate::sync::queue::Key;
use crate::sync::wait::Source;

/// One token of a [`CapacityLimiter`]; given back when it is dropped.
#[derive(Debug)]
#[must_use = "the token is given back at once when it is dropped"]
pub struct Token {
    pub(super) limiter: CapacityLimiter,
    pub(super) borrower: Borrower,
    pub(super) loan: u64,
    pub(super) forgotten: bool,
}

impl Token {
    /// Keeps the token borrowed until [`CapacityLimiter::release_for`] gives it back. Returns for whom.
    pub fn forget(mut self) -> Borrower {
        self.forgotten = true;
        self.borrower.clone()
    }

    /// Who borrows it.
    pub fn borrower(&self) -> &Borrower {
        &self.borrower
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if self.forgotten {
            return;
        }
        let mut state = self.limiter.0.lock();
        if state.loans.get(&self.borrower) != Some(&self.loan) {
            return;
        }
        state.loans.remove(&self.borrower);
        let wakers = state.serve();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The wait for a token; the borrower comes back if it has one already.
pub(super) struct Acquire<'a> {
    pub(super) limiter: &'a CapacityLimiter,
    pub(super) borrower: Borrower,
}

impl Acquire<'_> {
    fn outcome(&self, waiting: Waiting) -> Result<Token, Borrower> {
        match waiting.loan {
            Some(loan) => Ok(self.limiter.token(waiting.borrower, loan)),
            None => Err(waiting.borrower),
        }
    }
}

impl Source for Acquire<'_> {
    type Output = Result<Token, Borrower>;

    const NAME: &'static str = "CapacityLimiter::acquire";

    fn begin(&mut self, waker: &Waker) -> Result<Self::Output, Key> {
        match self.limiter.try_acquire_for(self.borrower.clone()) {
            Ok(token) => return Ok(Ok(token)),
            Err(TryAcquireError::AlreadyBorrowed(borrower)) => return Ok(Err(borrower)),
            Err(TryAcquireError::WouldBlock) => {}
        }
        let mut state = self.limiter.0.lock();
        let waiting = Waiting { borrower: self.borrower.clone(), loan: None };
        let key = state.queue.push(waiting, waker.clone());
        // A token may have come back since the first look.
        let wakers = state.serve();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        Err(key)
    }

    fn take_granted(&mut self, key: Key, waker: &Waker) -> Result<Self::Output, Key> {
        let taken = self.limiter.0.lock().queue.take_granted(key, waker);
        taken.map(|left| self.outcome(left.waiter)).map_err(|(key, _old)| key)
    }

    fn withdraw(&mut self, key: Key) -> Option<Self::Output> {
        let left = self.limiter.0.lock().queue.remove(key);
        left.granted.then(|| self.outcome(left.waiter))
    }
}
