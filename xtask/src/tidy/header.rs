//! Every Rust file begins with `//!`: what it is, what it owns, what it does not do.

use super::{Finding, tree::Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let bare = tree.files.iter().filter(|file| file.is_rust() && !begins_with_docs(&file.text));
    let remedy = "begin with `//!`: what the file is, what it owns, what it does not do";
    bare.map(|file| Finding::new(&file.path, 1, "the file does not begin with `//!`", remedy)).collect()
}

/// A shebang line and inner attributes may come before.
fn begins_with_docs(text: &str) -> bool {
    let mut in_attribute = false;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if in_attribute || line.starts_with("#!") {
            in_attribute = !line.ends_with(']') && !line.starts_with("#!/");
            continue;
        }
        return line.len() > 3 && line.starts_with("//!");
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_and_a_shebang_may_come_first() {
        assert!(begins_with_docs("//! Docs.\nfn main() {}"));
        assert!(begins_with_docs("#!/usr/bin/env run\n#![expect(\n    lint,\n)]\n\n//! Docs."));
    }

    #[test]
    fn code_or_an_empty_comment_is_no_header() {
        for text in ["", "use a::b;\n//! Late.", "// A note.", "//!\nfn main() {}"] {
            assert!(!begins_with_docs(text), "{text:?}");
        }
    }
}
