//! The limiter: who has a token, and who waits for one.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;

use super::borrower::Borrower;
use super::error::{AcquireError, NotBorrowed, TryAcquireError};
use super::token::{Acquire, Token};
use crate::lock::Mutex;
use crate::sync::queue::Queue;
use crate::sync::wait::Wait;

/// Limits how many borrowers do something at once. A clone is the same limiter.
///
/// Unlike a [`Semaphore`](crate::sync::Semaphore) it knows who borrows: a task cannot take two tokens (and so not wait for
/// itself), [`statistics`](Self::statistics) names the borrowers, and the total can be changed at any time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::{nursery, sync::CapacityLimiter};
///
/// let limiter = CapacityLimiter::new(2);
/// nursery(async |n| {
///     for _ in 0..10 {
///         n.spawn(async {
///             let _token = limiter.acquire().await?;
///             assert!(limiter.statistics().borrowed <= 2);
///             Ok(())
///         });
///     }
///     Ok(())
/// })
/// .await
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct CapacityLimiter(pub(super) Arc<Mutex<State>>);

#[derive(Debug)]
pub(super) struct State {
    /// `None` is no limit.
    total: Option<usize>,
    /// Who borrows, with the number of the loan.
    pub(super) loans: HashMap<Borrower, u64>,
    next_loan: u64,
    pub(super) queue: Queue<Waiting>,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) borrower: Borrower,
    /// The number of the loan, once it is granted; none if the borrower got another one meanwhile.
    pub(super) loan: Option<u64>,
}

/// What is known of a [`CapacityLimiter`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimiterStatistics {
    /// How many tokens are borrowed.
    pub borrowed: usize,
    /// How many tokens there are; `None` if there is no limit.
    pub total: Option<usize>,
    /// Who borrows, in the order of the loans.
    pub borrowers: Vec<Borrower>,
    /// How many tasks wait.
    pub waiting: usize,
}

impl CapacityLimiter {
    /// A limiter with so many tokens; with none, everybody waits until there are some.
    pub fn new(total: usize) -> Self {
        Self::of(Some(total))
    }

    /// A limiter that only counts.
    pub fn unlimited() -> Self {
        Self::of(None)
    }

    fn of(total: Option<usize>) -> Self {
        Self(Arc::new(Mutex::new(State { total, loans: HashMap::new(), next_loan: 0, queue: Queue::new() })))
    }

    /// Waits for a token for the running task.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; a token that was handed to a dropped wait is handed on.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Cancelled`] if the scope around it is cancelled before there is a token,
    /// [`AcquireError::AlreadyBorrowed`] if this task has a token.
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<Token, AcquireError>> {
        self.acquire_at(Location::caller(), Borrower::current)
    }

    /// Waits for a token for somebody, see [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; a token that was handed to a dropped wait is handed on.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Cancelled`] if the scope around it is cancelled before there is a token,
    /// [`AcquireError::AlreadyBorrowed`] if the borrower has a token.
    #[track_caller]
    pub fn acquire_for<B>(
        &self,
        borrower: B,
    ) -> impl Future<Output = Result<Token, AcquireError>> + use<'_, B>
    where
        B: Into<Borrower>,
    {
        let borrower = borrower.into();
        self.acquire_at(Location::caller(), || borrower)
    }

    /// # Cancel safety
    ///
    /// As that of [`acquire`](Self::acquire).
    async fn acquire_at(
        &self,
        location: &'static Location<'static>,
        borrower: impl FnOnce() -> Borrower,
    ) -> Result<Token, AcquireError> {
        match Wait::new(location, Acquire { limiter: self, borrower: borrower() }).await {
            Ok(Ok(token)) => Ok(token),
            Ok(Err(borrower)) => Err(AcquireError::AlreadyBorrowed(borrower)),
            Err(cancelled) => Err(AcquireError::Cancelled(cancelled)),
        }
    }

    /// Takes a token for the running task if one is available.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError::WouldBlock`] if there is none, [`TryAcquireError::AlreadyBorrowed`] if this task has one.
    pub fn try_acquire(&self) -> Result<Token, TryAcquireError> {
        self.try_acquire_for(Borrower::current())
    }

    /// Takes a token for somebody if one is available.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_for(&self, borrower: impl Into<Borrower>) -> Result<Token, TryAcquireError> {
        let borrower = borrower.into();
        let mut state = self.0.lock();
        if state.loans.contains_key(&borrower) {
            return Err(TryAcquireError::AlreadyBorrowed(borrower));
        }
        if !state.has_free() {
            return Err(TryAcquireError::WouldBlock);
        }
        let loan = state.lend(borrower.clone());
        drop(state);
        Ok(self.token(borrower, loan))
    }

    /// Gives back the token of somebody who kept it with [`Token::forget`].
    ///
    /// # Errors
    ///
    /// [`NotBorrowed`] if this borrower has none.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use triune_scope::sync::CapacityLimiter;
    ///
    /// let seats = CapacityLimiter::new(1);
    /// let ann = seats.try_acquire_for("Ann").unwrap().forget();
    /// assert_eq!(seats.borrowed(), 1);
    /// seats.release_for(&ann).unwrap();
    /// assert!(seats.release_for(&ann).is_err(), "it is back already");
    /// # }
    /// ```
    pub fn release_for(&self, borrower: &Borrower) -> Result<(), NotBorrowed> {
        let mut state = self.0.lock();
        if state.loans.remove(borrower).is_none() {
            return Err(NotBorrowed { borrower: borrower.clone() });
        }
        let wakers = state.serve();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Changes how many tokens there are; `None` is no limit. If more are borrowed, nobody gets one until enough have
    /// come back.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use triune_scope::sync::CapacityLimiter;
    ///
    /// let seats = CapacityLimiter::new(1);
    /// let token = seats.try_acquire_for("Ann").unwrap();
    /// assert!(seats.try_acquire_for("Bob").is_err());
    /// seats.set_total(2);
    /// let _bob = seats.try_acquire_for("Bob").unwrap();
    /// seats.set_total(0);
    /// assert_eq!((seats.total(), seats.borrowed(), seats.available()), (Some(0), 2, Some(-2)));
    /// # drop(token);
    /// # }
    /// ```
    pub fn set_total(&self, total: impl Into<Option<usize>>) {
        let mut state = self.0.lock();
        state.total = total.into();
        let wakers = state.serve();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// How many tokens there are; `None` if there is no limit.
    pub fn total(&self) -> Option<usize> {
        self.0.lock().total
    }

    /// How many tokens are borrowed.
    pub fn borrowed(&self) -> usize {
        self.0.lock().loans.len()
    }

    /// How many tokens can be borrowed at once: negative while more are borrowed than there are, `None` if there is
    /// no limit.
    pub fn available(&self) -> Option<isize> {
        let state = self.0.lock();
        let (total, borrowed) = (state.total?, state.loans.len());
        Some(match total.checked_sub(borrowed) {
            Some(free) => isize::try_from(free).unwrap_or(isize::MAX),
            None => isize::try_from(borrowed - total).map_or(isize::MIN, |over| -over),
        })
    }

    /// Who borrows and how many tasks wait.
    pub fn statistics(&self) -> LimiterStatistics {
        let state = self.0.lock();
        let mut loans: Vec<_> =
            state.loans.iter().map(|(borrower, loan)| (*loan, borrower.clone())).collect();
        let (total, waiting) = (state.total, state.queue.waiting());
        drop(state);
        loans.sort_unstable_by_key(|(loan, _)| *loan);
        let borrowers: Vec<_> = loans.into_iter().map(|(_, borrower)| borrower).collect();
        LimiterStatistics { borrowed: borrowers.len(), total, borrowers, waiting }
    }

    /// Whether the other handle is on the same limiter.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn token(&self, borrower: Borrower, loan: u64) -> Token {
        Token { limiter: self.clone(), borrower, loan, forgotten: false }
    }
}

impl State {
    fn has_free(&self) -> bool {
        self.total.is_none_or(|total| self.loans.len() < total)
    }

    fn lend(&mut self, borrower: Borrower) -> u64 {
        let loan = self.next_loan;
        self.next_loan += 1;
        self.loans.insert(borrower, loan);
        loan
    }

    /// Hands out what is free; the wakers are to be woken without the lock.
    pub(super) fn serve(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while self.has_free() {
            let Some((waiting, waker)) = self.queue.grant() else { break };
            // Somebody may wait twice under one name; the second gets an error.
            if !self.loans.contains_key(&waiting.borrower) {
                let loan = self.next_loan;
                self.next_loan += 1;
                self.loans.insert(waiting.borrower.clone(), loan);
                waiting.loan = Some(loan);
            }
            wakers.push(waker);
        }
        wakers
    }
}
