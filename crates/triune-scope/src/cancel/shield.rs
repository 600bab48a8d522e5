//! Shields: async clean-up that a cancel from outside does not reach.

use std::future::Future;

use super::boundary::Boundary;
use super::node::{Inherit, Node};

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
