//! Benchmarks, stress runs and models; the last in a short form is a gate, too.

use std::path::Path;

use crate::Result;
use crate::command::Command;
use crate::test_run::has_nextest;

/// How often `stress` repeats each test when no number is given.
const STRESS_ROUNDS: &str = "20";

/// The crates without concurrency; repeating their tests shows nothing.
const CALM: &str = "not (package(xtask) or package(triune-wire) or package(triune-macros))";

/// Runs the benchmarks.
pub(crate) fn bench(root: &Path, args: &[String]) -> Result {
    let command = Command::cargo(&["bench", "--locked", "--package", "triune-bench"]).args(args);
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
