//! One small message there and back, one in flight: warm worker and actor call over the floor of a raw Unix socket.
//! Guards the number of task hops, copies and wake-ups on the way of a call.

use divan::Bencher;
use triune::worker;
use triune_bench::{Bench, FLAVOURS, RawEcho, SMALL, echo_endpoint, echo_job, small};

fn main() {
    triune::init();
    divan::main();
}

#[divan::bench(args = FLAVOURS, sample_count = 200, sample_size = 50)]
fn raw_socket(bencher: Bencher<'_, '_>, flavour: &str) {
    let bench = Bench::of(flavour);
    let mut echo = bench.block_on(RawEcho::start()).expect("the echo process starts");
    let mut message = [7; SMALL];
    bencher.bench_local(|| bench.block_on(echo.round_trip(&mut message)).expect("the echo process lives"));
    bench.block_on(async { drop(echo) });
}

#[divan::bench(args = FLAVOURS, sample_count = 200, sample_size = 50)]
fn warm_worker(bencher: Bencher<'_, '_>, flavour: &str) {
    let bench = Bench::of(flavour);
    bench.block_on(async { worker::run(echo_job::with(small())).await }).expect("a worker starts");
    bencher.bench_local(|| {
        bench.block_on(async { worker::run(echo_job::with(small())).await }).expect("the worker lives")
    });
}

#[divan::bench(args = FLAVOURS, sample_count = 200, sample_size = 50)]
fn actor_call(bencher: Bencher<'_, '_>, flavour: &str) {
    let bench = Bench::of(flavour);
    let actor = bench.actor();
    bencher.bench_local(|| {
        bench.block_on(actor.portal.call(echo_endpoint::with(small()))).expect("the actor lives")
    });
}
