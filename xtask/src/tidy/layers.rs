//! A crate depends only on crates in a lower row of the table; the table in ARCHITECTURE.md says the same.
//!
//! Dev-dependencies are exempt: a test may use what is built upon it. Crates beside the table are support: they may use
//! everything below the facade or, where they are never published, everything; no crate's library uses them.

use cargo_metadata::{DependencyKind, Package};

use super::{Finding, tree::Tree};

/// Lower rows first.
const ROWS: &[(u8, &str)] = &[
    (0, "triune-scope"),
    (0, "triune-wire"),
    (0, "triune-macros"),
    (1, "triune-process"),
    (1, "triune-ipc"),
    (2, "triune-worker"),
    (2, "triune-actor"),
    (2, "triune-inspect"),
    (3, "triune-debug"),
    (4, "triune"),
    (5, "triune-cli"),
];

/// Beside the table, each with the highest row that it may use.
const BESIDE: &[(u8, &str)] = &[(3, "triune-testing"), (5, "triune-bench"), (0, "xtask")];

/// What a crate must never use, and the invariant that says so.
const REFUSED: &[(&str, &[&str], &str)] = &[
    (
        "triune-wire",
        &["tokio", "rustix", "futures-util", "tracing"],
        "the protocol is data: no I/O, no async",
    ),
    ("triune-worker", &["triune-actor"], "workers and actors never see each other"),
    ("triune-actor", &["triune-worker"], "workers and actors never see each other"),
];

const REMEDY: &str =
    "turn the dependency round or move the shared part down; the rows are in ARCHITECTURE.md";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let packages = tree.metadata.workspace_packages();
    let mut findings: Vec<Finding> =
        packages.iter().flat_map(|package| upward(&package.name, &used_by(package))).collect();
    let architecture = tree.file("ARCHITECTURE.md").map_or("", |file| &file.text);
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    findings.extend(undocumented(&names, architecture));
    findings
}

/// The dependencies of a crate's library and build script.
fn used_by(package: &Package) -> Vec<&str> {
    let used =
        package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    used.map(|dependency| dependency.name.as_str()).collect()
}

fn row(table: &[(u8, &str)], name: &str) -> Option<u8> {
    table.iter().find(|(_, of)| *of == name).map(|(row, _)| *row)
}

fn upward(name: &str, used: &[&str]) -> Vec<Finding> {
    let manifest =
        if name == "xtask" { "xtask/Cargo.toml".to_owned() } else { format!("crates/{name}/Cargo.toml") };
    let reach = row(ROWS, name).map(|own| own.checked_sub(1)).or_else(|| row(BESIDE, name).map(Some));
    let Some(reach) = reach else {
        let remedy = "add it to ROWS in xtask/src/tidy/layers.rs and to the table in ARCHITECTURE.md";
        return vec![Finding::new(&manifest, 0, format!("the crate `{name}` has no row"), remedy)];
    };
    let mut findings = Vec::new();
    for dependency in used {
        if row(BESIDE, dependency).is_some() {
            let what = format!("`{name}` depends on `{dependency}`, which stands beside the table");
            findings.push(Finding::new(&manifest, 0, what, "make it a dev-dependency"));
        }
        if let Some(at) = row(ROWS, dependency)
            && reach.is_none_or(|reach| at > reach)
        {
            let what = format!("`{name}` depends on `{dependency}` of row {at}, which is not below it");
            findings.push(Finding::new(&manifest, 0, what, REMEDY));
        }
        let refused = REFUSED.iter().filter(|(of, list, _)| *of == name && list.contains(dependency));
        for (_, _, why) in refused {
            findings.push(Finding::new(
                &manifest,
                0,
                format!("`{name}` depends on `{dependency}`: {why}"),
                REMEDY,
            ));
        }
    }
    findings
}

/// Crates whose row is missing or different in the document.
fn undocumented(names: &[&str], architecture: &str) -> Vec<Finding> {
    let stated = |name: &str, row: &str| {
        architecture.lines().any(|line| line.starts_with(&format!("| {row} | `{name}` |")))
    };
    let mut findings = Vec::new();
    for name in names {
        let row = row(ROWS, name).map_or_else(|| "–".to_owned(), |row| row.to_string());
        if !stated(name, &row) {
            let what = format!("the table has no line that begins with \"| {row} | `{name}` |\"");
            findings.push(Finding::new(
                "ARCHITECTURE.md",
                0,
                what,
                "keep the table equal to xtask/src/tidy/layers.rs",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_row_may_be_used_and_the_same_row_may_not() {
        assert!(upward("triune-worker", &["triune-ipc", "triune-scope", "serde"]).is_empty());
        assert_eq!(upward("triune-process", &["triune-ipc"]).len(), 1);
        assert_eq!(upward("triune-scope", &["triune-wire"]).len(), 1);
        assert_eq!(upward("triune-scope", &["triune"]).len(), 1);
    }

    #[test]
    fn support_crates_are_for_tests_only() {
        assert_eq!(upward("triune", &["triune-testing"]).len(), 1);
        assert!(upward("triune-testing", &["triune-scope", "rustix"]).is_empty());
        assert_eq!(upward("triune-testing", &["triune"]).len(), 1);
    }

    #[test]
    fn the_protocol_does_no_input_or_output() {
        assert_eq!(upward("triune-wire", &["bytes", "tokio"]).len(), 1);
    }

    #[test]
    fn a_new_crate_must_take_its_row() {
        assert_eq!(upward("triune-new", &[]).len(), 1);
    }

    #[test]
    fn the_document_states_the_same_row() {
        let table = "| 0 | `triune-scope` | tasks |\n| – | `xtask` | checks |\n| 3 | `triune-ipc` | wrong |";
        assert_eq!(undocumented(&["triune-scope", "xtask", "triune-ipc"], table).len(), 1);
    }
}
