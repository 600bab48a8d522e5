//! The rules of this repository that neither rustc nor clippy knows, one module each.
//!
//! Invariants:
//! 1. A check reads the [`Tree`] and nothing else; it writes nothing.
//! 2. Every finding says what is wrong, where, and what to do.
//! 3. A rule may be broken for a stated reason: a line `// tidy: allow(<check>) because <reason>` at the line or the one
//!    above it silences that check there.

mod cancel_safety;
mod fences;
mod header;
mod layers;
mod length;
mod manifests;
mod msrv;
mod packages;
mod rust;
mod sleep;
mod starters;
mod tickets;
mod top_level;
mod tree;

use std::fmt;
use std::path::Path;

use crate::Result;
use tree::Tree;

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// Counted from 1; 0 means the file as a whole.
    line: usize,
    what: String,
    remedy: &'static str,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>, remedy: &'static str) -> Finding {
        Finding { path: path.to_owned(), line, what: what.into(), remedy }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}\n    remedy: {}", self.what, self.remedy)
    }
}

/// A rule with its name, which is also the name in a waiver.
struct Check {
    name: &'static str,
    find: fn(&Tree) -> Vec<Finding>,
}

const CHECKS: &[Check] = &[
    Check { name: "root", find: top_level::check },
    Check { name: "header", find: header::check },
    Check { name: "length", find: length::check },
    Check { name: "cancel-safety", find: cancel_safety::check },
    Check { name: "layers", find: layers::check },
    Check { name: "manifests", find: manifests::check },
    Check { name: "packages", find: packages::check },
    Check { name: "msrv", find: msrv::check },
    Check { name: "fences", find: fences::check },
    Check { name: "tickets", find: tickets::check },
    Check { name: "sleep", find: sleep::check },
    Check { name: "starters", find: starters::check },
];

/// Runs every check on the repository at `root` and prints what it finds.
pub(crate) fn run(root: &Path) -> Result {
    let tree = Tree::load(root)?;
    let mut total = 0;
    for check in CHECKS {
        let mut findings = (check.find)(&tree);
        findings.retain(|finding| !tree.waives(finding, check.name));
        findings.sort();
        total += findings.len();
        for finding in findings {
            println!("tidy({}): {finding}", check.name);
        }
    }
    let long = length::long_files(&tree);
    if !long.is_empty() {
        println!(
            "tidy: {} files over {} lines, look whether one holds two concepts:",
            long.len(),
            length::BUDGET
        );
        long.iter().for_each(|(path, lines)| println!("    {lines:>4}  {path}"));
    }
    match total {
        0 => {
            println!("tidy: {} files, {} checks, nothing to say", tree.files.len(), CHECKS.len());
            Ok(())
        }
        n => Err(format!("tidy has {n} findings").into()),
    }
}
