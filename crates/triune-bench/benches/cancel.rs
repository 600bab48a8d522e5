//! A cancel of 100 000 parked children, from the call to the return of what joins them. The claim is at most half the
//! time of `CancellationToken` with `select!` in a `JoinSet`.
//!
//! Every child has been polled before the clock starts: one that never ran would be dropped, not cancelled.

#![expect(clippy::disallowed_methods, reason = "the peers start their tasks as their users do")]

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use divan::Bencher;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};
use tokio_util::sync::CancellationToken;
use triune::prelude::*;
use triune_bench::Bench;

const CHILDREN: usize = 100_000;

fn main() {
    triune::init();
    divan::main();
}

/// A child that has been polled counts itself here.
static PARKED: AtomicUsize = AtomicUsize::new(0);

async fn park() {
    PARKED.fetch_add(1, Ordering::Relaxed);
    pending().await
}

/// Has everything polled until all children are parked.
async fn all_parked(open: &mut Open) {
    while PARKED.load(Ordering::Relaxed) < CHILDREN {
        poll_fn(|cx| {
            assert!(open.as_mut().poll(cx).is_pending(), "it waits for its children");
            Poll::Ready(())
        })
        .await;
        yield_now().await;
    }
    PARKED.store(0, Ordering::Relaxed);
}

/// What owns the children, with all of them parked.
type Open = Pin<Box<dyn Future<Output = Result> + Send>>;

/// Measures `end` only.
fn measure<O>(bencher: Bencher<'_, '_>, bench: &Bench, open: impl AsyncFn() -> O, end: impl AsyncFn(O)) {
    bencher
        .counter(CHILDREN)
        .with_inputs(|| bench.block_on(open()))
        .bench_local_values(|open| bench.block_on(end(open)));
}

/// A nursery whose children are started by `spawn`.
fn nursery_of(bencher: Bencher<'_, '_>, bench: &Bench, spawn: fn(&Nursery<'static>)) {
    let open = async || {
        let (hand_out, handle) = oneshot::channel();
        let mut open: Open = Box::pin(nursery(async move |n| {
            for _ in 0..CHILDREN {
                spawn(&n);
            }
            // The other side waits for it.
            let _taken = hand_out.send(n.clone());
            Ok(())
        }));
        all_parked(&mut open).await;
        (handle.await.expect("the body has run"), open)
    };
    measure(bencher, bench, open, async |(n, open)| {
        n.cancel("enough");
        open.await.expect("a cancel is no error");
    });
}

/// A `JoinSet` whose tasks are made by `task`.
async fn set_of<F: Future<Output = ()> + Send + 'static>(task: impl Fn() -> F) -> JoinSet<()> {
    let mut set = JoinSet::new();
    for _ in 0..CHILDREN {
        set.spawn(task());
    }
    all_parked(&mut (Box::pin(pending()) as Open)).await;
    set
}

async fn join_all(mut set: JoinSet<()>) {
    while set.join_next().await.is_some() {}
}

#[divan::bench(sample_count = 20)]
fn triune_foreign_await(bencher: Bencher<'_, '_>) {
    nursery_of(bencher, &Bench::current_thread(), |n| {
        n.spawn(async {
            park().await;
            Ok(())
        });
    });
}

#[divan::bench(sample_count = 20)]
fn triune_cancellable_await(bencher: Bencher<'_, '_>) {
    nursery_of(bencher, &Bench::current_thread(), |n| {
        n.spawn(async {
            park().cancellable().await?;
            Ok(())
        });
    });
}

#[divan::bench(sample_count = 20)]
fn triune_spawn_task(bencher: Bencher<'_, '_>) {
    nursery_of(bencher, &Bench::current_thread(), |n| {
        n.spawn_task(async {
            park().cancellable().await?;
            Ok(())
        });
    });
}

#[divan::bench(sample_count = 20)]
fn token_and_select(bencher: Bencher<'_, '_>) {
    let bench = Bench::current_thread();
    let open = async || {
        let token = CancellationToken::new();
        let child = || {
            let token = token.clone();
            async move {
                tokio::select! {
                    () = token.cancelled() => {}
                    () = park() => {}
                }
            }
        };
        let set = set_of(child).await;
        (token, set)
    };
    measure(bencher, &bench, open, async |(token, set)| {
        token.cancel();
        join_all(set).await;
    });
}

#[divan::bench(sample_count = 20)]
fn join_set_shutdown(bencher: Bencher<'_, '_>) {
    measure(
        bencher,
        &Bench::current_thread(),
        async || set_of(park).await,
        async |mut set| set.shutdown().await,
    );
}

#[divan::bench(sample_count = 20)]
fn moro_drop(bencher: Bencher<'_, '_>) {
    let open = async || {
        let mut open: Pin<Box<dyn Future<Output = Result>>> = Box::pin(moro::async_scope!(|scope| {
            for _ in 0..CHILDREN {
                scope.spawn(park());
            }
            Ok(())
        }));
        while PARKED.load(Ordering::Relaxed) < CHILDREN {
            let polled = poll_fn(|cx| Poll::Ready(open.as_mut().poll(cx))).await;
            assert!(polled.is_pending(), "it waits for its children");
        }
        PARKED.store(0, Ordering::Relaxed);
        (open,)
    };
    measure(bencher, &Bench::current_thread(), open, async |(open,)| drop(open));
}
