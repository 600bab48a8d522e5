//! The list of steps and what each one runs.

use std::path::Path;

use cargo_metadata::MetadataCommand;

use crate::Result;
use crate::command::Command;
use crate::tally::Tally;

/// What a step has to say when it did not fail.
pub(super) enum Verdict {
    Passed,
    /// The step could not run here; the reason is shown in the summary.
    Skipped(String),
    Tests(Tally),
}

/// A gate.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) run: fn(&Path) -> Result<Verdict>,
}

pub(super) const STEPS: &[Step] = &[
    Step { name: "fmt", run: |root| one(root, &Command::cargo(&["fmt", "--all", "--check"])) },
    Step { name: "tidy", run: |root| crate::tidy::run(root).map(|()| Verdict::Passed) },
    Step { name: "clippy", run: clippy },
    Step { name: "features", run: features },
    Step { name: "doc", run: doc },
    Step { name: "deny", run: deny },
    Step { name: "msrv", run: msrv },
    Step { name: "census", run: census },
    Step { name: "model", run: |root| crate::tools::model(root, "2000").map(|()| Verdict::Passed) },
    Step { name: "test", run: |root| crate::test_run::run(root, &[]).map(Verdict::Tests) },
];

fn one(root: &Path, command: &Command) -> Result<Verdict> {
    println!("$ {command}");
    command.run(root).map(|()| Verdict::Passed)
}

/// The default members: users and CI do not build the peers of the benchmarks. `cargo xtask bench --check` lints those.
fn clippy(root: &Path) -> Result<Verdict> {
    one(root, &Command::cargo(&["clippy", "--all-targets", "--locked", "--", "-D", "warnings"]))
}

/// Every crate that has features: with none, with each alone, and with all.
fn features(root: &Path) -> Result<Verdict> {
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec()?;
    let mut any = false;
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let features: Vec<&str> =
            package.features.keys().map(String::as_str).filter(|f| *f != "default").collect();
        if features.is_empty() {
            continue;
        }
        any = true;
        let bare = ["check", "--locked", "--package", name, "--no-default-features"];
        one(root, &Command::cargo(&bare))?;
        for feature in features {
            one(root, &Command::cargo(&[&bare[..], &["--features", feature]].concat()))?;
        }
        let all = [
            "clippy",
            "--locked",
            "--package",
            name,
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ];
        one(root, &Command::cargo(&all))?;
    }
    Ok(if any { Verdict::Passed } else { Verdict::Skipped("no crate has features".to_owned()) })
}

fn doc(root: &Path) -> Result<Verdict> {
    one(root, &Command::cargo(&["doc", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"))
}

fn deny(root: &Path) -> Result<Verdict> {
    if Command::cargo(&["deny", "--version"]).ask(root).is_err() {
        let why = "cargo-deny is not installed; run `cargo install --locked cargo-deny`";
        return Ok(Verdict::Skipped(why.to_owned()));
    }
    one(
        root,
        &Command::cargo(&[
            "deny",
            "--locked",
            "check",
            "--hide-inclusion-graph",
            "bans",
            "licenses",
            "sources",
        ]),
    )
}

/// Builds with the oldest supported toolchain where rustup has it. Everywhere else clippy's `incompatible_msrv` looks after
/// the standard library and tidy after the dependencies.
fn msrv(root: &Path) -> Result<Verdict> {
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec()?;
    let declared = metadata.workspace_packages().iter().find_map(|package| package.rust_version.clone());
    let Some(version) = declared else { return Err("no package declares a rust-version".into()) };
    let version = format!("{}.{}", version.major, version.minor);
    let toolchains = Command::new("rustup", &["toolchain", "list"]).ask(root).unwrap_or_default();
    if !toolchains
        .lines()
        .any(|line| line.starts_with(&format!("{version}.")) || line.starts_with(&format!("{version}-")))
    {
        return Ok(Verdict::Skipped(format!(
            "toolchain {version} is not installed; run `rustup toolchain install {version}`"
        )));
    }
    // Through rustup: inside `cargo run`, `cargo` is the toolchain's own binary and knows no `+1.91`.
    one(
        root,
        &Command::new(
            "rustup",
            // The benchmarks are never published; they follow the newest of the peers.
            &[
                "run",
                &version,
                "cargo",
                "check",
                "--locked",
                "--workspace",
                "--exclude",
                "triune-bench",
                "--all-targets",
            ],
        ),
    )
}

/// The command of the README, on this repository's own sources.
fn census(root: &Path) -> Result<Verdict> {
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec()?;
    let mut targets = metadata.workspace_packages().into_iter().flat_map(|package| &package.targets);
    if !targets.any(|target| target.is_example() && target.name == "census") {
        return Ok(Verdict::Skipped("there is no example census".to_owned()));
    }
    one(root, &Command::cargo(&["run", "--release", "--locked", "--example", "census", "--", "crates"]))
}
