//! What the checks look at: the files that git knows or would add, and cargo's view of the packages.

use std::path::Path;

use cargo_metadata::{Metadata, MetadataCommand};

use super::Finding;
use crate::Result;
use crate::command::Command;

/// A snapshot of the repository.
pub(super) struct Tree {
    pub(super) files: Vec<File>,
    pub(super) metadata: Metadata,
}

/// A text file; `text` is empty for a binary one.
pub(super) struct File {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl Tree {
    pub(super) fn load(root: &Path) -> Result<Tree> {
        let known = Command::new("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .ask(root)?;
        let mut files = Vec::new();
        for path in known.split('\0').filter(|path| !path.is_empty()) {
            // A file that is deleted but not yet committed is still listed.
            if let Ok(bytes) = std::fs::read(root.join(path)) {
                files
                    .push(File { path: path.to_owned(), text: String::from_utf8(bytes).unwrap_or_default() });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        let host = host(root)?;
        let options = vec!["--locked".to_owned(), "--filter-platform".to_owned(), host];
        let metadata = MetadataCommand::new().current_dir(root).other_options(options).exec()?;
        Ok(Tree { files, metadata })
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether the source itself states why `check` does not hold at the place of `finding`.
    pub(super) fn waives(&self, finding: &Finding, check: &str) -> bool {
        self.file(&finding.path).is_some_and(|file| waived(&file.text, finding.line, check))
    }
}

impl File {
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Unit tests beside the code and integration tests.
    pub(super) fn is_test(&self) -> bool {
        self.is_rust()
            && (self.path.contains("/tests/")
                || self.path.ends_with("/tests.rs")
                || self.path.contains("/loom_"))
    }

    /// The crate whose library this file is part of, without tests and tools.
    pub(super) fn crate_of(&self) -> Option<&str> {
        let (krate, rest) = self.path.strip_prefix("crates/")?.split_once('/')?;
        (rest.starts_with("src/") && self.is_rust() && !self.is_test()).then_some(krate)
    }
}

fn waived(text: &str, line: usize, check: &str) -> bool {
    let waiver = format!("tidy: allow({check}) because ");
    let mut lines = text.lines().skip(line.saturating_sub(2)).take(2.min(line));
    lines.any(|line| line.split_once(&waiver).is_some_and(|(_, reason)| !reason.trim().is_empty()))
}

/// The platform of this machine: packages of others are not even downloaded.
fn host(root: &Path) -> Result<String> {
    let version = Command::new("rustc", &["-vV"]).ask(root)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "`rustc -vV` names no host".into())
}

#[cfg(test)]
pub(super) fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiver_needs_a_reason_and_reaches_one_line_down() {
        let text = "a\n// tidy: allow(sleep) because the kernel sends no event.\nb\nc\n";
        assert!(waived(text, 2, "sleep") && waived(text, 3, "sleep"));
        assert!(!waived(text, 4, "sleep") && !waived(text, 3, "length"));
        assert!(!waived("// tidy: allow(sleep) because \nb", 2, "sleep"));
    }

    #[test]
    fn libraries_and_tests_are_told_apart_by_their_place() {
        assert_eq!(file("crates/triune-ipc/src/mux/driver.rs", "").crate_of(), Some("triune-ipc"));
        assert_eq!(file("crates/triune-ipc/src/mux/tests.rs", "").crate_of(), None);
        assert_eq!(file("crates/triune-ipc/tests/death.rs", "").crate_of(), None);
        assert!(file("crates/triune-ipc/tests/death.rs", "").is_test());
        assert!(!file("crates/triune-testing/src/lib.rs", "").is_test());
    }
}
