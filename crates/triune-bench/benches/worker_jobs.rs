//! Jobs of warm workers: one at a time, and many small ones over two workers. Guards what a job costs beside its work.
//!
//! Threads (`spawn_blocking`, rayon) are what a job competes with when nobody needs to kill it; their figures say how
//! small a job may be before a process is the wrong place for it.

use divan::Bencher;
use divan::counter::ItemsCount;
use rayon::prelude::*;
use triune::prelude::*;
use triune::worker::{self, WorkerKind, Workers};
use triune_bench::{Bench, FLAVOURS, echo_job, own_program, small};

fn main() {
    triune::init();
    procspawn::init();
    divan::main();
}

mod round_trip {
    use super::*;

    #[divan::bench(args = FLAVOURS, sample_count = 100, sample_size = 50)]
    fn triune_worker(bencher: Bencher<'_, '_>, flavour: &str) {
        let bench = Bench::of(flavour);
        let call = || bench.block_on(worker::run(echo_job::with(small()))).expect("a worker starts");
        call();
        bencher.bench_local(call);
    }

    /// By name, and in MessagePack.
    #[divan::bench(args = FLAVOURS, sample_count = 100, sample_size = 50)]
    fn triune_program(bencher: Bencher<'_, '_>, flavour: &str) {
        let bench = Bench::of(flavour);
        bench.block_on(async {
            worker::configure_default(Workers::new().kind(own_program())).expect("it is sound");
        });
        let call = || bench.block_on(worker::run(echo_job::with(small()))).expect("a worker starts");
        call();
        bencher.bench_local(call);
    }

    #[divan::bench(sample_count = 100, sample_size = 50)]
    fn procspawn_pool(bencher: Bencher<'_, '_>) {
        let pool = procspawn::Pool::new(1).expect("a pool starts");
        let call = || pool.spawn(small(), |payload| payload).join().expect("the child lives");
        call();
        bencher.bench_local(call);
        pool.kill();
    }

    #[divan::bench(args = FLAVOURS, sample_count = 100, sample_size = 50)]
    fn spawn_blocking(bencher: Bencher<'_, '_>, flavour: &str) {
        let bench = Bench::of(flavour);
        let call = || {
            bench.block_on(async {
                let payload = small();
                #[expect(clippy::disallowed_methods, reason = "a peer of the benchmark")]
                tokio::task::spawn_blocking(move || payload).await.expect("the thread lives")
            })
        };
        call();
        bencher.bench_local(call);
    }
}

/// Jobs of a sample.
const JOBS: u64 = 10_000;

/// Callers that wait for one job at a time each.
const CALLERS: u64 = 16;

/// How many jobs are at work at a time at most, where one can say so. A pool of triune has as many as there are cores:
/// run this with `taskset -c 0,1` on a larger machine.
const WORKERS: usize = 2;

mod small_jobs {
    use super::*;

    fn work(number: u64) -> u64 {
        divan::black_box(number) + 1
    }

    #[triune::job]
    fn work_in_a_worker(number: u64) -> u64 {
        work(number)
    }

    /// Runs the jobs through a nursery of callers.
    fn by_callers<F>(bencher: Bencher<'_, '_>, flavour: &str, call: impl Fn(u64) -> F + Sync)
    where
        F: Future<Output = u64> + Send,
    {
        let bench = Bench::of(flavour);
        let call = &call;
        let all = || {
            let done = bench.block_on(nursery(async |n| {
                for caller in 0..CALLERS {
                    n.spawn(async move {
                        for number in (caller..JOBS).step_by(CALLERS as usize) {
                            assert_eq!(call(number).await, number + 1);
                        }
                        Ok(())
                    });
                }
                Ok(())
            }));
            done.expect("nobody fails");
        };
        all();
        bencher.counter(ItemsCount::new(JOBS)).bench_local(all);
    }

    #[divan::bench(args = FLAVOURS, sample_count = 10, sample_size = 1)]
    fn triune_worker(bencher: Bencher<'_, '_>, flavour: &str) {
        by_callers(bencher, flavour, async |number| {
            worker::run(work_in_a_worker::with(number)).await.expect("the worker lives")
        });
    }

    /// One stream of results instead of callers.
    #[divan::bench(args = FLAVOURS, sample_count = 10, sample_size = 1)]
    fn triune_map(bencher: Bencher<'_, '_>, flavour: &str) {
        map_in(bencher, flavour, WorkerKind::Spawn);
    }

    /// The same by name, and in MessagePack.
    #[divan::bench(args = FLAVOURS, sample_count = 10, sample_size = 1)]
    fn triune_map_in_programs(bencher: Bencher<'_, '_>, flavour: &str) {
        map_in(bencher, flavour, own_program().into());
    }

    fn map_in(bencher: Bencher<'_, '_>, flavour: &str, kind: WorkerKind) {
        let bench = Bench::of(flavour);
        bench.block_on(async {
            worker::configure_default(Workers::new().kind(kind)).expect("it is sound");
        });
        let all = || {
            bench.block_on(async {
                let jobs = (0..JOBS).map(work_in_a_worker::with);
                let mut results = worker::map(jobs).unordered().in_flight(CALLERS as usize);
                let mut done = 0;
                while let Some(result) = results.next().await {
                    divan::black_box(result.expect("the worker lives"));
                    done += 1;
                }
                assert_eq!(done, JOBS);
            });
        };
        all();
        bencher.counter(ItemsCount::new(JOBS)).bench_local(all);
    }

    #[divan::bench(args = FLAVOURS, sample_count = 10, sample_size = 1)]
    fn spawn_blocking(bencher: Bencher<'_, '_>, flavour: &str) {
        by_callers(bencher, flavour, async |number| {
            #[expect(clippy::disallowed_methods, reason = "a peer of the benchmark")]
            tokio::task::spawn_blocking(move || work(number)).await.expect("the thread lives")
        });
    }

    #[divan::bench(sample_count = 10, sample_size = 1)]
    fn procspawn_pool(bencher: Bencher<'_, '_>) {
        let pool = procspawn::Pool::new(WORKERS).expect("a pool starts");
        let all = || {
            std::thread::scope(|threads| {
                for caller in 0..WORKERS as u64 {
                    let pool = &pool;
                    threads.spawn(move || {
                        for number in (caller..JOBS).step_by(WORKERS) {
                            let job = pool.spawn(number, work);
                            assert_eq!(job.join().expect("the child lives"), number + 1);
                        }
                    });
                }
            });
        };
        all();
        bencher.counter(ItemsCount::new(JOBS)).bench_local(all);
        pool.kill();
    }

    /// One call of rayon for all of them, which is how one uses it.
    #[divan::bench(sample_count = 10, sample_size = 1)]
    fn rayon_iter(bencher: Bencher<'_, '_>) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build().expect("two threads");
        bencher
            .counter(ItemsCount::new(JOBS))
            .bench_local(|| pool.install(|| (0..JOBS).into_par_iter().map(work).sum::<u64>()));
    }

    /// A task of rayon for each, as a server gets them one by one.
    #[divan::bench(sample_count = 10, sample_size = 1)]
    fn rayon_spawn(bencher: Bencher<'_, '_>) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build().expect("two threads");
        bencher.counter(ItemsCount::new(JOBS)).bench_local(|| {
            pool.scope(|scope| {
                for number in 0..JOBS {
                    scope.spawn(move |_| {
                        divan::black_box(work(number));
                    });
                }
            });
        });
    }
}
