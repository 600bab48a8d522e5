//! How many threads may run at a time, and whom a waiting thread lends its permit to.
//!
//! A job that is inside [`Blocking::block_on`](super::Blocking::block_on) stands still. A job that this async code calls
//! may take its place, whatever stands between the two (nurseries, parallel children): it walks up the tree of scopes to
//! the job that it is beneath. Without that, a thread that waits for another one is a deadlock as soon as the limit is reached.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use crate::cancel::node::Node;
use crate::error::Result;
use crate::lock::Mutex;
use crate::run::Run;
use crate::sync::{AcquireError, Borrower, CapacityLimiter, Token};

/// How many thread jobs of a run are at work at a time, if they ask for no other limiter. Threads mostly wait, so this is
/// not the number of cores.
const DEFAULT_LIMIT: usize = 40;

/// The limiter of the thread jobs of this run that ask for no other: 40 threads, until
/// [`set_total`](CapacityLimiter::set_total) says otherwise.
///
/// # Panics
///
/// Outside of a tokio runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::blocking::{self, default_limiter};
///
/// default_limiter().set_total(4);
/// let borrowed = blocking::run(|_| Ok(())).await.map(|()| default_limiter().borrowed())?;
/// assert_eq!((borrowed, default_limiter().total()), (0, Some(4)));
/// # Ok(()) }
/// ```
#[must_use]
#[track_caller]
pub fn default_limiter() -> CapacityLimiter {
    Run::current().extension(|| Default(CapacityLimiter::new(DEFAULT_LIMIT))).0.clone()
}

struct Default(CapacityLimiter);

/// The jobs of a run that may lend their permit, by the address of their scope's node.
#[derive(Default)]
struct Lenders(Mutex<HashMap<usize, Lender>>);

#[derive(Clone)]
struct Lender {
    limiter: CapacityLimiter,
    /// One token: the job's own, for one of those beneath it at a time.
    lent: CapacityLimiter,
}

/// The right of one job to its thread; given back on drop.
pub(super) struct Permit {
    lenders: Arc<Lenders>,
    node: usize,
    _token: Token,
}

impl Permit {
    /// Waits for a place under `limiter`. Afterwards the job with the scope `node` is one that lends.
    ///
    /// # Cancel safety
    ///
    /// A soft checkpoint: a cancelled wait keeps nothing.
    pub(super) async fn acquire(
        run: &Run,
        limiter: CapacityLimiter,
        above: Option<&Arc<Node>>,
        node: &Arc<Node>,
    ) -> Result<Self> {
        let lenders = run.extension(Lenders::default);
        let lent = above.and_then(|above| lenders.above(above, &limiter));
        let token = match first(&limiter, lent).await {
            Ok(token) => token,
            Err(AcquireError::Cancelled(cancelled)) => return Err(cancelled.into()),
            Err(error) => return Err(error.into()),
        };
        let node = address(node);
        lenders.0.lock().insert(node, Lender { limiter, lent: CapacityLimiter::new(1) });
        Ok(Self { lenders, node, _token: token })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let lender = self.lenders.0.lock().remove(&self.node);
        drop(lender);
    }
}

impl Lenders {
    /// The nearest job above that has a token of `limiter`.
    fn above(&self, node: &Arc<Node>, limiter: &CapacityLimiter) -> Option<CapacityLimiter> {
        if self.0.lock().is_empty() {
            return None;
        }
        let mut next = Some(Arc::clone(node));
        while let Some(node) = next {
            let lender = self.0.lock().get(&address(&node)).cloned();
            if let Some(lender) = lender.filter(|lender| lender.limiter.is_same(limiter)) {
                return Some(lender.lent);
            }
            next = node.parent();
        }
        None
    }
}

/// A token of the limiter or, if that comes earlier, the one that is lent. Each job borrows in a name of its own: a
/// task may have many.
async fn first(limiter: &CapacityLimiter, lent: Option<CapacityLimiter>) -> Result<Token, AcquireError> {
    let own = limiter.acquire_for(Borrower::unique());
    let Some(lent) = lent else { return own.await };
    let (mut own, mut lent) = (pin!(own), pin!(lent.acquire_for(Borrower::unique())));
    poll_fn(|cx| match own.as_mut().poll(cx) {
        Poll::Pending => lent.as_mut().poll(cx),
        ready => ready,
    })
    .await
}

fn address(node: &Arc<Node>) -> usize {
    Arc::as_ptr(node).addr()
}
