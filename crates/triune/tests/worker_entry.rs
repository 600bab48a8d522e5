//! `#[triune::test]`: a test is a program run of its own, on the runtime that it asks for.

use tokio::runtime::{Handle, RuntimeFlavor};
use triune::Run;
use triune::worker;

#[triune::job]
fn process_number() -> u32 {
    std::process::id()
}

#[triune::test]
async fn a_test_has_workers_without_further_ado() {
    let pid = worker::run(process_number::with()).await.expect("a worker starts");
    assert_ne!(pid, std::process::id());
}

#[triune::test]
async fn a_test_may_return_a_result() -> triune::Result {
    worker::run(process_number::with()).await?;
    Ok(())
}

#[triune::test]
async fn the_default_is_one_thread() {
    assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::CurrentThread);
}

#[triune::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_test_may_ask_for_threads() {
    assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::MultiThread);
    assert_eq!(Handle::current().metrics().num_workers(), 3);
    worker::run(process_number::with()).await.expect("a worker starts");
}

#[triune::test]
#[should_panic(expected = "the reason")]
async fn a_panic_goes_through_to_the_harness() {
    panic!("the reason");
}

#[triune::test]
#[should_panic(expected = "test `a_cancelled_run_is_a_failure` was cancelled: enough")]
async fn a_cancelled_run_is_a_failure() {
    Run::current().cancel("enough");
    std::future::pending::<()>().await;
}

#[triune::test]
#[ignore = "the attribute is kept"]
async fn an_ignored_test_does_not_run() {
    panic!("it was to be ignored");
}

#[triune::test]
async fn one_runtime_is_one_run() {
    let before = worker::statistics();
    assert_eq!((before.idle, before.busy), (0, 0), "the workers of other tests are theirs");
}
