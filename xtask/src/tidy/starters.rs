//! The files that call a start primitive (a task, a thread, a process) are listed in ARCHITECTURE.md, all of them.
//!
//! clippy's `disallowed_methods` refuses the primitives; a file that expects the lint owns such a call. What it cannot
//! see, a call in a macro or behind another name, is looked for by its text.

use super::{Finding, tree::Tree};

const SIGNS: &[&str] = &[
    "clippy::disallowed_methods",
    "thread::Builder",
    "runtime.spawn",
    "Handle::current().spawn",
    "JoinSet::new",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let architecture = tree.file("ARCHITECTURE.md").map_or("", |file| &file.text);
    // This file names the signs as text.
    let rust = tree
        .files
        .iter()
        .filter(|file| file.is_rust() && !file.is_test() && file.path != "xtask/src/tidy/starters.rs");
    let owners = rust.filter(|file| !file.path.starts_with("crates/triune-bench/"));
    owners.filter_map(|file| unlisted(&file.path, &file.text, architecture)).collect()
}

fn unlisted(path: &str, text: &str, architecture: &str) -> Option<Finding> {
    let sign =
        |line: &str| !line.trim_start().starts_with("//") && SIGNS.iter().any(|sign| line.contains(sign));
    let line = text.lines().position(sign)? + 1;
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
        assert!(unlisted("crates/a/src/b.rs", "    self.runtime.spawn(task);", "").is_some());
        assert!(unlisted("crates/a/src/b.rs", "    n.spawn(task);", "").is_none());
        assert!(unlisted("crates/a/src/b.rs", "/// Like `runtime.spawn`.\nfn main() {}", "").is_none());
    }
}
