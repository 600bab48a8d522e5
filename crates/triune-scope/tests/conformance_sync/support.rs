//! What the cases share.

use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};
use triune_scope::{Child, Nursery, Result};

/// Makes two tests of each case: `name::one_thread` and `name::two_threads`.
macro_rules! cases {
    ($($(#[$attribute:meta])* async fn $name:ident() $body:block)+) => {
        $(
            $(#[$attribute])*
            // For clippy, the rest of a test's module is part of the test.
            #[cfg(test)]
            mod $name {
                use super::*;

                async fn case() $body

                #[tokio::test]
                async fn one_thread() {
                    case().await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn two_threads() {
                    case().await;
                }
            }
        )+
    };
}
pub(crate) use cases;

/// Starts a child: in this task on a runtime with one thread, else in a task of its own.
pub(crate) fn go<T: Send + 'static>(
    n: &Nursery<'_>,
    child: impl Future<Output = Result<T>> + Send + 'static,
) -> Child<T> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => n.spawn(child),
        _ => n.spawn_task(child),
    }
}

/// Lets the others run until something holds.
pub(crate) async fn until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never came to hold");
        tokio::task::yield_now().await;
    }
}
