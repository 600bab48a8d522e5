//! Workers of a fork server beneath a plain, multi-threaded `#[tokio::main]` that calls `triune::init()`: the server has one
//! thread all the same, because it is entered before `main`. Not under the test harness, because this is a program with a
//! `main` of its own.

use std::io::Write as _;
use std::time::Duration;

use triune::worker::{self, WorkerKind, Workers};
use triune_testing::processes_of_tree;

#[triune::job]
fn load() {
    worker::set_state(threads());
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("this is Linux").count()
}

/// How many threads the fork server had when it loaded, and how many there are here.
#[triune::job]
fn count_threads() -> (usize, usize) {
    (worker::with_state(|threads: &mut usize| *threads), threads())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() -> triune::Result {
    triune::init();
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--list") {
        // The protocol of nextest: there is one test in here, and none that is ignored.
        if !arguments.iter().any(|argument| argument == "--ignored") {
            writeln!(std::io::stdout(), "a_fork_server_has_one_thread_beneath_a_runtime_of_many: test")?;
        }
        return Ok(());
    }
    // Each job has a worker of its own.
    let workers =
        Workers::new().kind(WorkerKind::ForkServer).preload(load::with()).idle_timeout(Duration::ZERO);
    worker::scope(workers, async |pool| {
        let counts = pool.map((0..60).map(|_| count_threads::with())).unordered().collect().await?;
        assert!(counts.iter().all(|counts| *counts == (1, 1)), "{counts:?}");
        assert_eq!(pool.statistics().started, 60);
        Ok(())
    })
    .await?;
    let left: Vec<_> =
        processes_of_tree().into_iter().filter(|info| info.command != "triune:guardian").collect();
    assert!(left.is_empty(), "{left:#?}");
    Ok(())
}
