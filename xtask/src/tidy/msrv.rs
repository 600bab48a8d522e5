//! No member's dependencies need a newer compiler than the member declares, and no published member declares more than
//! the workspace.
//!
//! A crate that is never published (the benchmarks) may declare a newer compiler than the others, for the sake of what it
//! compares with; then nothing that it alone depends on is held to the promise of the rest.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::semver::Version;
use cargo_metadata::{Package, PackageId};

use super::{Finding, tree::Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let metadata = &tree.metadata;
    let members = metadata.workspace_packages();
    let is_published = |package: &Package| package.publish.as_ref().is_none_or(|to| !to.is_empty());
    let promised =
        members.iter().filter(|member| is_published(member)).filter_map(|m| m.rust_version.as_ref());
    let Some(promised) = promised.min() else {
        let remedy = "declare it in [workspace.package]";
        return vec![Finding::new("Cargo.toml", 0, "no rust-version is declared", remedy)];
    };
    let edges: BTreeMap<&PackageId, Vec<&PackageId>> = metadata
        .resolve
        .iter()
        .flat_map(|resolve| &resolve.nodes)
        .map(|node| (&node.id, node.deps.iter().map(|dependency| &dependency.pkg).collect()))
        .collect();
    let mut findings = BTreeMap::new();
    for member in &members {
        // A member that declares nothing is held to the promise.
        let declared = member.rust_version.as_ref().filter(|_| !is_published(member)).unwrap_or(promised);
        let used = below(&member.id, &edges);
        for package in metadata.packages.iter().filter(|package| used.contains(&package.id)) {
            if let Some(needs) = package.rust_version.as_ref().filter(|needs| *needs > declared) {
                findings.entry(&package.id).or_insert_with(|| newer(package, needs, declared));
            }
        }
    }
    findings.into_values().collect()
}

fn newer(package: &Package, needs: &Version, declared: &Version) -> Finding {
    let what = format!("`{} {}` needs Rust {needs}, we promise {declared}", package.name, package.version);
    let remedy = "pin an older version, or raise rust-version in a minor release with a line in CHANGELOG.md";
    Finding::new("Cargo.lock", 0, what, remedy)
}

/// A package and all that it depends on, by whatever way.
fn below<'a, T: Ord>(root: &'a T, edges: &BTreeMap<&'a T, Vec<&'a T>>) -> BTreeSet<&'a T> {
    let mut seen = BTreeSet::from([root]);
    let mut todo = vec![root];
    while let Some(next) = todo.pop() {
        todo.extend(edges.get(next).into_iter().flatten().copied().filter(|below| seen.insert(*below)));
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_member_depends_on_is_held_to_its_promise() {
        let edges =
            BTreeMap::from([(&"bench", vec![&"lib", &"peer"]), (&"lib", vec![&"tokio"]), (&"peer", vec![])]);
        assert_eq!(below(&"lib", &edges), BTreeSet::from([&"lib", &"tokio"]));
        assert_eq!(below(&"bench", &edges).len(), 4);
    }
}
