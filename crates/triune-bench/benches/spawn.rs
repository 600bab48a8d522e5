//! Spawn and join of 100 000 trivial children. Guards the cost of a child: the claim is to be ahead of `JoinSet`.

use divan::Bencher;
use futures_buffered::FuturesUnordered;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;
use triune::prelude::*;
use triune_bench::Bench;

const CHILDREN: usize = 100_000;

fn main() {
    triune::init();
    divan::main();
}

#[divan::bench(sample_count = 20)]
fn triune_spawn(bencher: Bencher<'_, '_>) {
    let bench = Bench::current_thread();
    bencher.counter(CHILDREN).bench_local(|| {
        bench.block_on(nursery(async |n| {
            for i in 0..CHILDREN {
                n.spawn(async move { Ok(divan::black_box(i)) });
            }
            Ok(())
        }))
    });
}

#[divan::bench(sample_count = 20)]
fn triune_spawn_task(bencher: Bencher<'_, '_>) {
    let bench = Bench::current_thread();
    bencher.counter(CHILDREN).bench_local(|| {
        bench.block_on(nursery(async |n| {
            for i in 0..CHILDREN {
                n.spawn_task(async move { Ok(divan::black_box(i)) });
            }
            Ok(())
        }))
    });
}

#[divan::bench(sample_count = 20)]
fn join_set(bencher: Bencher<'_, '_>) {
    let bench = Bench::current_thread();
    bencher.counter(CHILDREN).bench_local(|| {
        bench.block_on(async {
            let mut set = JoinSet::new();
            for i in 0..CHILDREN {
                #[expect(clippy::disallowed_methods, reason = "the peer that is measured")]
                set.spawn(async move { divan::black_box(i) });
            }
            while set.join_next().await.is_some() {}
        });
    });
}

#[divan::bench(sample_count = 20)]
fn task_tracker(bencher: Bencher<'_, '_>) {
    let bench = Bench::current_thread();
    bencher.counter(CHILDREN).bench_local(|| {
        bench.block_on(async {
            let tracker = TaskTracker::new();
            for i in 0..CHILDREN {
                tracker.spawn(async move { divan::black_box(i) });
            }
            tracker.close();
            tracker.wait().await;
        });
    });
}

#[divan::bench(sample_count = 20)]
fn boxed_futures_buffered(bencher: Bencher<'_, '_>) {
    let bench = Bench::current_thread();
    bencher.counter(CHILDREN).bench_local(|| {
        bench.block_on(async {
            let mut set: FuturesUnordered<std::pin::Pin<Box<dyn Future<Output = usize> + Send>>> =
                FuturesUnordered::new();
            for i in 0..CHILDREN {
                set.push(Box::pin(async move { divan::black_box(i) }));
            }
            while futures_util::StreamExt::next(&mut set).await.is_some() {}
        });
    });
}
