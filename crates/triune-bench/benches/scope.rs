//! What a scope costs where nothing is cancelled: a poll through it, its entry and exit, an empty nursery, a checkpoint.
//!
//! The claims: at most 15 ns for a poll, at most 150 ns for entry and exit. The peer is `CancellationToken` with
//! `run_until_cancelled`.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use divan::Bencher;
use tokio_util::sync::CancellationToken;
use triune::prelude::*;
use triune::{CancelScope, check_cancelled, checkpoint};
use triune_bench::Bench;

fn main() {
    triune::init();
    divan::main();
}

const ROUNDS: usize = 10_000;

/// Polls a future that stays pending.
fn polls(bencher: Bencher<'_, '_>, future: impl Future) {
    let bench = Bench::current_thread();
    let mut future = pin!(future);
    bencher.counter(ROUNDS).bench_local(|| {
        bench.block_on(async {
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..ROUNDS {
                assert!(divan::black_box(future.as_mut()).poll(&mut cx).is_pending());
            }
        });
    });
}

/// A foreign await that never ends, and that the optimizer cannot look through.
struct Parked;

impl Future for Parked {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        divan::black_box(Poll::Pending)
    }
}

mod poll {
    //! One poll of a parked future.

    use super::*;

    #[divan::bench]
    fn bare(bencher: Bencher<'_, '_>) {
        polls(bencher, Parked);
    }

    #[divan::bench]
    fn cancel_scope(bencher: Bencher<'_, '_>) {
        polls(bencher, CancelScope::new().run(Parked));
    }

    #[divan::bench]
    fn run_until_cancelled(bencher: Bencher<'_, '_>) {
        let token = CancellationToken::new();
        polls(bencher, token.run_until_cancelled(Parked));
    }
}

/// Does something many times in one task.
fn rounds<F: Future>(bencher: Bencher<'_, '_>, round: impl Fn() -> F) {
    let bench = Bench::current_thread();
    bencher.counter(ROUNDS).bench_local(|| {
        bench.block_on(async {
            for _ in 0..ROUNDS {
                divan::black_box(round().await);
            }
        });
    });
}

mod enter_and_exit {
    //! Around code that is ready at once.

    use super::*;

    #[divan::bench]
    fn cancel_scope(bencher: Bencher<'_, '_>) {
        rounds(bencher, || CancelScope::new().run(async { divan::black_box(1) }));
    }

    #[divan::bench]
    fn nested_cancel_scope(bencher: Bencher<'_, '_>) {
        let bench = Bench::current_thread();
        bencher.counter(ROUNDS).bench_local(|| {
            bench.block_on(CancelScope::new().run(async {
                for _ in 0..ROUNDS {
                    divan::black_box(
                        CancelScope::new().run(async { divan::black_box(1) }).await.is_cancelled(),
                    );
                }
            }))
        });
    }

    #[divan::bench]
    fn empty_nursery(bencher: Bencher<'_, '_>) {
        rounds(bencher, || nursery(async |_n| Ok(divan::black_box(1))));
    }

    #[divan::bench]
    fn child_token(bencher: Bencher<'_, '_>) {
        let token = CancellationToken::new();
        rounds(bencher, || async {
            token.child_token().run_until_cancelled(async { divan::black_box(1) }).await
        });
    }
}

mod checkpoints {
    //! A look at the scope, without and with a turn for the others.

    use super::*;

    /// Runs the rounds within one scope.
    fn within(bencher: Bencher<'_, '_>, round: impl AsyncFn()) {
        let bench = Bench::current_thread();
        bencher.counter(ROUNDS).bench_local(|| {
            bench.block_on(CancelScope::new().run(async {
                for _ in 0..ROUNDS {
                    round().await;
                }
            }))
        });
    }

    #[divan::bench]
    fn without_a_switch(bencher: Bencher<'_, '_>) {
        within(bencher, async || check_cancelled().expect("nobody cancels"));
    }

    #[divan::bench]
    fn with_a_switch(bencher: Bencher<'_, '_>) {
        within(bencher, async || checkpoint().await.expect("nobody cancels"));
    }

    #[divan::bench]
    fn tokio_consume_budget(bencher: Bencher<'_, '_>) {
        within(bencher, async || tokio::task::coop::consume_budget().await);
    }

    #[divan::bench]
    fn tokio_yield_now(bencher: Bencher<'_, '_>) {
        within(bencher, async || tokio::task::yield_now().await);
    }
}
