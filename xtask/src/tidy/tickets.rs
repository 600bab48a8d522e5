//! A note about unfinished work names its issue, `TODO(#n):`; other markers are not used.

use super::{Finding, tree::Tree};

const ENDINGS: &[&str] = &[".rs", ".toml", ".yml", ".yaml", ".sh", ".md", ".ci/run"];
const MARKERS: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| ENDINGS.iter().any(|ending| file.path.ends_with(ending))) {
        for (index, line) in file.text.lines().enumerate() {
            let comment =
                if file.is_rust() { line.split_once("//").map(|(_, comment)| comment) } else { Some(line) };
            if let Some(marker) = comment.and_then(bare_marker) {
                let remedy = "do it, or open an issue and write `TODO(#n): ..`";
                findings.push(Finding::new(
                    &file.path,
                    index + 1,
                    format!("`{marker}` without an issue"),
                    remedy,
                ));
            }
        }
    }
    findings
}

/// The first marker as a word of its own; in backticks it is a mention, not a note.
fn bare_marker(comment: &str) -> Option<&'static str> {
    MARKERS.iter().copied().find(|marker| {
        comment.match_indices(marker).any(|(at, _)| {
            let before = comment[..at].chars().next_back();
            let after = &comment[at + marker.len()..];
            let word = before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '`')
                && after.chars().next().is_none_or(|c| !c.is_alphanumeric() && c != '_');
            word && !(*marker == "TODO" && names_issue(after))
        })
    })
}

fn names_issue(after: &str) -> bool {
    let number = after.strip_prefix("(#").and_then(|rest| rest.split_once("):")).map(|(number, _)| number);
    number.is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_its_issue() {
        assert_eq!(bare_marker(" TODO: later"), Some("TODO"));
        assert_eq!(bare_marker(" TODO(#): later"), Some("TODO"));
        assert_eq!(bare_marker(" TODO(#12): once the link has credits."), None);
        assert_eq!(bare_marker(" FIXME(#12): once"), Some("FIXME"));
    }

    #[test]
    fn a_mention_or_a_part_of_a_word_is_no_note() {
        assert_eq!(bare_marker(" the form `TODO(#n):` and MUST_TODO_X"), None);
    }
}
