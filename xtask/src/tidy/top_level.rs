//! The root of the repository holds only what a stranger expects there: no reports, scratch files or plans.

use std::collections::BTreeSet;

use super::{Finding, tree::Tree};

const EXPECTED: &[&str] = &[
    ".cargo",
    ".ci",
    ".config",
    ".gitattributes",
    ".github",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "bindings",
    "clippy.toml",
    "crates",
    "deny.toml",
    "docs",
    "examples",
    "fuzz",
    "rustfmt.toml",
    "xtask",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    unexpected(tree.files.iter().map(|file| file.path.as_str()))
}

fn unexpected<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<Finding> {
    let entries: BTreeSet<&str> = paths.filter_map(|path| path.split('/').next()).collect();
    let strange = entries.into_iter().filter(|entry| !EXPECTED.contains(entry));
    let remedy = "move it into a folder, ignore it, or add it to EXPECTED in xtask/src/tidy/top_level.rs";
    strange
        .map(|entry| Finding::new(entry, 0, "unexpected entry in the root of the repository", remedy))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_part_of_a_path_counts() {
        let found = unexpected(["crates/a/PLAN.md", "Cargo.toml", "PLAN.md", "out/a", "out/b"].into_iter());
        let paths: Vec<&str> = found.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(paths, ["PLAN.md", "out"]);
    }
}
