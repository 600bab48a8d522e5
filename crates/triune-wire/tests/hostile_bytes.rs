//! Whatever a peer sends: decoders refuse it or give a value, and never panic.

use bytes::{Bytes, BytesMut};
use triune_wire::{
    BuildId, CancelCause, CancelMessage, Credit, FrameDecoder, FrameError, HANDSHAKE_MAX_FRAME, HEADER_LEN,
    Header, Hello, Kind, Limits, Report, ReportKind, flag, split_request,
};

/// xorshift64*: enough for bytes, and the same ones in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, max: usize) -> Vec<u8> {
        (0..self.below(max + 1)).map(|_| self.next() as u8).collect()
    }
}

fn hello() -> Hello {
    let mut hello = Hello::new(BuildId::new([9; 16]), "actor", "root/ticker");
    hello.config = Bytes::from_static(b"settings");
    hello
}

fn report() -> Report {
    let mut report = Report::new(ReportKind::Panic, "index out of bounds");
    report.type_name = "app::Error".into();
    report.chain = vec!["first".into(), "second".into()];
    report.location = Some("src/main.rs:1:2".into());
    report.backtrace = Some("0: main".into());
    report.path = Some("root/ticker".into());
    report.pid = Some(17);
    report.task = Some("ledger".into());
    report.relays = vec!["root".into()];
    report.typed = Some(Bytes::from_static(b"typed"));
    report
}

/// Whatever a decoder lets pass can be sent on, and is within bounds then.
fn check_all(this: &Hello, bytes: &[u8]) {
    if let Ok(hello) = this.accept(bytes) {
        let again = hello.to_bytes().and_then(|bytes| this.accept(&bytes));
        assert_eq!(again, Ok(hello));
    }
    if let Ok(report) = Report::from_bytes(bytes) {
        assert!(Report::from_bytes(&report.to_bytes(HANDSHAKE_MAX_FRAME)).is_ok());
    }
    if let Ok(cancel) = CancelMessage::from_bytes(bytes) {
        assert!(CancelMessage::from_bytes(&cancel.to_bytes()).is_ok());
    }
    assert_eq!(Credit::from_bytes(bytes).is_some(), bytes.len() == 12);
    assert_eq!(split_request(Bytes::copy_from_slice(bytes)).is_some(), bytes.len() >= 4);
}

#[test]
fn random_bytes_never_panic_a_decoder() {
    let mut random = Random(0x5eed);
    let this = hello();
    for _ in 0..20_000 {
        let bytes = random.bytes(96);
        let mut stream = BytesMut::from(&bytes[..]);
        let mut decoder = FrameDecoder::handshake();
        while let Ok(Some(_)) = decoder.decode(&mut stream) {}
        check_all(&this, &bytes);
    }
}

#[test]
fn changed_and_truncated_messages_never_panic_a_decoder() {
    let mut random = Random(0xfeed);
    let this = hello();
    let cancel = CancelMessage::new(CancelCause::Signal(2), "ctrl-c").with_by("root");
    let messages = [this.to_bytes().unwrap(), report().to_bytes(1 << 20), cancel.to_bytes()];
    for message in messages {
        for _ in 0..5_000 {
            let mut bytes = message.to_vec();
            bytes.truncate(random.below(bytes.len() + 1));
            for _ in 0..random.below(4) {
                if !bytes.is_empty() {
                    let at = random.below(bytes.len());
                    bytes[at] = random.next() as u8;
                }
            }
            check_all(&this, &bytes);
        }
    }
}

#[test]
fn truncated_messages_are_refused() {
    let this = hello();
    let whole = this.to_bytes().unwrap();
    for len in 0..whole.len() {
        assert!(this.accept(&whole[..len]).is_err(), "a HELLO of {len} bytes");
    }
    let whole = report().to_bytes(1 << 20);
    for len in 0..whole.len() {
        assert!(Report::from_bytes(&whole[..len]).is_err(), "a report of {len} bytes");
    }
}

#[test]
fn frames_survive_any_cutting_of_the_stream() {
    let mut random = Random(0xcafe);
    for _ in 0..500 {
        let mut stream = BytesMut::new();
        let mut sent = Vec::new();
        for id in 1..=random.below(8) as u64 {
            let body = random.bytes(300);
            Header::new(Kind::Call, id).frame(&body, &mut stream);
            sent.push((id, body));
        }
        let mut decoder = FrameDecoder::new(&Limits::default());
        let (mut buffer, mut got) = (BytesMut::new(), Vec::new());
        while !stream.is_empty() {
            let cut = 1 + random.below(40).min(stream.len() - 1);
            buffer.extend_from_slice(&stream.split_to(cut));
            while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
                got.push((frame.id, frame.body.to_vec()));
            }
        }
        assert_eq!(got, sent);
        decoder.finish(&buffer).unwrap();
    }
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_any_allocation() {
    let mut header = Header::new(Kind::Call, 1);
    header.len = u32::MAX;
    let mut buffer = BytesMut::from(&header.to_bytes()[..]);
    let before = buffer.capacity();
    let error = FrameDecoder::new(&Limits::default()).decode(&mut buffer).unwrap_err();
    assert!(matches!(error, FrameError::TooLarge { len: u32::MAX, max: 67_108_864, .. }), "{error}");
    assert_eq!(buffer.capacity(), before);
}

#[test]
fn a_stream_that_ends_inside_a_frame_is_truncated() {
    let mut whole = BytesMut::new();
    Header::new(Kind::Call, 1).frame(b"body", &mut whole);
    for len in 1..whole.len() {
        let mut decoder = FrameDecoder::new(&Limits::default());
        let mut buffer = BytesMut::from(&whole[..len]);
        assert_eq!(decoder.decode(&mut buffer), Ok(None));
        let missing = if len < HEADER_LEN { HEADER_LEN - len } else { whole.len() - len };
        assert!(
            matches!(decoder.finish(&buffer), Err(FrameError::Truncated { missing: m, .. }) if m == missing),
            "after {len} bytes"
        );
    }
}

#[test]
fn headers_with_what_this_version_does_not_have_are_refused() {
    let good = Header::new(Kind::Reply, 1).to_caller().to_bytes();
    assert!(Header::parse(&good, 0).is_ok());
    let with = |at: usize, value: u8| {
        let mut bytes = good;
        bytes[at] = value;
        Header::parse(&bytes, 0).unwrap_err()
    };
    assert!(matches!(with(4, 0), FrameError::UnknownKind { .. }));
    assert!(matches!(with(4, 14), FrameError::UnknownKind { .. }));
    assert!(matches!(with(5, 0), FrameError::Flags { .. }), "only a callee sends REPLY");
    assert!(matches!(with(5, flag::TO_CALLER | 0x80), FrameError::Flags { .. }));
    assert!(matches!(with(4, Kind::Call as u8), FrameError::Flags { .. }), "only a caller sends CALL");
    assert!(matches!(with(6, 1), FrameError::Reserved { .. }));
}

#[test]
fn a_list_of_many_empty_texts_is_refused_while_it_is_read() {
    // Kind, empty type name, empty message, then a chain that claims a million texts of one byte each.
    let mut bytes = vec![0, 0, 0];
    bytes.extend([0xc0, 0x84, 0x3d]);
    bytes.extend(vec![0; 1_000_000]);
    assert!(Report::from_bytes(&bytes).is_err());
}
