//! Two sides that cannot talk find out at once, and say why on both.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[expect(dead_code, reason = "this file needs a part of it")]
mod common;

use std::os::unix::net::UnixStream;
use std::time::Duration;

use common::config;
use tokio::io::AsyncWriteExt;
use triune_ipc::{ConnectError, connect};
use triune_wire::{BuildId, Header, HelloError, Kind, Report, ReportKind};

/// What a side says about a peer that sends these bytes and then closes its writing half.
async fn refusal(bytes: &[u8]) -> ConnectError {
    let (one, other) = UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    let mut raw = tokio::net::UnixStream::from_std(one).unwrap();
    raw.write_all(bytes).await.unwrap();
    raw.shutdown().await.unwrap();
    connect(other, config("this")).await.unwrap_err()
}

#[tokio::test]
async fn both_sides_learn_who_the_other_is() {
    let ((caller, ..), (callee, ..)) = common::pair().await;
    assert_eq!(caller.peer().name, "callee");
    assert_eq!(callee.peer().name, "caller");
    assert_eq!(callee.peer().pid, std::process::id());
}

#[tokio::test]
async fn another_version_is_refused_on_both_sides() {
    let (one, other) = UnixStream::pair().unwrap();
    let mut newer = config("newer");
    (newer.hello.oldest_protocol, newer.hello.protocol) = (2, 3);
    let (one, other) = tokio::join!(connect(one, config("older")), connect(other, newer));
    let (one, other) = (one.unwrap_err(), other.unwrap_err());
    assert!(one.to_string().contains("this side: 1, other side: 2 to 3"), "{one}");
    assert!(other.to_string().contains("this side: 2 to 3, other side: 1"), "{other}");
}

#[tokio::test]
async fn another_build_is_refused_on_both_sides() {
    let (one, other) = UnixStream::pair().unwrap();
    let mut rebuilt = config("rebuilt");
    rebuilt.hello.build = BuildId::new([8; 16]);
    let (one, other) = tokio::join!(connect(one, config("first")), connect(other, rebuilt));
    for (error, this) in [(one.unwrap_err(), "07070707"), (other.unwrap_err(), "08080808")] {
        assert!(matches!(error, ConnectError::Hello(HelloError::Build { .. })), "{error}");
        assert!(error.to_string().contains(&format!("this side: {this}")), "{error}");
    }
}

#[tokio::test]
async fn a_foreign_magic_is_refused() {
    // A HELLO frame, but of something else.
    let mut bytes = vec![22, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend(b"GIOPxxxxxxxxxxxxxxxxxx");
    let error = refusal(&bytes).await;
    assert!(error.to_string().contains("this side: \"TRIU\", other side: \"GIOP\""), "{error}");
}

#[tokio::test]
async fn garbage_before_the_handshake_is_shown() {
    let error = refusal(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(matches!(error, ConnectError::NotTriune { .. }));
    assert!(error.to_string().contains("GET / HTTP/1.1"), "{error}");
    let error = refusal(b"hi").await;
    assert!(error.to_string().contains("other side: \"hi\""), "{error}");
}

#[tokio::test]
async fn a_side_that_cannot_begin_may_say_why() {
    let mut bytes = Vec::new();
    let report = Report::new(ReportKind::Error, "no module named x").to_bytes(u32::MAX);
    Header::new(Kind::Goodbye, 0).frame(&report, &mut bytes);
    let error = refusal(&bytes).await;
    assert!(matches!(&error, ConnectError::Refused(report) if report.kind == ReportKind::Error), "{error:?}");
    assert_eq!(error.to_string(), "the other side cannot begin: no module named x");
    // Without a reason it is no answer to a HELLO.
    let mut bytes = Vec::new();
    Header::new(Kind::Goodbye, 0).frame(b"", &mut bytes);
    assert!(matches!(refusal(&bytes).await, ConnectError::NotTriune { .. }));
}

#[tokio::test]
async fn a_hello_beyond_the_limit_of_the_handshake_is_refused() {
    let mut header = vec![0, 0, 2, 0, 1, 0, 0, 0];
    header.extend([0; 8]);
    assert!(matches!(refusal(&header).await, ConnectError::NotTriune { .. }));
}

#[tokio::test]
async fn a_peer_that_goes_away_before_its_hello_is_closed() {
    assert!(matches!(refusal(b"").await, ConnectError::Closed));
    let (one, other) = UnixStream::pair().unwrap();
    drop(one);
    assert!(matches!(connect(other, config("this")).await.unwrap_err(), ConnectError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up() {
    let (_silent, other) = UnixStream::pair().unwrap();
    let error = connect(other, config("this")).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { after, .. } if after == Duration::from_secs(10)));
}
