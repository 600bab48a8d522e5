//! Heap per parked child: a table, not a time. The claim is at most 256 bytes for a borrowing child with the tree on.
//!
//! Counts the bytes that are allocated and not freed, without the allocator's own overhead, while 100 000 children wait,
//! each in an await of its own. What they hold themselves is as small as it can be.

#![expect(clippy::disallowed_methods, reason = "the peers start their tasks as their users do")]

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use futures_buffered::FuturesUnordered;
use futures_util::StreamExt as _;
use tokio::task::{JoinSet, yield_now};
use tokio_util::sync::CancellationToken;
use triune::prelude::*;
use triune::{Child, sleep_forever};
use triune_bench::Bench;
use triune_testing::{CountingAllocator, Living};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const CHILDREN: usize = 100_000;

/// A child that has been polled counts itself here.
static PARKED: AtomicUsize = AtomicUsize::new(0);

async fn park() {
    PARKED.fetch_add(1, Ordering::Relaxed);
    pending().await
}

/// Polls `open` until all children are parked, and says what each takes.
async fn measure<O>(open: impl Future<Output = O>) -> isize {
    let before = Living::now().bytes;
    let mut open = Box::pin(open);
    let per_child = loop {
        poll_fn(|cx| {
            assert!(open.as_mut().poll(cx).is_pending(), "the children wait for ever");
            Poll::Ready(())
        })
        .await;
        if PARKED.load(Ordering::Relaxed) == CHILDREN {
            break (Living::now().bytes - before) / CHILDREN.cast_signed();
        }
        yield_now().await;
    };
    PARKED.store(0, Ordering::Relaxed);
    per_child
}

/// A nursery whose children are started by `spawn`, which may keep their handles.
async fn nursery_of(spawn: fn(&Nursery<'static>, &mut Vec<Child<()>>)) -> Result {
    nursery(async move |n| {
        let mut kept = Vec::new();
        for _ in 0..CHILDREN {
            spawn(&n, &mut kept);
        }
        pending().await
    })
    .await
}

async fn boxed_set() {
    let mut set: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>> = FuturesUnordered::new();
    for _ in 0..CHILDREN {
        set.push(Box::pin(park()));
    }
    while set.next().await.is_some() {}
}

async fn join_set() {
    let mut set = JoinSet::new();
    for _ in 0..CHILDREN {
        set.spawn(park());
    }
    while set.join_next().await.is_some() {}
}

async fn token_and_select() {
    let (mut set, token) = (JoinSet::new(), CancellationToken::new());
    for _ in 0..CHILDREN {
        let token = token.child_token();
        set.spawn(async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = park() => {}
            }
        });
    }
    while set.join_next().await.is_some() {}
}

async fn moro_scope() {
    moro::async_scope!(|scope| {
        for _ in 0..CHILDREN {
            scope.spawn(park());
        }
        pending::<()>().await;
    })
    .await;
}

/// Measures on a runtime of its own: what was started there is gone when the next one begins.
#[expect(clippy::print_stdout, reason = "the table is what this benchmark is for")]
fn row<O>(name: &str, open: impl Future<Output = O>) {
    let bytes = Bench::current_thread().block_on(measure(open));
    println!("{name:<40} {bytes:>5} B");
}

fn main() {
    triune::init();
    row(
        "triune spawn, in a foreign await",
        nursery_of(|n, _| {
            n.spawn(async {
                park().await;
                Ok(())
            });
        }),
    );
    row(
        "triune spawn, in an await of triune's",
        nursery_of(|n, _| {
            n.spawn(async {
                PARKED.fetch_add(1, Ordering::Relaxed);
                sleep_forever().await?;
                Ok(())
            });
        }),
    );
    row(
        "triune spawn, handle kept in a Vec",
        nursery_of(|n, kept| {
            kept.push(n.spawn(async {
                park().await;
                Ok(())
            }));
        }),
    );
    row(
        "triune spawn_task",
        nursery_of(|n, _| {
            n.spawn_task(async {
                park().await;
                Ok(())
            });
        }),
    );
    row("JoinSet", join_set());
    row("JoinSet, child token and select", token_and_select());
    row("moro", moro_scope());
    row("boxed futures-buffered, nothing else", boxed_set());
}
