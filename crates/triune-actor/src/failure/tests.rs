//! Error types of all kinds, as the expansion of `#[endpoint]` asks about them.

use std::fmt;

use super::*;

#[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
struct Typed(u8);

impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "typed {}", self.0)
    }
}

impl StdError for Typed {}

/// As the expansion does it.
macro_rules! via {
    ($error:ty) => {
        ErrorVia::<$error>::new((&Probe::<$error>::new()).codec(), (&&&&Probe::<$error>::new()).describe())
    };
}

#[test]
fn an_error_that_serde_knows_travels_as_itself() {
    let via = via!(Typed);
    let failure = via.failure(&Typed(3));
    assert_eq!(failure.report.message, "typed 3");
    assert!(failure.report.type_name.ends_with("::Typed"));
    assert_eq!(via.read(&failure.report), Some(Typed(3)));
}

#[test]
fn a_standard_error_is_told_with_its_causes() {
    let outer = std::io::Error::other(Typed(1));
    let failure = via!(std::io::Error).failure(&outer);
    assert_eq!((failure.report.message.as_str(), &failure.report.typed), ("typed 1", &None));
    let number = "x".parse::<u8>().unwrap_err();
    assert_eq!(
        via!(std::num::ParseIntError).failure(&number).report.message,
        "invalid digit found in string"
    );
}

#[test]
fn a_triune_error_is_told_with_its_contexts_in_order() {
    let via = via!(triune_scope::Error);
    let plain = triune_scope::Error::new(Typed(2));
    assert_eq!(via.failure(&plain).report.message, "typed 2");
    let failure = via.failure(&plain.context("inner").context("outer"));
    assert_eq!(failure.report.message, "outer");
    assert_eq!(failure.report.chain, ["inner", "typed 2"]);
    assert!(failure.cancelled.is_none());
}

#[test]
fn an_error_without_the_trait_is_told_by_its_text_or_its_type() {
    let text = Box::<dyn StdError + Send + Sync>::from("only a text");
    assert_eq!(via!(Box<dyn StdError + Send + Sync>).failure(&text).report.message, "only a text");
    struct Mute;
    assert!(via!(Mute).failure(&Mute).report.message.ends_with("::Mute"));
}

#[test]
fn an_error_that_was_passed_on_keeps_its_origin() {
    let mut report = Report::new(ReportKind::Error, "dry");
    report.path = Some("/a/b".to_owned());
    report.pid = Some(7);
    let passed_on = crate::CallError::<Typed>::Remote(RemoteError::new(report));
    let failure = via!(crate::CallError<Typed>).failure(&passed_on);
    assert_eq!((failure.report.path.as_deref(), failure.report.pid), (Some("/a/b"), Some(7)));
    assert_eq!(failure.report.relays, ["/"]);
}

#[tokio::test]
async fn a_cancel_is_recognized_under_an_error_of_the_endpoints_own() {
    let scope = triune_scope::CancelScope::new();
    scope.cancel("enough");
    let cancelled = scope.run(triune_scope::checkpoint()).await.done().unwrap().unwrap_err();
    let error = crate::DialogError::Cancelled(cancelled);
    let failure = via!(crate::DialogError).failure(&error);
    assert_eq!(failure.cancelled.unwrap().message(), "enough");
}

#[test]
fn bytes_that_are_no_arguments_are_a_protocol_failure() {
    let failure = decode_arguments::<(u8, String)>(&Bytes::from_static(&[1])).unwrap_err();
    assert_eq!(failure.report.kind, ReportKind::Protocol);
    assert!(failure.report.message.contains("(u8, alloc::string::String)"), "{}", failure.report.message);
}
