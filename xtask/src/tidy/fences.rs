//! Examples in the docs compile: no code fence is marked `ignore`, in Rust docs or in Markdown.

use super::{Finding, tree::Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_rust() || file.path.ends_with(".md")) {
        findings.extend(ignored(&file.path, &file.text));
    }
    findings
}

fn ignored(path: &str, text: &str) -> Vec<Finding> {
    let remedy = "make it run, hide its set-up with `# `, or mark it `no_run`, `compile_fail` or `text`";
    let numbered = text.lines().enumerate();
    let bad = numbered.filter(|(_, line)| info_string(path, line).is_some_and(is_ignored));
    bad.map(|(index, _)| Finding::new(path, index + 1, "a code fence is marked `ignore`", remedy)).collect()
}

/// What follows the backticks of a fence.
fn info_string<'a>(path: &str, line: &'a str) -> Option<&'a str> {
    let line = line.trim_start();
    let line = if path.ends_with(".md") {
        line
    } else {
        line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?.trim_start()
    };
    line.strip_prefix("```")
}

fn is_ignored(info: &str) -> bool {
    info.split([',', ' ', '{', '}']).any(|word| word == "ignore" || word.starts_with("ignore-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignore_is_found_among_other_words() {
        for line in ["/// ```ignore", "    //! ```rust,ignore", "/// ```rust ignore", "/// ```ignore-windows"]
        {
            assert_eq!(ignored("a.rs", line).len(), 1, "{line}");
        }
        assert_eq!(
            ignored("README.md", "text\n```rust,ignore\n").first().map(|finding| finding.line),
            Some(2)
        );
    }

    #[test]
    fn honest_fences_pass() {
        for line in [
            "/// ```",
            "/// ```no_run",
            "/// ```compile_fail,E0373",
            "/// They ignore it.",
            "let s = \"```ignore\";",
        ] {
            assert!(ignored("a.rs", line).is_empty(), "{line}");
        }
    }
}
