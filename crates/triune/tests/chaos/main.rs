//! Random faults over a tree of processes under load: nothing hangs, nothing is left, every wait ends with a result or
//! with a typed error.
//!
//! A round builds three levels of processes, each with workers, lets all of them call, talk and compute, and lets links go
//! wrong at random frames: each link of the root may, and one of an actor in the middle. Each round has a runtime and a run of its own,
//! so that after it everything must be gone: processes, descriptors, named sockets, files.
//!
//! | variable | meaning |
//! |---|---|
//! | `TRIUNE_SEED` | the seed, which a failure prints |
//! | `TRIUNE_CHAOS_ROUNDS` | how many rounds, however long they take; `cargo xtask chaos` sets it |
//! | `TRIUNE_CHAOS_FIRST` | the round to begin with: with the seed, one round alone |

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod leftovers;
mod load;
mod verdict;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use triune::Run;
use triune_testing::fault::{Fault, Injector, LinkInfo, Plan};
use triune_testing::{LeakGuard, Random, processes_of_tree, seed};

use leftovers::Leftovers;
use load::{MidFault, Order};

triune::__private::constructor!();

/// The form that runs with every change goes on until so many faults have happened on links of the root. Those one level down come
/// on top: nobody who survives could count them.
const FAULTS: u64 = 100;

/// It fails if that takes more rounds: then the faults come where there are no frames any more.
const MOST_ROUNDS: u64 = 4 * FAULTS;

/// How long each wait may take where a link may lie: a corrupted frame can be one that answers nobody.
const LIMIT: Duration = Duration::from_millis(1500);

/// The same where no link does: then every wait ends by itself, so a round that takes so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a round may take before it counts as hanging. All of its own deadlines together are far below.
const HANGS: Duration = Duration::from_secs(60);

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

/// Gives the n-th plan to the n-th child that is started, and none to those behind.
pub(crate) fn in_turn(plans: Vec<Plan>) -> impl Fn(&LinkInfo) -> Plan + Send + Sync + 'static {
    let started = AtomicUsize::new(0);
    move |_link| plans.get(started.fetch_add(1, Ordering::Relaxed)).cloned().unwrap_or_default()
}

#[test]
fn random_faults_over_a_tree_under_load_leave_nothing_and_end_every_wait() {
    let seed = seed();
    let leftovers = Leftovers::new();
    let wanted = number("TRIUNE_CHAOS_ROUNDS");
    let first = number("TRIUNE_CHAOS_FIRST");
    let most = match (wanted, first) {
        (Some(rounds), _) => rounds,
        (None, Some(_)) => 1,
        (None, None) => MOST_ROUNDS,
    };
    let mut done = 0;
    let mut seen = BTreeMap::new();
    for round in (first.unwrap_or(0)..).take(usize::try_from(most).unwrap()) {
        let hint = format!("replay with TRIUNE_SEED={seed} TRIUNE_CHAOS_FIRST={round}");
        // Of its own, so that one round can be replayed alone.
        let mut random = Random::new(seed ^ Random::new(round).next_u64());
        for fault in one_round(&mut random, &leftovers, &hint) {
            *seen.entry(kind(fault)).or_insert(0) += 1;
        }
        done += 1;
        if wanted.is_none() && seen.values().sum::<u64>() >= FAULTS {
            break;
        }
    }
    println!("{done} rounds of seed {seed}; faults that happened on links of the root: {seen:?}");
    if done >= FAULTS || (wanted, first) == (None, None) {
        let faults = seen.values().sum::<u64>();
        assert!(faults >= FAULTS.min(done), "only {faults} faults have happened in {done} rounds: {seen:?}");
        assert_eq!(seen.len(), 6, "not every kind of fault has happened in {done} rounds: {seen:?}");
    }
}

fn kind(fault: Fault) -> &'static str {
    match fault {
        Fault::Kill => "kill",
        Fault::Stop(_) => "stop",
        Fault::Freeze => "freeze",
        Fault::Delay(_) => "delay",
        Fault::Cut { .. } => "cut",
        Fault::Corrupt { .. } => "corrupt",
        other => panic!("a fault of a new kind: {other:?}"),
    }
}

/// What goes wrong in a round: on the links of the root, and on one of an actor in the middle.
fn draw(random: &mut Random) -> (Vec<Plan>, Order) {
    let mut root: Vec<Plan> = (0..LINKS)
        .map(|_| if random.in_range(0..2) == 0 { Plan::random(random, FRAMES) } else { Plan::new() })
        .collect();
    let fault = (random.in_range(0..2) == 0).then(|| MidFault {
        victim: random.in_range(0..2),
        link: random.in_range(0..LINKS),
        seed: random.next_u64(),
    });
    if fault.is_none() && root.iter().all(|plan| *plan == Plan::new()) {
        let link = usize::try_from(random.in_range(0..LINKS)).unwrap();
        root[link] = Plan::random(random, FRAMES);
    }
    let below = fault.as_ref().map(|fault| MidFault::plan(fault.seed));
    let lies = |plan: &Plan| plan.faults().any(|fault| matches!(fault, Fault::Corrupt { .. }));
    let limit = if root.iter().chain(&below).any(lies) { LIMIT } else { PATIENCE };
    (root, Order { seed: random.next_u64(), fault, limit, temporary: std::path::PathBuf::new() })
}

/// One tree. Gives the faults that have happened on links of the root.
fn one_round(random: &mut Random, leftovers: &Leftovers, hint: &str) -> Vec<Fault> {
    let guard = LeakGuard::new();
    let (plans, mut order) = draw(random);
    order.temporary = leftovers.folder().to_owned();
    let hint = format!("{hint}: {plans:?} on the links of the root, {order:?}");
    let injector = Injector::install(in_turn(plans));
    let runtime = runtime(random);
    let start = Instant::now();
    let verdict = runtime.block_on(async {
        let run = Run::current();
        let load = run.main(load::root(order.clone()));
        let end = tokio::time::timeout(HANGS, Box::pin(load)).await;
        let end = end.unwrap_or_else(|_| {
            panic!("the round hangs; {hint}\n{:#?}\n{}", processes_of_tree(), triune::tree())
        });
        let closed = tokio::time::timeout(HANGS, run.close()).await;
        closed.unwrap_or_else(|_| panic!("the end of the run hangs; {hint}\n{:#?}", processes_of_tree()));
        end
    });
    drop(runtime);
    let faults: Vec<Fault> = injector.injected().iter().map(|injected| injected.fault).collect();
    drop(injector);
    let may_lie = order.limit == LIMIT;
    let took = start.elapsed();
    assert!(may_lie || took < PATIENCE, "a wait has not ended by itself, the round took {took:?}; {hint}");
    let result = verdict.unwrap_or_else(|| panic!("nobody cancels the run; {hint}"));
    verdict::check(&result, may_lie, &hint);
    // The limit of a round with a link that may lie can be too short for a busy machine.
    if faults.is_empty() && order.fault.is_none() && !may_lie {
        assert!(result.is_ok(), "nothing was injected, and still: {:?}; {hint}", result.unwrap_err());
    }
    let gone = triune_testing::wait_until(GONE, || guard.check().is_ok());
    assert!(gone, "the round has leaked: {}; {hint}", guard.check().unwrap_err());
    guard.finish();
    leftovers.check(&hint);
    faults
}
