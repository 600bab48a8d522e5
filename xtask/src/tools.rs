//! Benchmarks, stress runs, chaos, models and Miri; the models in a short form are a gate, too.

use std::path::Path;

use crate::Result;
use crate::command::Command;
use crate::test_run::has_nextest;

/// How often `stress` repeats each test when no number is given.
const STRESS_ROUNDS: &str = "20";

/// The crates without concurrency; repeating their tests shows nothing.
const CALM: &str = "not (package(xtask) or package(triune-wire) or package(triune-macros))";

/// The tests that Miri runs: scopes, nurseries and the delivery of cancels, on one thread and on two. Not those of processes,
/// sockets and threads outside of the runtime, and not the models: Miri has its own view of interleavings.
const MIRI_TESTS: &[&str] = &[
    "cancel",
    "cleanup",
    "combine",
    "delivery",
    "dropped",
    "error_interop",
    "error_report",
    "hostile",
    "nursery",
    "nursery_options",
    "panics",
    "signature",
    "start",
    "stranded",
    "task_var",
    "tree",
];

/// Runs the benchmarks, or with `--check` lints them: CI does not build their peers.
pub(crate) fn bench(root: &Path, args: &[String]) -> Result {
    let command = match args {
        [check] if check == "--check" => {
            let lints = ["--all-targets", "--", "-D", "warnings"];
            Command::cargo(&[&["clippy", "--locked", "--package", "triune-bench"][..], &lints].concat())
        }
        _ => Command::cargo(&["bench", "--locked", "--package", "triune-bench"]).args(args),
    };
    println!("$ {command}");
    command.run(root)
}

/// Repeats the concurrency tests: races show in the hundredth run, not in the first.
pub(crate) fn stress(root: &Path, args: &[String]) -> Result {
    if !has_nextest(root) {
        return Err("`stress` needs cargo-nextest: run `cargo install --locked cargo-nextest`".into());
    }
    let (rounds, rest) = match args.split_first() {
        Some((first, rest)) if first.parse::<u32>().is_ok() => (first.as_str(), rest),
        _ => (STRESS_ROUNDS, args),
    };
    let command =
        Command::cargo(&["nextest", "run", "--locked", "--stress-count", rounds, "-E", CALM]).args(rest);
    println!("$ {command}");
    command.run(root)
}

/// The long form of the chaos test. Its variables, to replay a failure, are in the head of `crates/triune/tests/chaos`.
pub(crate) fn chaos(root: &Path, rounds: &str) -> Result {
    if rounds.parse::<u32>().is_err() {
        return Err(format!("`{rounds}` is no number of faults: try `cargo xtask chaos 1000`").into());
    }
    let args = ["test", "--locked", "--package", "triune", "--test", "chaos", "--", "--nocapture"];
    let command = Command::cargo(&args).env("TRIUNE_CHAOS_ROUNDS", rounds);
    println!("$ {command}");
    command.run(root)
}

/// The long form of the stress test of workers: so many kills by a cancel, and ten times as many jobs whose workers are
/// killed at random. With optimisation, because most of it is the work of this program.
pub(crate) fn workers(root: &Path, kills: &str) -> Result {
    let Ok(number) = kills.parse::<u32>() else {
        return Err(format!("`{kills}` is no number of kills: try `cargo xtask workers 10000`").into());
    };
    let args = ["test", "--locked", "--release", "--package", "triune", "--test", "worker_processes", "--"];
    let command = Command::cargo(&[&args[..], &["stress::", "--nocapture", "--test-threads", "1"]].concat())
        .env("TRIUNE_KILLS", kills)
        .env("TRIUNE_JOBS", &number.saturating_mul(10).to_string());
    println!("$ {command}");
    command.run(root)
}

/// Explores the models of how a cancel is delivered and how the primitives hand over, so many random schedules each.
///
/// With `--cfg shuttle` the locks and atomics of `triune-scope` are those of the model checker, so this has a target
/// directory of its own. One thread, because a static may hold such a lock.
pub(crate) fn model(root: &Path, rounds: &str) -> Result {
    if rounds.parse::<u32>().is_err() {
        return Err(format!("`{rounds}` is no number of schedules: try `cargo xtask model 1000`").into());
    }
    let args = ["test", "--locked", "--package", "triune-scope", "--lib", "--target-dir", "target/model"];
    let command = Command::cargo(&[&args[..], &["model", "--", "--test-threads", "1"]].concat())
        .env("RUSTFLAGS", "--cfg shuttle")
        .env("TRIUNE_MODEL_ROUNDS", rounds);
    println!("$ {command}");
    command.run(root)
}

/// Runs the tests of `triune-scope` under Miri, which stops at undefined behaviour, also that of the libraries beneath, and at
/// leaks. What would take it hours is marked `ignore` for it.
///
/// The real clock is let in, because tokio asks for it.
pub(crate) fn miri(root: &Path, args: &[String]) -> Result {
    // Through rustup: inside `cargo run`, `cargo` is the toolchain's own binary and knows no `+nightly`.
    let nightly = ["run", "nightly", "cargo", "miri"];
    if Command::new("rustup", &[&nightly[..], &["--version"]].concat()).ask(root).is_err() {
        let remedy = "rustup toolchain install nightly --component miri --component rust-src";
        return Err(
            format!("Miri is not installed: run `{remedy}`; it exists for nightly toolchains only").into()
        );
    }
    let command = Command::new("rustup", &nightly)
        .env("MIRIFLAGS", "-Zmiri-disable-isolation")
        .args(&["test", "--locked", "--no-fail-fast", "--target-dir", "target/miri"].map(str::to_owned));
    let command = if args.is_empty() {
        let tests = MIRI_TESTS.iter().flat_map(|test| ["--test", test]);
        let all: Vec<String> =
            ["--package", "triune-scope", "--lib"].into_iter().chain(tests).map(str::to_owned).collect();
        command.args(&all)
    } else {
        command.args(args)
    };
    println!("$ {command}");
    command.run(root)
}
