//! The files that call a start primitive (a task, a thread, a process) are listed in ARCHITECTURE.md, all of them.
//!
//! clippy's `disallowed_methods` refuses the primitives; a file that expects the lint is one that owns such a call.

use super::{Finding, tree::Tree};

const LINT: &str = "clippy::disallowed_methods";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let architecture = tree.file("ARCHITECTURE.md").map_or("", |file| &file.text);
    // This file names the lint as a text.
    let rust = tree
        .files
        .iter()
        .filter(|file| file.is_rust() && !file.is_test() && file.path != "xtask/src/tidy/starters.rs");
    let owners = rust.filter(|file| !file.path.starts_with("crates/triune-bench/"));
    owners.filter_map(|file| unlisted(&file.path, &file.text, architecture)).collect()
}

fn unlisted(path: &str, text: &str, architecture: &str) -> Option<Finding> {
    let line = text.lines().position(|line| line.contains(LINT))? + 1;
    let remedy = "use a nursery or triune-process; if this must be a starter, add its path to the list in ARCHITECTURE.md";
    let what = "the file starts tasks, threads or processes by itself and is not listed in ARCHITECTURE.md";
    (!architecture.contains(&format!("`{path}`"))).then(|| Finding::new(path, line, what, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_files_may_start_something() {
        let text = "#[expect(clippy::disallowed_methods, reason = \"..\")]";
        assert!(unlisted("crates/a/src/b.rs", text, "- `crates/a/src/b.rs`: the workers").is_none());
        assert!(unlisted("crates/a/src/b.rs", text, "").is_some());
        assert!(unlisted("crates/a/src/b.rs", "fn main() {}", "").is_none());
    }
}
