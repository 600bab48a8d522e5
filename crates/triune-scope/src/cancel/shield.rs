//! Shields: async clean-up that a cancel from outside does not reach.

use std::future::Future;
use std::time::Duration;

use super::boundary::Boundary;
use super::deadline::When;
use super::node::{Inherit, Node};
use super::patience::{LIMIT, Patience, Then};

/// Runs `future` where no cancel from around it is seen, and keeps everything above from being dropped by one.
///
/// Nothing bounds it: while it does not end, neither does the nursery around it. Prefer [`shield`](crate::shield).
///
/// # Cancel safety
///
/// triune never drops it half-way, but foreign code (`select!`, `timeout`) that drops the caller does.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{CancelScope, FutureExt, shield_unbounded};
///
/// let scope = CancelScope::new();
/// scope.cancel("stop");
/// let cleaned = scope.run(shield_unbounded(async { tokio::task::yield_now().cancellable().await.is_ok() })).await;
/// assert_eq!(cleaned.done(), Some(true));
/// # }
/// ```
pub async fn shield_unbounded<F: Future>(future: F) -> F::Output {
    match Boundary::nested(Node::new(Inherit::No), future).await {
        Ok(output) => output,
        Err(reason) => unreachable!("nobody holds a shield's node, so nobody cancels it: {reason}"),
    }
}

/// As [`shield_unbounded`], for what an operation owes to its caller: in a cancelled scope it is given as long as a clean-up,
/// then it is dropped, and the caller, who cannot go on without it, is left to the cancel.
///
/// # Cancel safety
///
/// As [`shield_unbounded`].
pub(crate) async fn shield_patiently<F: Future>(future: F) -> F::Output {
    let node = Node::new(Inherit::No);
    node.bear(Patience { limit: LIMIT, then: Then::Drop });
    match Boundary::nested(node, future).await {
        Ok(output) => output,
        Err(_) => std::future::pending().await,
    }
}

/// As [`shield_unbounded`], with a hard limit that begins with the first poll; a reason if that dropped the future.
pub(crate) fn shield_within<F: Future>(max: Duration, future: F) -> Boundary<F> {
    let node = Node::new(Inherit::No);
    node.limit_hard(When::After(max));
    Boundary::nested(node, future)
}
