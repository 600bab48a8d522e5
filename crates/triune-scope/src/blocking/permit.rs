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

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::cancel::FutureExt as _;
use crate::cancel::node::Node;
use crate::error::{Error, Result};
use crate::lock::Mutex;
use crate::run::Run;

/// How many thread jobs of a run are at work at a time, if they ask for no other limiter. Threads mostly wait, so this is
/// not the number of cores.
const DEFAULT_LIMIT: usize = 40;

/// The limiter of the thread jobs of this run that ask for no other: 40 threads. Add permits to raise the limit, take some
/// for good to lower it.
///
/// # Panics
///
/// Outside of a tokio runtime.
#[must_use]
#[track_caller]
pub fn default_limiter() -> Arc<Semaphore> {
    Arc::clone(&Run::current().extension(|| Default(Arc::new(Semaphore::new(DEFAULT_LIMIT)))).0)
}

struct Default(Arc<Semaphore>);

/// The jobs of a run that may lend their permit, by the address of their scope's node.
#[derive(Default)]
struct Lenders(Mutex<HashMap<usize, Lender>>);

#[derive(Clone)]
struct Lender {
    limiter: Arc<Semaphore>,
    /// One permit: the job's own, for one of those beneath it at a time.
    lent: Arc<Semaphore>,
}

/// The right of one job to its thread; given back on drop.
pub(super) struct Permit {
    lenders: Arc<Lenders>,
    node: usize,
    _permit: OwnedSemaphorePermit,
}

impl Permit {
    /// Waits for a place under `limiter`. Afterwards the job with the scope `node` is one that lends.
    ///
    /// # Cancel safety
    ///
    /// A soft checkpoint: a cancelled wait keeps nothing.
    pub(super) async fn acquire(
        run: &Run,
        limiter: Arc<Semaphore>,
        above: Option<&Arc<Node>>,
        node: &Arc<Node>,
    ) -> Result<Self> {
        let lenders = run.extension(Lenders::default);
        let lent = above.and_then(|above| lenders.above(above, &limiter));
        let permit = first(Arc::clone(&limiter), lent).cancellable().await?.map_err(Error::new)?;
        let node = address(node);
        lenders.0.lock().insert(node, Lender { limiter, lent: Arc::new(Semaphore::new(1)) });
        Ok(Self { lenders, node, _permit: permit })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let lender = self.lenders.0.lock().remove(&self.node);
        drop(lender);
    }
}

impl Lenders {
    /// The nearest job above that has a permit of `limiter`.
    fn above(&self, node: &Arc<Node>, limiter: &Arc<Semaphore>) -> Option<Arc<Semaphore>> {
        if self.0.lock().is_empty() {
            return None;
        }
        let mut next = Some(Arc::clone(node));
        while let Some(node) = next {
            let lender = self.0.lock().get(&address(&node)).cloned();
            if let Some(lender) = lender.filter(|lender| Arc::ptr_eq(&lender.limiter, limiter)) {
                return Some(lender.lent);
            }
            next = node.parent();
        }
        None
    }
}

/// A permit of the limiter or, if that comes earlier, the one that is lent.
async fn first(
    limiter: Arc<Semaphore>,
    lent: Option<Arc<Semaphore>>,
) -> Result<OwnedSemaphorePermit, AcquireError> {
    let Some(lent) = lent else { return limiter.acquire_owned().await };
    let (mut own, mut lent) = (pin!(limiter.acquire_owned()), pin!(lent.acquire_owned()));
    poll_fn(|cx| match own.as_mut().poll(cx) {
        Poll::Pending => lent.as_mut().poll(cx),
        ready => ready,
    })
    .await
}

fn address(node: &Arc<Node>) -> usize {
    Arc::as_ptr(node).addr()
}
