//! No Rust file is longer than 800 lines; those over 250 are listed, not refused.

use super::{Finding, tree::Tree};

/// Over this a file is worth a look.
pub(super) const BUDGET: usize = 250;
const LIMIT: usize = 800;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let too_long = sizes(tree).filter(|(_, lines)| *lines > LIMIT);
    let finding = |(path, lines)| {
        Finding::new(path, 0, format!("{lines} lines, the limit is {LIMIT}"), "split it by concept")
    };
    too_long.map(finding).collect()
}

/// The files over the budget, longest first.
pub(super) fn long_files(tree: &Tree) -> Vec<(&str, usize)> {
    let mut long: Vec<_> = sizes(tree).filter(|(_, lines)| *lines > BUDGET).collect();
    long.sort_by_key(|(path, lines)| (std::cmp::Reverse(*lines), *path));
    long
}

fn sizes(tree: &Tree) -> impl Iterator<Item = (&str, usize)> {
    let rust = tree.files.iter().filter(|file| file.is_rust() && !file.path.contains("/generated/"));
    rust.map(|file| (file.path.as_str(), file.text.lines().count()))
}
