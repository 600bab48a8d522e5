//! The test command: all tests with nextest where it is installed, else with libtest, then the doc tests, then the tests
//! that need a feature.
//!
//! nextest gives each test a process of its own; libtest runs the same tests as threads of one. Both must pass, and CI's
//! machine has nextest.

use std::path::Path;

use crate::Result;
use crate::command::Command;
use crate::skips;
use crate::tally::Tally;

/// Runs every test once. `args` go to the runner of the tests; with any of them the doc tests are left out.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<Tally> {
    let mut tally = Tally::default();
    skips::forget(root);
    let skips = skips::file(root);
    for command in commands(has_nextest(root), args) {
        println!("$ {command}");
        let command = command.env(skips::VARIABLE, &skips.to_string_lossy());
        let (success, output) = command.run_and_keep(root)?;
        tally.add(&output, success);
    }
    skips::told(root).iter().for_each(|line| println!("{line}"));
    Ok(tally)
}

pub(crate) fn has_nextest(root: &Path) -> bool {
    Command::cargo(&["nextest", "--version"]).ask(root).is_ok()
}

fn commands(nextest: bool, args: &[String]) -> Vec<Command> {
    let tests = if nextest {
        Command::cargo(&["nextest", "run", "--locked", "--no-fail-fast", "--no-tests=warn"])
    } else {
        // `--all-targets` would run the benchmarks, too.
        Command::cargo(&["test", "--locked", "--no-fail-fast", "--lib", "--bins", "--tests", "--examples"])
    };
    let mut commands = vec![tests.args(args)];
    if args.is_empty() {
        commands.push(Command::cargo(&["test", "--locked", "--no-fail-fast", "--doc"]));
        // Features are one for the whole build: with `auto-init` on, the other entries could not be told from it.
        let features = ["test", "--locked", "--package", "triune", "--features", "auto-init,test-util"];
        commands.push(Command::cargo(
            &[&features[..], &["--test", "auto_init", "--test", "paused_clock"]].concat(),
        ));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doc_tests_always_follow_the_tests_unless_the_user_selects_some() {
        for nextest in [true, false] {
            let all: Vec<String> = commands(nextest, &[]).iter().map(ToString::to_string).collect();
            assert!(all[1].ends_with("--doc") && all[2].ends_with("paused_clock"), "{all:?}");
            assert_eq!(commands(nextest, &["cancel".to_owned()]).len(), 1);
        }
    }
}
