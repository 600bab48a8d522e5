//! One message through a channel of capacity 1024, one sender and one receiver, each a task of its own. Guards the cost
//! of a checkpoint on the way of a message: the claim is to be as fast as tokio's channel, which has none.

use divan::Bencher;
use triune::prelude::*;
use triune::sync;
use triune_bench::{Bench, FLAVOURS};

const MESSAGES: usize = 100_000;
const CAPACITY: usize = 1024;

fn main() {
    triune::init();
    divan::main();
}

/// Runs both ends in tasks of their own. All channels get the same nursery around them.
fn run<S, R>(bencher: Bencher<'_, '_>, flavour: &str, ends: impl Fn() -> (S, R))
where
    S: Future<Output = ()> + Send + 'static,
    R: Future<Output = usize> + Send + 'static,
{
    let bench = Bench::of(flavour);
    bencher.counter(MESSAGES).bench_local(|| {
        let (send, receive) = ends();
        let received = bench.block_on(nursery(async |n| {
            n.spawn_task(async {
                send.await;
                Ok(())
            });
            n.spawn_task(async { Ok(receive.await) }).await
        }));
        assert_eq!(received.expect("nobody fails"), MESSAGES);
    });
}

#[divan::bench(args = FLAVOURS, sample_count = 40)]
fn triune_channel(bencher: Bencher<'_, '_>, flavour: &str) {
    run(bencher, flavour, || {
        let (sender, receiver) = sync::channel(CAPACITY);
        let send = async move {
            for i in 0..MESSAGES {
                sender.send(divan::black_box(i)).await.expect("the receiver lives");
            }
        };
        let receive = async move {
            let mut count = 0;
            while let Ok(i) = receiver.recv().await {
                divan::black_box(i);
                count += 1;
            }
            count
        };
        (send, receive)
    });
}

#[divan::bench(args = FLAVOURS, sample_count = 40)]
fn tokio_mpsc(bencher: Bencher<'_, '_>, flavour: &str) {
    run(bencher, flavour, || {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(CAPACITY);
        let send = async move {
            for i in 0..MESSAGES {
                sender.send(divan::black_box(i)).await.expect("the receiver lives");
            }
        };
        let receive = async move {
            let mut count = 0;
            while let Some(i) = receiver.recv().await {
                divan::black_box(i);
                count += 1;
            }
            count
        };
        (send, receive)
    });
}

#[divan::bench(args = FLAVOURS, sample_count = 40)]
fn flume_bounded(bencher: Bencher<'_, '_>, flavour: &str) {
    run(bencher, flavour, || {
        let (sender, receiver) = flume::bounded(CAPACITY);
        let send = async move {
            for i in 0..MESSAGES {
                sender.send_async(divan::black_box(i)).await.expect("the receiver lives");
            }
        };
        let receive = async move {
            let mut count = 0;
            while let Ok(i) = receiver.recv_async().await {
                divan::black_box(i);
                count += 1;
            }
            count
        };
        (send, receive)
    });
}
