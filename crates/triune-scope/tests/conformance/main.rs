//! The behaviour list, case by case: one module per group, one test per case or per family of cases.
//!
//! Ids such as `Trio D10` name the cases. Each module's head says which cases it leaves out, and why. Cases that need
//! the paused clock run on the current thread only, because tokio pauses it only there; the others run on both kinds
//! of runtime.

mod deadlines;

async fn forever() {
    std::future::pending::<()>().await;
}

/// Waits softly until a cancel comes.
async fn block() -> Result<(), triune_scope::Cancelled> {
    use triune_scope::FutureExt as _;
    forever().cancellable().await
}
