//! One small message there and back in latency mode, in which neither end of the link sleeps, beside the same without it. Guards that a
//! spinning end finds what comes without a wake-up.
//!
//! It needs a processor for each end. The children sit on the second one; start it with `taskset -c 0`, so that this process is on the first.

use std::time::Duration;

use divan::Bencher;
use triune::worker::{self, Limits, Workers};
use triune_bench::{Bench, FLAVOURS, OpenActor, echo_endpoint, echo_job, small};

/// Longer than any round trip: nobody sleeps between two of them.
const SPIN: Duration = Duration::from_micros(200);

const MODES: [(&str, Duration); 2] = [("sleeping", Duration::ZERO), ("spinning", SPIN)];

fn main() {
    triune::init();
    divan::main();
}

fn cases() -> Vec<Case> {
    FLAVOURS.into_iter().flat_map(|flavour| MODES.map(|(mode, spin)| Case { flavour, mode, spin })).collect()
}

#[derive(Debug, Clone, Copy)]
struct Case {
    flavour: &'static str,
    mode: &'static str,
    spin: Duration,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.flavour, self.mode)
    }
}

/// On the other processor than this process.
fn apart() -> Limits {
    Limits::new().cores([1])
}

#[divan::bench(args = cases(), sample_count = 200, sample_size = 50)]
fn warm_worker(bencher: Bencher<'_, '_>, case: Case) {
    let bench = Bench::of(case.flavour);
    bench
        .block_on(async {
            worker::configure_default(Workers::new().spin(case.spin).limits(apart()))?;
            worker::run(echo_job::with(small())).await?;
            Ok::<_, triune::Error>(())
        })
        .expect("a worker starts");
    bencher.bench_local(|| {
        bench.block_on(async { worker::run(echo_job::with(small())).await }).expect("the worker lives")
    });
}

#[divan::bench(args = cases(), sample_count = 200, sample_size = 50)]
fn actor_call(bencher: Bencher<'_, '_>, case: Case) {
    let bench = Bench::of(case.flavour);
    let actor = OpenActor::configured(&bench, move |actor| actor.spin(case.spin).limits(apart()));
    bencher.bench_local(|| {
        bench.block_on(actor.portal.call(echo_endpoint::with(small()))).expect("the actor lives")
    });
}
