//! No dependency of the lock file needs a newer compiler than the declared one.

use super::{Finding, tree::Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let declared = tree.metadata.workspace_packages().iter().find_map(|package| package.rust_version.clone());
    let remedy = "pin an older version, or raise rust-version in a minor release with a line in CHANGELOG.md";
    let Some(declared) = declared else {
        return vec![Finding::new(
            "Cargo.toml",
            0,
            "no rust-version is declared",
            "declare it in [workspace.package]",
        )];
    };
    let newer =
        tree.metadata.packages.iter().filter(|package| package.rust_version.as_ref() > Some(&declared));
    let finding = |package: &cargo_metadata::Package| {
        let needs = package.rust_version.as_ref().map(ToString::to_string).unwrap_or_default();
        let what =
            format!("`{} {}` needs Rust {needs}, we promise {declared}", package.name, package.version);
        Finding::new("Cargo.lock", 0, what, remedy)
    };
    newer.map(finding).collect()
}
