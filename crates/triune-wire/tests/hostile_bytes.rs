//! Whatever a peer sends: decoders refuse it or give a value, and never panic.

use bytes::{Bytes, BytesMut};
use triune_wire::{
    BuildId, CancelCause, CancelMessage, Codec, Credit, FRAME_MAX, FrameDecoder, FrameError, HEADER_LEN,
    Header, Hello, Interface, Kind, MsgPack, Payload, Pieces, Postcard, Report, ReportKind, RequestHead,
    TraceContext, flag,
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
    hello.interfaces = vec![Interface::new::<MsgPack>("jobs").with("add", "call add(u32, u32) -> u32")];
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
        assert!(Report::from_bytes(&report.to_bytes(FRAME_MAX)).is_ok());
    }
    if let Ok(cancel) = CancelMessage::from_bytes(bytes) {
        assert!(CancelMessage::from_bytes(&cancel.to_bytes()).is_ok());
    }
    assert_eq!(Credit::from_bytes(bytes).is_some(), bytes.len() == 12);
    if let Some((head, args)) = RequestHead::split(Bytes::copy_from_slice(bytes)) {
        let (head, len) = head.to_bytes();
        assert_eq!([&head[..len], &args].concat(), bytes);
    }
    if let Some((total, first)) = Pieces::split_first(Bytes::copy_from_slice(bytes)) {
        assert!(total > FRAME_MAX && first.len() < total as usize);
    }
    check_codec::<Postcard>(bytes);
    check_codec::<MsgPack>(bytes);
}

/// What a codec lets pass can be encoded again.
fn check_codec<C: Codec>(bytes: &[u8]) {
    type Value = (u8, String, Option<Vec<u16>>, Payload, std::collections::BTreeMap<String, i64>);
    if let Ok(value) = C::decode_shared::<Value>(&Bytes::copy_from_slice(bytes)) {
        let message = C::to_message(&value).expect("it was decoded, so it can be encoded");
        assert_eq!(C::decode::<Value>(&message.into_bytes()), Ok(value));
    }
}

#[test]
fn random_bytes_never_panic_a_decoder() {
    let mut random = Random(0x5eed);
    let this = hello();
    for _ in 0..20_000 {
        let bytes = random.bytes(96);
        let mut stream = BytesMut::from(&bytes[..]);
        let mut decoder = FrameDecoder::new();
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
        let mut decoder = FrameDecoder::new();
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
    let error = FrameDecoder::new().decode(&mut buffer).unwrap_err();
    assert!(matches!(error, FrameError::TooLarge { len: u32::MAX, max: FRAME_MAX, .. }), "{error}");
    assert_eq!(buffer.capacity(), before);
}

#[test]
fn a_stream_that_ends_inside_a_frame_is_truncated() {
    let mut whole = BytesMut::new();
    Header::new(Kind::Call, 1).frame(b"body", &mut whole);
    for len in 1..whole.len() {
        let mut decoder = FrameDecoder::new();
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
    assert!(Header::parse(&good).is_ok());
    let with = |at: usize, value: u8| {
        let mut bytes = good;
        bytes[at] = value;
        Header::parse(&bytes).unwrap_err()
    };
    assert!(matches!(with(4, 0), FrameError::UnknownKind { .. }));
    assert!(matches!(with(4, 18), FrameError::UnknownKind { .. }));
    assert!(matches!(with(5, 0), FrameError::Flags { .. }), "only a callee sends REPLY");
    assert!(matches!(with(5, flag::TO_CALLER | 0x80), FrameError::Flags { .. }));
    assert!(matches!(with(4, Kind::Call as u8), FrameError::Flags { .. }), "only a caller sends CALL");
    assert!(matches!(with(6, 1), FrameError::Reserved { .. }));
}

#[test]
fn a_list_of_many_empty_texts_is_refused_while_it_is_read() {
    // A report whose chain claims a million empty texts, of one byte each.
    let whole = Report::new(ReportKind::Error, "x").to_bytes(FRAME_MAX);
    let chain = whole.windows(6).position(|key| key == b"\xa5chain").unwrap() + 6;
    let mut bytes = whole[..chain].to_vec();
    bytes.extend([0xdd, 0x00, 0x0f, 0x42, 0x40]);
    bytes.extend(vec![0xa0; 1_000_000]);
    bytes.extend(&whole[chain + 1..]);
    let error = Report::from_bytes(&bytes).unwrap_err();
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert!(reason.contains("at most 16"), "{reason}");
}

#[test]
fn values_that_are_nested_too_deep_are_refused() {
    // As a list in a list in a list; a decoder that follows it exhausts the stack.
    let bytes = vec![0x91; 1_000_000];
    assert!(MsgPack::decode::<serde::de::IgnoredAny>(&bytes).is_err());
    // A HELLO skips what it does not know, but not to any depth.
    let whole = hello().to_bytes().unwrap();
    let mut body = whole[..24].to_vec();
    body.extend(b"\x81\xa1x");
    body.extend(&bytes);
    assert!(hello().accept(&body).is_err());
}

#[test]
fn pieces_must_add_up_to_their_total() {
    let total = FRAME_MAX + 10;
    let mut first = total.to_le_bytes().to_vec();
    first.extend([1; 5]);
    let (declared, piece) = Pieces::split_first(first.into()).unwrap();
    assert_eq!((declared, piece.len()), (total, 5));
    let mut pieces = Pieces::begin(declared, &piece, true);
    assert_eq!(pieces.add(&[2; FRAME_MAX as usize]), Ok(false));
    assert_eq!(pieces.add(&[3; 6]), Err("the pieces are longer than the message"));
    let mut pieces = Pieces::begin(declared, &piece, true);
    assert_eq!(pieces.add(&[2; FRAME_MAX as usize]), Ok(false));
    assert_eq!(pieces.add(&[3; 5]), Ok(true));
    assert_eq!(pieces.into_body().unwrap().len(), total as usize);
}

#[test]
fn a_total_that_needs_no_pieces_is_refused() {
    let body = |total: u32, len: usize| {
        let mut body = total.to_le_bytes().to_vec();
        body.extend(vec![0; len]);
        Pieces::split_first(body.into())
    };
    assert!(body(FRAME_MAX, 100).is_none(), "it fits into a frame");
    assert!(body(FRAME_MAX + 1, 0).is_none(), "nothing comes with it");
    assert!(body(FRAME_MAX + 1, FRAME_MAX as usize + 1).is_none(), "it is complete already");
    assert!(body(FRAME_MAX + 1, 1).is_some());
    assert!(Pieces::split_first(Bytes::from_static(&[1, 2, 3])).is_none());
}

#[test]
fn the_head_of_a_request_has_only_what_this_version_knows() {
    let mut head = RequestHead::new(7);
    head.deadline = Some(std::time::Duration::from_micros(1_500));
    head.trace = Some(TraceContext { trace_id: [1; 16], span_id: [2; 8], flags: 1 });
    let (bytes, len) = head.to_bytes();
    let whole = Bytes::copy_from_slice(&bytes[..len]);
    assert_eq!(RequestHead::split(whole.clone()), Some((head, Bytes::new())));
    for short in 0..len {
        assert_eq!(RequestHead::split(whole.slice(..short)), None, "{short} bytes");
    }
    let unknown = Bytes::from_static(&[0, 0, 0, 0, 0x80]);
    assert_eq!(RequestHead::split(unknown), None);
}
