//! Each kind of error type gives the richest report that it can.

use std::fmt;

use triune_wire::Report;

use super::prelude::*;

#[derive(Debug)]
struct Outer(Inner);

#[derive(Debug)]
struct Inner;

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer")
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("inner")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl std::error::Error for Inner {}

/// As the macros write it.
macro_rules! report {
    ($error:expr) => {
        (&&&&&Probe(&$error)).report()
    };
}

fn texts(report: &Report) -> (&str, Vec<&str>) {
    (&report.message, report.chain.iter().map(String::as_str).collect())
}

#[test]
fn a_std_error_keeps_its_causes_and_its_type() {
    let report = report!(Outer(Inner));
    assert_eq!(texts(&report), ("outer", vec!["inner"]));
    assert!(report.type_name.ends_with("::Outer"), "{}", report.type_name);
}

#[test]
fn boxed_errors_keep_their_causes() {
    let plain: Box<dyn std::error::Error> = Box::new(Outer(Inner));
    assert_eq!(texts(&report!(plain)), ("outer", vec!["inner"]));
    let sendable: Box<dyn std::error::Error + Send + Sync> = Box::new(Outer(Inner));
    assert_eq!(texts(&report!(sendable)), ("outer", vec!["inner"]));
}

#[test]
fn a_triune_error_keeps_its_context_and_its_causes() {
    let error = triune_scope::Error::new(Outer(Inner));
    assert_eq!(texts(&report!(error)), ("outer", vec!["inner"]));
    let error = error.context("reading");
    assert_eq!(texts(&report!(error)), ("reading", vec!["outer", "inner"]));
}

#[test]
fn a_text_is_the_message() {
    assert_eq!(texts(&report!("no".to_owned())), ("no", vec![]));
    assert_eq!(texts(&report!("no")), ("no", vec![]));
}

#[test]
fn what_has_only_debug_is_shown_by_it() {
    #[derive(Debug)]
    #[expect(dead_code, reason = "read by Debug")]
    struct Code(u8);
    assert_eq!(texts(&report!(Code(3))), ("Code(3)", vec![]));
    assert_eq!(texts(&report!(())), ("()", vec![]));
}
