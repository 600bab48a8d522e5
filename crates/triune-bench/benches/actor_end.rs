//! The end of many actors, from the word to the last one reaped, beside bare children that are killed and reaped in the same run; and, as
//! a line of its own, what an idle actor costs in memory. Guards that actors are stopped side by side, and what their runtime keeps.

use std::path::Path;

use divan::Bencher;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use triune::prelude::*;
use triune_bench::bare::{self, Bare, Role};
use triune_bench::{Bench, FLAVOURS};

const MANY: usize = 50;
const WIDE: usize = 3;

#[expect(clippy::print_stdout, reason = "the memory of an actor is one of the results")]
fn main() {
    bare::enter();
    triune::init();
    println!("an idle actor has {} KiB of private memory", private_memory() / 1024);
    divan::main();
}

/// Starts three actors of its own for each level that is left, and waits for its cancel.
#[triune::endpoint]
async fn grow(levels: usize) -> Result {
    nursery(async |n| {
        let mut below = Vec::new();
        for _ in 0..WIDE * levels.min(1) {
            let actor = n.actor("below");
            below.push(n.spawn(async move { Ok(actor.start().await?) }));
        }
        for actor in below {
            actor.await?;
        }
        Ok(std::future::pending().cancellable().await?)
    })
    .await
}

#[triune::endpoint]
async fn is_up() {}

/// Bytes that only this process has. An idle actor, as the system sees it.
fn private_memory() -> u64 {
    let bench = Bench::current_thread();
    let actor = bench.actor();
    bench.block_on(actor.portal.call(is_up::with())).expect("it serves");
    let path = Path::new("/proc").join(actor.portal.pid().to_string()).join("smaps_rollup");
    let rollup = std::fs::read_to_string(path).expect("the system tells");
    let of = |line: &str| line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    rollup.lines().filter(|line| line.starts_with("Private_")).filter_map(of).sum::<u64>() * 1024
}

/// An open nursery, and the word that ends it.
struct Open {
    end: oneshot::Sender<()>,
    open: JoinHandle<Result>,
}

impl Open {
    /// So many idle actors. They end with the body.
    fn idle(bench: &Bench, count: usize) -> Self {
        let (ready, up) = oneshot::channel();
        let (end, ended) = oneshot::channel::<()>();
        let open = bench.spawn(async move {
            nursery(async move |n| {
                let starts = (0..count).map(|k| n.actor(format!("idle-{k}")).start());
                for actor in futures_util::future::join_all(starts).await {
                    actor?;
                }
                let _taken = ready.send(());
                let _dropped = ended.await;
                Ok(())
            })
            .await
        });
        bench.block_on(up).expect("the actors start");
        Self { end, open }
    }

    /// A tree of three actors with three each, all in a call. They are cancelled.
    fn tree(bench: &Bench) -> Self {
        let (ready, up) = oneshot::channel();
        let (end, ended) = oneshot::channel::<()>();
        let open = bench.spawn(async move {
            let scope = triune::CancelScope::new();
            let cancel = scope.clone();
            let run = scope.run(nursery(async move |n| {
                n.spawn(async move {
                    let _dropped = ended.await;
                    cancel.cancel("enough");
                    Ok(())
                });
                for k in 0..WIDE {
                    let actor = n.actor(format!("top-{k}")).start().await?;
                    n.spawn(async move { Ok(actor.call(grow::with(1)).await?) });
                }
                while descendants() < WIDE * (WIDE + 1) {
                    tokio::task::yield_now().await;
                }
                let _taken = ready.send(());
                std::future::pending::<Result>().await
            }));
            // How the calls end is not what is measured.
            drop(run.await);
            Ok(())
        });
        bench.block_on(up).expect("the tree grows");
        Self { end, open }
    }

    fn end(self, bench: &Bench) {
        drop(self.end);
        bench.block_on(self.open).expect("the nursery does not panic").expect("all stop gracefully");
    }
}

fn descendants() -> usize {
    triune_testing::processes_of_tree().iter().filter(|process| process.command.contains("triune:/")).count()
}

/// Killed at once, then reaped: what nothing can be faster than.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn kill_50_bare_children(bencher: Bencher<'_, '_>) {
    let bench = Bench::current_thread();
    let start = || {
        (0..MANY)
            .map(|_| bench.block_on(Bare::start(Role::Serve)).expect("a child starts").into_child())
            .collect::<Vec<_>>()
    };
    bencher.with_inputs(start).bench_local_values(|mut children| {
        bench.block_on(async {
            children.iter_mut().for_each(|child| child.start_kill().expect("it lives"));
            for child in &mut children {
                child.wait().await.expect("it is reaped");
            }
        });
        children
    });
}

#[divan::bench(args = FLAVOURS, sample_count = 20, sample_size = 1)]
fn stop_50_idle_actors(bencher: Bencher<'_, '_>, flavour: &str) {
    let bench = Bench::of(flavour);
    bencher.with_inputs(|| Open::idle(&bench, MANY)).bench_local_values(|open| open.end(&bench));
}

#[divan::bench(args = FLAVOURS, sample_count = 20, sample_size = 1)]
fn cancel_a_tree_of_3_by_3(bencher: Bencher<'_, '_>, flavour: &str) {
    let bench = Bench::of(flavour);
    bencher.with_inputs(|| Open::tree(&bench)).bench_local_values(|open| open.end(&bench));
}
