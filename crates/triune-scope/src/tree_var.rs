//! Tree variables: values that follow a nursery's place in the tree of scopes, not the code that spawns into it.
//!
//! Owns [`TreeVar`] and its table from nodes to values. It is for what belongs to a *region*: a pool that is closed when
//! the region ends must not be used by a child whose nursery lives on, wherever that child was spawned from. (For
//! what belongs to the spawner, such as the id of a request, there is [`TaskVar`](crate::TaskVar).)
//!
//! # Invariants
//!
//! 1. A value is in the table exactly as long as its region's future exists, and its node lives as long, so that no other
//!    has its address, which is the key.
//! 2. Where no region is open a look-up takes no lock.
//! 3. The table is locked before nodes, and no code of the user runs under its lock.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::cancel::ambient;
use crate::cancel::boundary::{Boundary, heir};
use crate::cancel::node::Node;
use crate::error::Cancelled;
use crate::lock::Mutex;

/// A value that is seen by everything beneath a region of the tree of scopes.
///
/// What counts is where a nursery was *opened*: a child that is spawned from inside the region into a nursery outside of
/// it does not see the value, and one that is spawned from outside into a nursery inside does.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::{TreeVar, nursery};
///
/// static POOL: TreeVar<&str> = TreeVar::new();
///
/// nursery(async |outside| {
///     let seen = POOL.scope("mine", async {
///         let beyond = outside.spawn(async { Ok(POOL.get()) });
///         (POOL.get(), beyond.await)
///     });
///     let (here, beyond) = seen.await?;
///     assert_eq!((here, beyond?), (Some("mine"), None));
///     Ok(())
/// })
/// .await
/// # }
/// ```
pub struct TreeVar<T: 'static> {
    /// By the address of the region's node.
    regions: Mutex<BTreeMap<usize, T>>,
    /// Release after an insertion; pairs with the Acquire in `get`, which sees at least its own ancestors' regions.
    open: AtomicUsize,
}

impl<T: Clone + Send + 'static> TreeVar<T> {
    /// A variable without a value.
    pub const fn new() -> Self {
        Self { regions: Mutex::new(BTreeMap::new()), open: AtomicUsize::new(0) }
    }

    /// Runs `future` as a region that has this value. The innermost region counts.
    ///
    /// # Cancel safety
    ///
    /// As that of `future`, which is dropped with the returned one.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> TreeVarScope<T, F> {
        let node = heir();
        let region = Region { variable: self, node: Arc::clone(&node) };
        self.regions.lock().insert(address(&node), value);
        self.open.fetch_add(1, Ordering::Release);
        TreeVarScope { boundary: Boundary::nested(node, future), region }
    }

    /// The value of the innermost region around the running code.
    pub fn get(&'static self) -> Option<T> {
        if self.open.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut node = ambient::peek(|ambient| Arc::clone(&ambient.node))?;
        let regions = self.regions.lock();
        loop {
            if let Some(value) = regions.get(&address(&node)) {
                return Some(value.clone());
            }
            node = node.parent()?;
        }
    }
}

impl<T: Clone + Send + 'static> Default for TreeVar<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for TreeVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeVar").field("regions", &self.open.load(Ordering::Relaxed)).finish()
    }
}

fn address(node: &Arc<Node>) -> usize {
    Arc::as_ptr(node).addr()
}

/// One entry of the table.
struct Region<T: 'static> {
    variable: &'static TreeVar<T>,
    /// Kept, so that no other node gets its address.
    node: Arc<Node>,
}

impl<T> Drop for Region<T> {
    fn drop(&mut self) {
        let value = self.variable.regions.lock().remove(&address(&self.node));
        self.variable.open.fetch_sub(1, Ordering::Release);
        drop(value);
    }
}

pin_project! {
    /// A region of the tree of scopes, made by [`TreeVar::scope`]. It is a scope of its own: if a cancel from around it
    /// cuts the code off, it resolves to `Cancelled`.
    ///
    /// # Cancel safety
    ///
    /// As that of the future inside.
    #[must_use = "futures do nothing unless awaited"]
    pub struct TreeVarScope<T: 'static, F> {
        // Dropped before the entry, so that the code never runs without its value.
        #[pin]
        boundary: Boundary<F>,
        region: Region<T>,
    }
}

impl<T, F: Future> Future for TreeVarScope<T, F> {
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().boundary.poll(cx).map_err(Cancelled::new)
    }
}

impl<T, F> fmt::Debug for TreeVarScope<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeVarScope").finish_non_exhaustive()
    }
}
