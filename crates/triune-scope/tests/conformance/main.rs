//! The behaviour list, case by case: one module per group, one test per case or per family of cases.
//!
//! Ids such as `Trio D10` name the cases. Each module's head says which cases it leaves out, and why. Cases that need
//! the paused clock run on the current thread only, because tokio pauses it only there; the others run on both kinds
//! of runtime.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests; clippy does not see that in what the macro makes of them"
)]

mod cancel;
mod deadlines;
mod instruments;
mod nurseries;
mod runs;
mod shields;

/// Runs each test on the current thread and on a runtime with two workers.
macro_rules! on_both_runtimes {
    ($($(#[$meta:meta])* async fn $name:ident() $body:block)*) => {$(
        mod $name {
            use super::*;

            $(#[$meta])*
            async fn case() $body

            #[tokio::test]
            async fn current_thread() {
                case().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn multi_thread() {
                case().await;
            }
        }
    )*};
}
use on_both_runtimes;

async fn forever() {
    std::future::pending::<()>().await;
}

/// Waits softly until a cancel comes.
async fn block() -> Result<(), triune_scope::Cancelled> {
    use triune_scope::FutureExt as _;
    forever().cancellable().await
}
