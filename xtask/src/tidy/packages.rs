//! The metadata of every published package is complete: what crates.io and docs.rs show.

use cargo_metadata::Package;

use super::{Finding, tree::Tree};

/// What crates.io accepts.
const MAX_KEYWORDS: usize = 5;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let root = tree.metadata.workspace_root.as_str();
    let mut findings = Vec::new();
    for package in tree.metadata.workspace_packages() {
        let path = package.manifest_path.as_str();
        let path = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
        let missing = missing(package);
        if !missing.is_empty() {
            let what = format!("the package metadata lacks {}", missing.join(", "));
            findings.push(Finding::new(path, 0, what, "fill it in: crates.io and docs.rs show it"));
        }
    }
    findings
}

fn missing(package: &Package) -> Vec<&'static str> {
    let published = package.publish.as_ref().is_none_or(|registries| !registries.is_empty());
    let readme = package.readme().is_some_and(|readme| readme.exists());
    let always = [
        (package.description.is_some(), "a description"),
        (package.license.is_some(), "a license"),
        (package.rust_version.is_some(), "a rust-version"),
    ];
    let when_published = [
        (package.repository.is_some(), "a repository"),
        ((1..=MAX_KEYWORDS).contains(&package.keywords.len()), "one to five keywords"),
        (!package.categories.is_empty(), "a category"),
        (readme, "a readme that exists"),
        (!package.metadata["docs"]["rs"].is_null(), "[package.metadata.docs.rs]"),
    ];
    let wanted = always.into_iter().chain(when_published.into_iter().filter(|_| published));
    wanted.filter(|(present, _)| !present).map(|(_, name)| name).collect()
}
