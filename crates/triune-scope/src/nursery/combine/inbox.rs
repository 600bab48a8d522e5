//! Where the values of the branches are gathered, and how a body reads them as they come.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::cancel::leaf::Leaf;
use crate::cancel::{CancelReason, Cause, cancel_reason};
use crate::error::{Cancelled, Error, Result};
use crate::lock::Mutex;
use crate::tree::TaskWait;

const NEXT: TaskWait = TaskWait::on("the next to complete", None);

/// The values of the futures of [`as_completed`](crate::as_completed), in the order of their ends.
pub struct Completed<T> {
    inbox: Arc<Inbox<T>>,
}

impl<T> Completed<T> {
    pub(super) fn of(inbox: Arc<Inbox<T>>) -> Self {
        Self { inbox }
    }

    /// The next value; `None` when all futures have ended.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] when the scope around it is cancelled, or another future failed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use triune_scope::as_completed;
    ///
    /// let jobs = [3, 1, 2].map(async |turns| {
    ///     for _turn in 0..turns {
    ///         tokio::task::yield_now().await;
    ///     }
    ///     Ok(turns)
    /// });
    /// let order = as_completed(jobs, async |mut completed| {
    ///     let mut order = Vec::new();
    ///     while let Some(turns) = completed.next().await? {
    ///         order.push(turns);
    ///     }
    ///     Ok(order)
    /// });
    /// assert_eq!(order.await?, [1, 2, 3]);
    /// # Ok(()) }
    /// ```
    pub async fn next(&mut self) -> Result<Option<T>, Cancelled> {
        let mut leaf = Leaf::default();
        let mut fresh = true;
        poll_fn(|cx| {
            if fresh {
                if let Poll::Ready(cancelled) = leaf.poll_for(NEXT, cx) {
                    return Poll::Ready(Err(cancelled));
                }
                fresh = leaf.is_yielding();
                if fresh {
                    return Poll::Pending;
                }
            }
            self.inbox.poll(&mut leaf, cx)
        })
        .await
    }
}

impl<T> fmt::Debug for Completed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completed").field("left", &self.inbox.0.lock().left).finish_non_exhaustive()
    }
}

/// Where branches put their values.
pub(super) struct Inbox<T>(Mutex<Mail<T>>);

struct Mail<T> {
    values: VecDeque<(usize, T)>,
    /// How many branches there were, which is the index of the next.
    branches: usize,
    /// How many of them have given no value.
    left: usize,
    waker: Option<Waker>,
}

impl<T> Inbox<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Mail { values: VecDeque::new(), branches: 0, left: 0, waker: None })))
    }

    /// Another branch is to come; its index.
    pub(super) fn expect(&self) -> usize {
        let mut mail = self.0.lock();
        let index = mail.branches;
        mail.branches += 1;
        mail.left += 1;
        index
    }

    pub(super) fn put(&self, index: usize, value: T) {
        let mut mail = self.0.lock();
        mail.values.push_back((index, value));
        mail.left -= 1;
        let waker = mail.waker.take();
        drop(mail);
        waker.into_iter().for_each(Waker::wake);
    }

    /// What is there counts before a cancel that comes meanwhile.
    pub(super) fn poll(&self, leaf: &mut Leaf, cx: &mut Context<'_>) -> Poll<Result<Option<T>, Cancelled>> {
        let mut mail = self.0.lock();
        if let Some((_, value)) = mail.values.pop_front() {
            return Poll::Ready(Ok(Some(value)));
        }
        if mail.left == 0 {
            return Poll::Ready(Ok(None));
        }
        let old = mail.waker.replace(cx.waker().clone());
        drop(mail);
        drop(old);
        leaf.poll_for(NEXT, cx).map(Err)
    }

    /// The values in the order of the branches, if none is missing.
    pub(super) fn take_all(&self) -> Result<Vec<T>> {
        let mut mail = self.0.lock();
        let left = mail.left;
        let mut values = Vec::from(std::mem::take(&mut mail.values));
        drop(mail);
        if left > 0 {
            return Err(cut_off());
        }
        values.sort_by_key(|(index, _)| *index);
        Ok(values.into_iter().map(|(_, value)| value).collect())
    }
}

/// Nothing failed, but branches gave no value: a cancel from around ended them.
pub(super) fn cut_off() -> Error {
    Error::cancelled(cancel_reason().unwrap_or_else(|| CancelReason::from(Cause::Parent)))
}
