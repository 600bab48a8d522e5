//! Random faults over a tree of processes under load: nothing hangs, nothing is left, every wait ends with a result or
//! with a typed error.
//!
//! A round builds three levels of processes, lets all of them call, talk and compute, and lets one link of one of them go
//! wrong at a random frame. Each round has a runtime and a run of its own, so that after it everything must be gone.
//!
//! | variable | meaning |
//! |---|---|
//! | `TRIUNE_SEED` | the seed, which a failure prints |
//! | `TRIUNE_CHAOS_ROUNDS` | how many rounds, however long they take; `cargo xtask chaos` sets it |
//! | `TRIUNE_CHAOS_FIRST` | the round to begin with: with the seed, one round alone |

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod load;
mod verdict;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use triune::Run;
use triune_testing::fault::{Fault, Injector, LinkInfo, Plan};
use triune_testing::{LeakGuard, Random, processes_of_tree, seed};

use load::{MidFault, Order};

triune::__private::constructor!();

/// Rounds of the form that runs with every change: some 100 ms each.
const ROUNDS: u64 = 100;

/// No new round is begun after this time, in the form that runs with every change.
const BUDGET: Duration = Duration::from_secs(15);

/// How long a round may take before it counts as hanging. All of its own deadlines together are far below.
const HANGS: Duration = Duration::from_secs(30);

/// How long what is left may take to go.
const GONE: Duration = Duration::from_secs(10);

/// The frames among which the one with the fault is chosen: from the handshake to the middle of the load.
const FRAMES: std::ops::Range<u64> = 0..24;

/// The links of one process that its round may choose: it starts that many children at least.
const LINKS: u64 = 3;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not `{text}`")))
}

fn runtime(random: &mut Random) -> Runtime {
    let mut builder = match random.in_range(0..2) {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// Gives the plan to the n-th child that is started, and none to the others.
pub(crate) fn only(nth: u64, plan: Plan) -> impl Fn(&LinkInfo) -> Plan + Send + Sync + 'static {
    let started = AtomicU64::new(0);
    move |_link| {
        let own = started.fetch_add(1, Ordering::Relaxed);
        if own == nth { plan.clone() } else { Plan::new() }
    }
}

#[test]
fn random_faults_over_a_tree_under_load_leave_nothing_and_end_every_wait() {
    let seed = seed();
    let wanted = number("TRIUNE_CHAOS_ROUNDS");
    let rounds = match number("TRIUNE_CHAOS_FIRST") {
        Some(first) => first..first + wanted.unwrap_or(1),
        None => 0..wanted.unwrap_or(ROUNDS),
    };
    let start = Instant::now();
    let mut done = 0;
    let mut seen = BTreeMap::new();
    for round in rounds {
        if wanted.is_none() && start.elapsed() > BUDGET {
            break;
        }
        let hint = format!("replay with TRIUNE_SEED={seed} TRIUNE_CHAOS_FIRST={round}");
        // Of its own, so that one round can be replayed alone.
        let mut random = Random::new(seed ^ Random::new(round).next_u64());
        if let Some(fault) = one_round(&mut random, &hint) {
            *seen.entry(kind(fault)).or_insert(0) += 1;
        }
        done += 1;
    }
    println!("{done} rounds of seed {seed}; faults that were reached in the root: {seen:?}");
    assert!(
        done < ROUNDS || seen.len() == 5,
        "not every kind of fault was reached in {done} rounds: {seen:?}"
    );
}

fn kind(fault: Fault) -> &'static str {
    match fault {
        Fault::Kill => "kill",
        Fault::Stop(_) => "stop",
        Fault::Delay(_) => "delay",
        Fault::Cut { .. } => "cut",
        Fault::Corrupt { .. } => "corrupt",
        other => panic!("a fault of a new kind: {other:?}"),
    }
}

/// One tree, one fault. Gives the fault if it was one of the root's links and was reached.
fn one_round(random: &mut Random, hint: &str) -> Option<Fault> {
    let guard = LeakGuard::new();
    let plan = Plan::random(random, FRAMES);
    let link = random.in_range(0..LINKS);
    let in_root = random.in_range(0..2) == 0;
    let (root_plan, order) = if in_root {
        (plan, Order { seed: random.next_u64(), fault: None })
    } else {
        let victim = random.in_range(0..2);
        (
            Plan::new(),
            Order {
                seed: random.next_u64(),
                fault: Some(MidFault { victim, link, seed: random.next_u64() }),
            },
        )
    };
    let hint = format!("{hint}: {root_plan:?} on link {link} of the root, {order:?}");
    let injector = Injector::install(only(link, root_plan));
    let runtime = runtime(random);
    let verdict = runtime.block_on(async {
        let run = Run::current();
        let load = run.main(load::root(order.clone()));
        let end = tokio::time::timeout(HANGS, load).await;
        let end = end.unwrap_or_else(|_| {
            panic!("the round hangs; {hint}\n{:#?}\n{}", processes_of_tree(), triune::tree())
        });
        let closed = tokio::time::timeout(HANGS, run.close()).await;
        closed.unwrap_or_else(|_| panic!("the end of the run hangs; {hint}\n{:#?}", processes_of_tree()));
        end
    });
    drop(runtime);
    let injected = injector.injected();
    drop(injector);
    let fault = injected.first().map(|injected| injected.fault);
    let may_lie = order.fault.is_some() || matches!(fault, Some(Fault::Corrupt { .. }));
    let result = verdict.unwrap_or_else(|| panic!("nobody cancels the run; {hint}"));
    verdict::check(&result, may_lie, &hint);
    if fault.is_none() && order.fault.is_none() {
        assert!(result.is_ok(), "nothing was injected, and still: {:?}; {hint}", result.unwrap_err());
    }
    let gone = triune_testing::wait_until(GONE, || guard.check().is_ok());
    assert!(gone, "the round has leaked: {}; {hint}", guard.check().unwrap_err());
    guard.finish();
    fault
}
