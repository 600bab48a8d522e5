//! Spawn and join of many small children, trivial or with one yield each. Guards the cost of a child with the tree on.
//!
//! The claims, on current_thread: `spawn` is ahead of `TaskTracker` and takes at most half as long as `JoinSet`; with one
//! yield it is ahead of `tokio::spawn` and its `JoinHandle`. On multi_thread `spawn_task` takes at most 1.2 times as
//! long as `JoinSet`. Peers without results, names, errors or a tree are the floor.

#![expect(clippy::disallowed_methods, reason = "the peers start their tasks as their users do")]

use std::fmt;
use std::pin::Pin;

use async_executors::{TokioCt, TokioTp};
use async_nursery::{NurseExt as _, Nursery as AsyncNursery};
use divan::Bencher;
use futures_util::StreamExt as _;
use tokio::task::{JoinSet, yield_now};
use tokio_util::task::TaskTracker;
use triune::prelude::*;
use triune_bench::Bench;

fn main() {
    triune::init();
    divan::main();
}

/// What the children are.
#[derive(Debug, Clone, Copy)]
struct Case {
    children: usize,
    yields: bool,
}

const CASES: [Case; 4] = [
    Case { children: 10_000, yields: false },
    Case { children: 100_000, yields: false },
    Case { children: 10_000, yields: true },
    Case { children: 100_000, yields: true },
];

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.yields { "with one yield" } else { "trivial" };
        write!(f, "{} {kind}", self.children)
    }
}

async fn trivial(i: usize) -> usize {
    divan::black_box(i)
}

async fn yielding(i: usize) -> usize {
    yield_now().await;
    divan::black_box(i)
}

type Boxed = Pin<Box<dyn Future<Output = usize> + Send>>;

/// Benchmarks one way to start children: `$child` is the function that makes one of number `$i`.
macro_rules! compare {
    ($name:ident, $runtime:ident, |$count:ident, $child:ident| $run:expr) => {
        #[divan::bench(args = CASES, sample_count = 20)]
        fn $name(bencher: Bencher<'_, '_>, case: Case) {
            let bench = Bench::$runtime();
            let $count = case.children;
            bencher.counter($count).bench_local(|| {
                if case.yields {
                    let $child = yielding;
                    bench.block_on(async { $run })
                } else {
                    let $child = trivial;
                    bench.block_on(async { $run })
                }
            });
        }
    };
}

macro_rules! join_set {
    ($count:ident, $child:ident) => {{
        let mut set = JoinSet::new();
        for i in 0..$count {
            set.spawn($child(i));
        }
        while set.join_next().await.is_some() {}
    }};
}

macro_rules! join_handles {
    ($count:ident, $child:ident) => {{
        let handles: Vec<_> = (0..$count).map(|i| tokio::spawn($child(i))).collect();
        for handle in handles {
            handle.await.expect("a child does not panic");
        }
    }};
}

macro_rules! task_tracker {
    ($count:ident, $child:ident) => {{
        let tracker = TaskTracker::new();
        for i in 0..$count {
            tracker.spawn($child(i));
        }
        tracker.close();
        tracker.wait().await;
    }};
}

macro_rules! async_nursery {
    ($executor:ident, $count:ident, $child:ident) => {{
        let executor = $executor::try_current().expect("the runtime is of this flavour");
        let (nursery, mut output) = AsyncNursery::new(executor);
        for i in 0..$count {
            nursery.nurse($child(i)).expect("the nursery is open");
        }
        drop(nursery);
        while output.next().await.is_some() {}
    }};
}

macro_rules! spawn_task {
    ($count:ident, $child:ident) => {
        nursery(async |n| {
            for i in 0..$count {
                n.spawn_task(async move { Ok($child(i).await) });
            }
            Ok(())
        })
        .await
        .expect("no child fails")
    };
}

macro_rules! boxed_set {
    ($set:expr, $count:ident, $child:ident) => {{
        let mut set = $set;
        for i in 0..$count {
            let child: Boxed = Box::pin($child(i));
            set.push(child);
        }
        while set.next().await.is_some() {}
    }};
}

mod current_thread {
    //! Everything in one thread; `spawn` and the sets in one task.

    use super::*;

    compare!(triune_spawn, current_thread, |count, child| nursery(async |n| {
        for i in 0..count {
            n.spawn(async move { Ok(child(i).await) });
        }
        Ok(())
    })
    .await
    .expect("no child fails"));
    compare!(triune_spawn_task, current_thread, |count, child| spawn_task!(count, child));
    compare!(task_tracker, current_thread, |count, child| task_tracker!(count, child));
    compare!(join_set, current_thread, |count, child| join_set!(count, child));
    compare!(join_handles, current_thread, |count, child| join_handles!(count, child));
    compare!(async_nursery, current_thread, |count, child| async_nursery!(TokioCt, count, child));
    compare!(moro_scope, current_thread, |count, child| moro::async_scope!(|scope| {
        for i in 0..count {
            scope.spawn(child(i));
        }
    })
    .await);
    compare!(boxed_futures_unordered, current_thread, |count, child| boxed_set!(
        futures_util::stream::FuturesUnordered::<Boxed>::new(),
        count,
        child
    ));
    compare!(boxed_futures_buffered, current_thread, |count, child| boxed_set!(
        futures_buffered::FuturesUnordered::<Boxed>::new(),
        count,
        child
    ));
}

mod multi_thread {
    //! Tasks on two threads.

    use super::*;

    compare!(triune_spawn_task, multi_thread, |count, child| spawn_task!(count, child));
    compare!(task_tracker, multi_thread, |count, child| task_tracker!(count, child));
    compare!(join_set, multi_thread, |count, child| join_set!(count, child));
    compare!(join_handles, multi_thread, |count, child| join_handles!(count, child));
    compare!(async_nursery, multi_thread, |count, child| async_nursery!(TokioTp, count, child));
}
