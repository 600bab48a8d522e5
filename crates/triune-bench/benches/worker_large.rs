//! Large arguments: 8 and 100 MiB to a worker that gives back their length. Guards the number of copies on the way.
//!
//! The floor is one copy through a raw Unix socket into memory that the receiver keeps. Peers and triune start from an
//! argument that is in memory, and pay for its encoding; shared memory is measured made anew, made before, and kept.

use divan::Bencher;
use divan::counter::BytesCount;
use serde_bytes::ByteBuf;
use triune::wire::Payload;
use triune::worker::{self, Shared};
use triune_bench::Bench;
use triune_bench::bare::{self, Bare, Role};

fn main() {
    bare::enter();
    triune::init();
    procspawn::init();
    divan::main();
}

const MIB: usize = 1024 * 1024;
const SIZES: [usize; 2] = [8, 100];

#[triune::job]
fn length(payload: ByteBuf) -> usize {
    payload.len()
}

fn payload(mib: usize) -> ByteBuf {
    ByteBuf::from(vec![7; mib * MIB])
}

/// Measures `call`, which gives back the length of what it sent.
fn measure(bencher: Bencher<'_, '_>, mib: usize, mut call: impl FnMut(ByteBuf) -> usize) {
    call(payload(mib));
    bencher
        .counter(BytesCount::new(mib * MIB))
        .with_inputs(|| payload(mib))
        .bench_local_values(|payload| assert_eq!(call(payload), mib * MIB));
}

#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn raw_socket(bencher: Bencher<'_, '_>, mib: usize) {
    let bench = Bench::current_thread();
    let mut child = bench.block_on(Bare::start(Role::Serve)).expect("a child starts");
    measure(bencher, mib, |payload| {
        let len = bench.block_on(child.call(&payload)).expect("the child lives");
        usize::try_from(len).expect("it was a length")
    });
    // tokio reaps within its runtime.
    bench.block_on(async { drop(child) });
}

#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn triune_copy(bencher: Bencher<'_, '_>, mib: usize) {
    let bench = Bench::current_thread();
    measure(bencher, mib, |payload| {
        bench.block_on(worker::run(length::with(payload))).expect("the worker lives")
    });
}

#[triune::job]
fn payload_length(payload: Payload) -> usize {
    payload.len()
}

/// A payload, which no codec copies.
#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn triune_payload(bencher: Bencher<'_, '_>, mib: usize) {
    let bench = Bench::current_thread();
    measure(bencher, mib, |payload| {
        let payload = Payload::from(payload.into_vec());
        bench.block_on(worker::run(payload_length::with(payload))).expect("the worker lives")
    });
}

#[triune::job]
fn shared_length(payload: Shared<u8>) -> usize {
    payload.len()
}

/// Memory that is made for each call: filled once here, mapped there.
#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn triune_shared_fresh(bencher: Bencher<'_, '_>, mib: usize) {
    let bench = Bench::current_thread();
    measure(bencher, mib, |payload| {
        let shared = Shared::new(&payload).expect("there is memory");
        bench.block_on(worker::run(shared_length::with(shared))).expect("the worker lives")
    });
}

/// Memory that was made before, and that the worker has never seen: mapped there.
#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn triune_shared_made_before(bencher: Bencher<'_, '_>, mib: usize) {
    let bench = Bench::current_thread();
    let call = |shared| bench.block_on(worker::run(shared_length::with(shared))).expect("the worker lives");
    let made = || Shared::new(&payload(mib)).expect("there is memory");
    call(made());
    bencher
        .counter(BytesCount::new(mib * MIB))
        .with_inputs(made)
        .bench_local_values(|shared| assert_eq!(call(shared), mib * MIB));
}

/// The same memory for every call, mapped there already: one big input and many jobs.
#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn triune_shared_kept(bencher: Bencher<'_, '_>, mib: usize) {
    let bench = Bench::current_thread();
    let shared = Shared::new(&payload(mib)).expect("there is memory");
    measure(bencher, mib, |_payload| {
        bench.block_on(worker::run(shared_length::with(shared.clone()))).expect("the worker lives")
    });
}

#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn procspawn_copy(bencher: Bencher<'_, '_>, mib: usize) {
    let pool = procspawn::Pool::new(1).expect("a pool starts");
    measure(bencher, mib, |payload| {
        pool.spawn(payload, |payload| payload.len()).join().expect("the child lives")
    });
    pool.kill();
}
