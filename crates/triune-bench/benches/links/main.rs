//! Calls and streams between two processes: triune against a raw Unix socket, remoc, tarpc and ipc-channel, in one run.
//! Guards the number of copies, wake-ups and task hops on the way of a call and of an item.
//!
//! `cargo bench -p triune-bench --bench links -- [multi_thread] [one_core] [free] [quick] [peer=link] [case=stream]`
//!
//! The last two tables show how long a cancel takes through a dialog that is saturated in one direction: to be compared with the round
//! trip in the first.
//!
//! `peer=` and `case=` choose those whose name begins so; the ratio is then to the first of those that are left.
//!
//! All contenders get sockets with the same buffers and runtimes of the same flavour (the flavour is the caller's; the
//! other process has a current-thread runtime, as an actor has). ipc-channel blocks its thread and has no runtime. An
//! answer to a large call is its length; the raw socket does the same with nothing around the bytes.

mod ipc_channel;
mod peer;
mod raw;
mod remoc;
mod tarpc;
mod triune_actor;
mod triune_link;

use triune_bench::compare::{Contender, Load, Placement, compare, distribution};
use triune_bench::{Bench, SMALL};

use peer::{Direction, MIB, Peer};

/// Samples of each contender and case.
const ROUNDS: usize = 25;
/// The same for a first look.
const QUICK_ROUNDS: usize = 5;
/// Cancels of each contender and direction.
const CANCELS: usize = 200;

/// What the command line asks for.
struct Wish {
    flavour: &'static str,
    rounds: usize,
    peer: String,
    case: String,
}

fn main() {
    triune::init();
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    let value =
        |key: &str| words.iter().find_map(|word| word.strip_prefix(key)).unwrap_or_default().to_owned();
    let wish = Wish {
        flavour: if has("multi_thread") { "multi_thread" } else { "current_thread" },
        rounds: if has("quick") { QUICK_ROUNDS } else { ROUNDS },
        peer: value("peer="),
        case: value("case="),
    };
    let both = has("one_core") == has("free");
    for (word, placement) in [("one_core", Placement::OneCore), ("free", Placement::Free)] {
        if both || has(word) {
            placement.apply(|| all(&wish, placement));
        }
    }
}

/// Starts a contender with its other process.
type Start = fn(Bench) -> Box<dyn Peer>;

fn peers(wish: &Wish) -> Vec<Box<dyn Peer>> {
    let all: [(&str, Start); 6] = [
        ("raw", |bench| Box::new(raw::Raw::start(bench))),
        ("link", |bench| Box::new(triune_link::Linked::start(bench))),
        ("actor", |bench| Box::new(triune_actor::Actor::start(bench))),
        ("remoc", |bench| Box::new(remoc::Remoc::start(bench))),
        ("tarpc", |bench| Box::new(tarpc::Tarpc::start(bench))),
        ("ipc-channel", |_| Box::new(ipc_channel::IpcChannel::start())),
    ];
    let wanted = all.into_iter().filter(|(name, _)| name.starts_with(&wish.peer));
    wanted.map(|(_, start)| start(Bench::of(wish.flavour))).collect()
}

fn all(wish: &Wish, placement: Placement) {
    let mut peers = peers(wish);
    let mut case = |what: &str, operations: usize, bytes: usize, run: fn(&mut dyn Peer, usize) -> bool| {
        if !what.starts_with(&wish.case) {
            return;
        }
        // A contender that has no such thing says so at the first try.
        let able = peers.iter_mut().filter_map(|peer| run(&mut **peer, 1).then_some(peer));
        let contenders = able.map(|peer| {
            Contender::new(peer.name(), move || {
                run(&mut **peer, operations);
            })
        });
        let title = format!("{what} ({placement}, {})", wish.flavour);
        compare(&title, Load { operations, bytes }, wish.rounds, contenders.collect());
    };
    case("round trip of 64 B", 200, SMALL, |peer, times| peer.calls(times, 1));
    case("calls of 64 B, 16 in flight", 3_200, SMALL, |peer, times| peer.calls(times, 16));
    case("calls of 64 B, 64 in flight", 6_400, SMALL, |peer, times| peer.calls(times, 64));
    case("calls of 64 B, 256 in flight", 12_800, SMALL, |peer, times| peer.calls(times, 256));
    case("stream of 64 B items", 100_000, SMALL, |peer, times| peer.stream(SMALL, times));
    case("stream of 64 KiB items", 1_000, 64 * 1024, |peer, times| peer.stream(64 * 1024, times));
    case("large calls of 1 MiB, one in flight", 20, MIB, |peer, times| peer.large_calls(times));
    for (what, direction) in [
        ("cancel against a saturated stream", Direction::Against),
        ("cancel along a saturated stream", Direction::Along),
    ] {
        if what.starts_with(&wish.case) {
            let took = peers.iter_mut().map(|peer| (peer.name(), peer.cancels(CANCELS, direction)));
            distribution(&format!("{what} ({placement}, {})", wish.flavour), took.collect());
        }
    }
}
