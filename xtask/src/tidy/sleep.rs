//! Tests wait for events, never for a while: no `thread::sleep`, and `tokio::time::sleep` only under a paused clock.
//!
//! Works on tokens, so that the inside of a macro call is seen as well. Code under a `start_paused` or `paused` test
//! attribute is exempt for tokio's sleep: there it is an event, and takes no time.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{ItemFn, spanned::Spanned};

use super::rust::line;
use super::{Finding, tree::Tree};

const REMEDY: &str = "wait for an event, a paused clock or a poll with a deadline of triune-testing";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    // What does not compile on purpose cannot sleep.
    let tests = tree.files.iter().filter(|file| file.is_test() && !file.path.contains("/tests/ui/"));
    tests.flat_map(|file| sleeps(&file.path, &file.text)).collect()
}

fn sleeps(path: &str, text: &str) -> Vec<Finding> {
    let Ok(file) = syn::parse_file(text) else { return Vec::new() };
    let Ok(stream) = text.parse::<TokenStream>() else { return Vec::new() };
    let mut paused = Paused::default();
    paused.visit_file(&file);

    let mut tokens = Vec::new();
    flatten(stream, &mut tokens);
    let mut findings = Vec::new();
    for (index, (word, at)) in tokens.iter().enumerate() {
        let clock = match word.as_str() {
            "thread" => "std::thread::sleep",
            "time" => "tokio::time::sleep",
            _ => continue,
        };
        let exempt = word == "time" && paused.lines.iter().any(|(first, last)| (*first..=*last).contains(at));
        if !exempt && names_sleep(&tokens[index + 1..]) {
            findings.push(Finding::new(path, *at, format!("a test uses `{clock}`"), REMEDY));
        }
    }
    findings
}

/// Whether `:: sleep..` or `:: { .. sleep .. }` follows.
fn names_sleep(after: &[(String, usize)]) -> bool {
    let word = |index: usize| after.get(index).map_or("", |(word, _)| word.as_str());
    if word(0) != ":" || word(1) != ":" {
        return false;
    }
    if word(2) != "{" {
        return word(2).starts_with("sleep");
    }
    let inside = after[3..].iter().map(|(word, _)| word.as_str()).take_while(|word| *word != "}");
    inside.into_iter().any(|word| word.starts_with("sleep"))
}

/// All tokens in order with their lines; groups are spelled with their delimiters.
fn flatten(stream: TokenStream, into: &mut Vec<(String, usize)>) {
    for tree in stream {
        let at = line(tree.span());
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    proc_macro2::Delimiter::Brace => ("{", "}"),
                    proc_macro2::Delimiter::Parenthesis => ("(", ")"),
                    proc_macro2::Delimiter::Bracket => ("[", "]"),
                    proc_macro2::Delimiter::None => ("", ""),
                };
                into.push((open.to_owned(), at));
                flatten(group.stream(), into);
                into.push((close.to_owned(), line(group.span_close())));
            }
            other => into.push((other.to_string(), at)),
        }
    }
}

/// First and last lines of the functions that run under a paused clock.
#[derive(Default)]
struct Paused {
    lines: Vec<(usize, usize)>,
}

impl<'ast> Visit<'ast> for Paused {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        let is_paused = item.attrs.iter().any(|attr| match &attr.meta {
            syn::Meta::List(list) => list.tokens.to_string().contains("paused"),
            _ => false,
        });
        if is_paused {
            let span = item.span();
            self.lines.push((span.start().line, span.end().line));
        }
        visit::visit_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_imports_of_a_sleep_are_found_also_in_macros() {
        for text in [
            "fn a() { std::thread::sleep(d); }",
            "use std::thread::{self, sleep};",
            "use tokio::time::{Duration, sleep_until};",
            "async fn a() { tokio::select! { () = tokio::time::sleep(d) => {} } }",
        ] {
            assert_eq!(sleeps("tests/a.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn a_paused_clock_may_be_slept_on() {
        assert!(
            sleeps("a", "#[tokio::test(start_paused = true)]\nasync fn a() { tokio::time::sleep(d).await; }")
                .is_empty()
        );
        let thread = "#[tokio::test(start_paused = true)]\nasync fn a() { std::thread::sleep(d); }";
        assert_eq!(sleeps("a", thread).len(), 1);
    }

    #[test]
    fn other_words_are_no_sleep() {
        assert!(
            sleeps("a", "fn a() { time::Instant::now(); thread::scope(|_| {}); triune::sleep(d); }")
                .is_empty()
        );
    }
}
