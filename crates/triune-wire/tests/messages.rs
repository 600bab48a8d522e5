//! Messages survive the wire, are bounded, and their errors name what differs.

use std::fmt;

use bytes::{Bytes, BytesMut};
use triune_wire::{
    BuildId, CancelCause, CancelMessage, Credit, FRAME_MAX, Hello, HelloError, Report, ReportKind, decode,
    encode, to_bytes,
};

fn hello(name: &str) -> Hello {
    Hello::new(BuildId::new([1; 16]), "worker", name)
}

#[test]
fn a_hello_survives_the_wire() {
    let mut sent = hello("w1");
    sent.config = Bytes::from_static(b"opaque");
    sent.limits.window_items = 7;
    assert_eq!(hello("root").accept(&sent.to_bytes().unwrap()), Ok(sent));
}

#[test]
fn the_head_of_a_hello_is_fixed() {
    let body = hello("w1").to_bytes().unwrap();
    assert_eq!(&body[..8], b"TRIU\x01\x00\x01\x00");
    assert_eq!(body[8..24], [1; 16]);
}

#[test]
fn a_foreign_protocol_is_named() {
    let error = hello("root").accept(b"HTTP/1.1 400 Bad Request\r\n").unwrap_err();
    assert!(matches!(error, HelloError::Magic { .. }));
    assert!(error.to_string().contains("this side: \"TRIU\", other side: \"HTTP\""), "{error}");
}

#[test]
fn another_version_is_named_though_the_rest_cannot_be_read() {
    let mut body = hello("w1").to_bytes().unwrap().to_vec();
    (body[4], body[6]) = (9, 7);
    body.truncate(24);
    let error = hello("root").accept(&body).unwrap_err();
    assert!(matches!(error, HelloError::Version { this: [1, 1], other: [7, 9], .. }));
    assert!(error.to_string().contains("this side: 1, other side: 7 to 9"), "{error}");
}

#[test]
fn the_newest_version_that_both_speak_is_spoken() {
    let speaks = |oldest, newest| {
        let mut side = hello("side");
        (side.oldest_protocol, side.protocol) = (oldest, newest);
        side
    };
    let agree = |one: &Hello, other: &Hello| {
        let here = one.accept(&other.to_bytes().unwrap()).map(|peer| peer.protocol);
        let there = other.accept(&one.to_bytes().unwrap()).map(|peer| peer.protocol);
        assert_eq!(here.is_ok(), there.is_ok(), "both come to the same judgement");
        assert!(here.is_err() || here == there);
        here.ok()
    };
    assert_eq!(agree(&speaks(1, 3), &speaks(2, 9)), Some(3));
    assert_eq!(agree(&speaks(1, 9), &speaks(2, 3)), Some(3));
    assert_eq!(agree(&speaks(1, 1), &speaks(2, 3)), None);
    assert_eq!(agree(&speaks(3, 2), &speaks(2, 3)), None, "its range is empty");
}

#[test]
fn another_build_is_named_on_both_sides() {
    let mut other = hello("w1");
    other.build = BuildId::new([0xab; 16]);
    let error = hello("root").accept(&other.to_bytes().unwrap()).unwrap_err().to_string();
    assert!(error.contains("this side: 01010101"), "{error}");
    assert!(error.contains("other side: abababab"), "{error}");
    assert!(error.contains("worker \"w1\""), "{error}");
}

#[test]
fn limits_under_which_no_link_can_work_are_refused_by_both_sides() {
    let mut bad = hello("w1");
    bad.limits.window_items = 0;
    let error = bad.to_bytes().unwrap_err().to_string();
    assert!(error.contains("limit window_items is 0, must be at least 1"), "{error}");
}

#[test]
fn a_hello_that_is_too_long_is_not_sent() {
    let mut long = hello("w1");
    long.config = Bytes::from(vec![0; FRAME_MAX as usize]);
    let error = long.to_bytes().unwrap_err().to_string();
    assert!(error.contains("shorten its name or settings"), "{error}");
}

#[test]
fn a_report_survives_the_wire() {
    let mut sent = Report::new(ReportKind::Error, "no such file");
    sent.chain = vec!["cause".into()];
    sent.pid = Some(4);
    sent.typed = Some(Bytes::from_static(b"E"));
    assert_eq!(Report::from_bytes(&sent.to_bytes(1 << 20)), Ok(sent));
}

#[test]
fn a_huge_report_is_shortened_and_says_so() {
    let huge = "é".repeat(1 << 20);
    let mut report = Report::new(ReportKind::Panic, huge.clone());
    report.type_name = huge.clone();
    report.chain = vec![huge.clone(); 100];
    report.relays = vec![huge.clone(); 100];
    report.backtrace = Some(huge.clone());
    report.location = Some(huge.clone());
    report.path = Some(huge.clone());
    report.task = Some(huge.clone());
    report.typed = Some(Bytes::from(huge));
    let body = report.to_bytes(FRAME_MAX);
    assert!(body.len() <= FRAME_MAX as usize, "{} bytes", body.len());
    let got = Report::from_bytes(&body).unwrap();
    assert!(got.message.ends_with("… (2097152 bytes in all, shortened)"));
    assert_eq!(got.chain.last().unwrap(), "… (85 more, shortened)");
    assert_eq!(got.typed, None);
}

#[test]
fn a_typed_error_that_fits_is_kept() {
    let mut report = Report::new(ReportKind::Error, "typed");
    report.typed = Some(Bytes::from(vec![7; 1 << 20]));
    assert_eq!(Report::from_bytes(&report.to_bytes(2 << 20)), Ok(report));
}

#[test]
fn a_report_of_an_error_has_its_chain() {
    #[derive(Debug)]
    struct Outer(std::io::Error);
    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot load")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let mut report = Report::from_error(&Outer(std::io::Error::other("disk on fire")));
    assert!(report.type_name.ends_with("Outer"));
    report.path = Some("root/loader".into());
    report.pid = Some(12);
    assert_eq!(report.to_string(), "cannot load");
    assert_eq!(format!("{report:#}"), "cannot load: disk on fire (in root/loader, pid 12)");
}

#[test]
fn a_cancel_message_survives_the_wire_and_is_bounded() {
    let sent = CancelMessage::new(CancelCause::Signal(15), "terminated").with_by("root");
    assert_eq!(CancelMessage::from_bytes(&sent.to_bytes()).unwrap(), sent);
    assert_eq!(sent.to_string(), "terminated (by root)");
    let huge = CancelMessage::new(CancelCause::Explicit, "x".repeat(1 << 20)).with_by("y".repeat(1 << 20));
    assert!(huge.to_bytes().len() < 6 * 1024);
    assert!(CancelMessage::from_bytes(&huge.to_bytes()).is_ok());
}

#[test]
fn fixed_bodies_survive_the_wire() {
    let credit = Credit { items: 32, bytes: 1 << 40 };
    assert_eq!(Credit::from_bytes(&credit.to_bytes()), Some(credit));
}

#[test]
fn codec_errors_name_the_type() {
    let error = decode::<Vec<String>>(&[3, 1]).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot decode a value of type alloc::vec::Vec<alloc::string::String>")
    );
    let error = decode::<u8>(&[1, 2, 3]).unwrap_err();
    assert_eq!(error.to_string(), "cannot decode a value of type u8 from 3 bytes: 2 bytes are left over");
    let mut full = &mut [0; 2][..];
    let error = encode("too long", &mut full).unwrap_err();
    assert_eq!(error.to_string(), "cannot encode a value of type str");
}

#[test]
fn values_can_be_appended_to_any_buffer() {
    let (mut vec, mut bytes) = (Vec::new(), BytesMut::new());
    encode(&("a", 300_u32), &mut vec).unwrap();
    encode(&("a", 300_u32), &mut bytes).unwrap();
    assert_eq!(vec, bytes);
    assert_eq!(to_bytes(&("a", 300_u32)).unwrap(), vec);
}
