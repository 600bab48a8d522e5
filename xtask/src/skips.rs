//! What tests could not do on this machine. A test that passes shows nothing of its output, so it leaves a line in a file
//! (`triune_testing::skip`), and the summary repeats it.

use std::path::{Path, PathBuf};

/// The variable that says where the lines go.
pub(crate) const VARIABLE: &str = "TRIUNE_TEST_SKIPS";

pub(crate) fn file(root: &Path) -> PathBuf {
    root.join("target").join("test-skips.txt")
}

/// Begins a new list.
pub(crate) fn forget(root: &Path) {
    // Without the folder there is no list either.
    let _none_yet = std::fs::remove_file(file(root));
}

/// The lines of the list, each once.
pub(crate) fn told(root: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file(root)).unwrap_or_default();
    let lines: std::collections::BTreeSet<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    lines.into_iter().map(|line| format!("skipped in tests: {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_told_once_and_a_new_list_is_empty() {
        let folder = std::env::temp_dir().join(format!("triune-xtask-skips-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("target")).expect("there is room");
        std::fs::write(file(&folder), "b: no strace\na: no cgroup\nb: no strace\n").expect("there is room");
        assert_eq!(told(&folder), ["skipped in tests: a: no cgroup", "skipped in tests: b: no strace"]);
        forget(&folder);
        assert!(told(&folder).is_empty());
        std::fs::remove_dir_all(&folder).expect("it is ours");
    }
}
