//! With the feature `auto-init` a program that knows nothing of the entry can start children: here a plain tokio test
//! under the plain test harness.

use triune::prelude::*;
use triune::{Run, worker};
use triune_testing::LeakGuard;

#[triune::job]
fn own_pid() -> u32 {
    std::process::id()
}

#[tokio::test]
async fn a_program_without_an_entry_can_start_children() {
    let guard = LeakGuard::new();
    let worker = nursery(async |n| n.run_in_worker(own_pid::with()).await).await.unwrap();
    assert_ne!(worker, std::process::id());
    assert_eq!(worker::run(own_pid::with()).await.unwrap(), worker, "the idle worker is used again");
    Run::current().close().await;
    guard.settle().await;
}
