//! The decoders of the protocol's own messages.

use bytes::{Bytes, BytesMut};
use triune_wire::{
    BuildId, CancelMessage, Credit, FRAME_MAX, FrameDecoder, Hello, Interface, MsgPack, Pieces, Report,
    RequestHead,
};

/// Which decoder the rest of an input is for.
pub mod choice {
    /// A stream of frames; the next byte is the length in which it comes.
    pub const FRAMES: u8 = 0;
    /// The body of an ERROR.
    pub const REPORT: u8 = 1;
    /// The body of a CANCEL.
    pub const CANCEL: u8 = 2;
    /// The body of a CREDIT.
    pub const CREDIT: u8 = 3;
    /// The body of a CALL or OPEN.
    pub const REQUEST: u8 = 4;
    /// The bodies of the frames of a long message.
    pub const PIECES: u8 = 5;
    /// How many there are.
    pub const COUNT: u8 = 6;
}

/// The HELLO of the side that judges.
pub fn this_side() -> Hello {
    let mut hello = Hello::new(BuildId::new([7; 16]), "test", "judge");
    hello.interfaces.push(Interface::new::<MsgPack>("Jobs").with("submit", "(u32) -> u64"));
    hello
}

/// The body of a HELLO.
pub fn hello(data: &[u8]) {
    let this = this_side();
    match this.accept(data) {
        Ok(hello) => {
            // What was accepted is within bounds, so it can be said again, unless it was padded.
            if let Ok(again) = hello.to_bytes() {
                assert_eq!(this.accept(&again).as_ref(), Ok(&hello));
            }
        }
        Err(error) => {
            assert!(error.to_string().len() < 16 * 1024, "an error of {} bytes", error.to_string().len())
        }
    }
}

/// The decoder that the first byte chooses.
pub fn any(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    match choice % choice::COUNT {
        choice::FRAMES => frames(data),
        choice::REPORT => {
            if let Ok(report) = Report::from_bytes(data) {
                let again =
                    Report::from_bytes(&report.to_bytes(FRAME_MAX)).expect("what is sent can be read");
                assert_eq!(again.kind, report.kind);
            }
        }
        choice::CANCEL => {
            if let Ok(cancel) = CancelMessage::from_bytes(data) {
                let again = CancelMessage::from_bytes(&cancel.to_bytes()).expect("what is sent can be read");
                assert_eq!(again.cause, cancel.cause);
            }
        }
        choice::CREDIT => assert_eq!(
            Credit::from_bytes(data).map(Credit::to_bytes).as_ref().map(|c| &c[..]),
            (data.len() == 12).then_some(data)
        ),
        choice::REQUEST => {
            if let Some((head, args)) = RequestHead::split(Bytes::copy_from_slice(data)) {
                let (bytes, len) = head.to_bytes();
                assert_eq!([&bytes[..len], &args].concat(), data);
            }
        }
        _ => pieces(data),
    }
}

/// Frames that come in parts of some length.
fn frames(data: &[u8]) {
    let Some((cut, data)) = data.split_first() else { return };
    let mut decoder = FrameDecoder::new();
    let mut buffer = BytesMut::new();
    let mut taken = 0;
    for part in data.chunks(usize::from(*cut).max(1)) {
        buffer.extend_from_slice(part);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(frame)) => {
                    taken += triune_wire::HEADER_LEN + frame.body.len();
                    assert!(frame.body.len() <= FRAME_MAX as usize && taken <= data.len());
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    let whole = decoder.finish(&buffer).is_ok();
    assert_eq!(whole, taken == data.len());
}

/// A long message: its first frame, then pieces, each of a length that its first byte gives.
fn pieces(data: &[u8]) {
    let Some((len, rest)) = data.split_first() else { return };
    let (first, mut rest) = rest.split_at(rest.len().min(usize::from(*len)));
    let Some((total, piece)) = Pieces::split_first(Bytes::copy_from_slice(first)) else { return };
    // The link accepts or refuses the total before it begins.
    if total > 4 * FRAME_MAX {
        return;
    }
    let mut sum = piece.len();
    let mut message = Pieces::begin(total, &piece, len % 2 == 0);
    while let Some((len, more)) = rest.split_first() {
        // Long enough for a message that needs pieces at all.
        let piece = vec![*len; usize::from(*len) * 512];
        rest = more;
        match message.add(&piece) {
            Ok(complete) => {
                sum += piece.len();
                assert_eq!(complete, sum == total as usize);
                if complete {
                    let body = message.into_body();
                    assert!(body.is_none_or(|body| body.len() == sum));
                    return;
                }
            }
            Err(_) => {
                assert!(sum + piece.len() > total as usize);
                return;
            }
        }
    }
}

/// Seeds: what is really sent.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut report = Report::new(triune_wire::ReportKind::Panic, "index out of bounds");
    report.chain = vec!["first".into(), "second".into()];
    report.backtrace = Some("0: main".into());
    report.relays = vec!["root".into()];
    report.typed = Some(Bytes::from_static(b"typed"));
    let cancel = CancelMessage::new(triune_wire::CancelCause::Signal(2), "ctrl-c").with_by("root");
    let mut head = RequestHead::new(7);
    head.deadline = Some(std::time::Duration::from_millis(5));
    let (head, len) = head.to_bytes();
    let total = triune_wire::total_head(FRAME_MAX + 512);
    let tagged = |tag: u8, body: &[u8]| [&[tag], body].concat();
    let plain = Hello::new(BuildId::new([7; 16]), "test", "peer").to_bytes().expect("it is short");
    let mut other = this_side();
    other.build = BuildId::new([8; 16]);
    let mut frames = vec![5];
    triune_wire::Header::new(triune_wire::Kind::Call, 1).frame(b"arguments", &mut frames);
    triune_wire::Header::new(triune_wire::Kind::Reply, 1).to_caller().frame(b"answer", &mut frames);
    vec![
        ("hello", plain.to_vec()),
        ("hello", other.to_bytes().expect("it is short").to_vec()),
        ("decoders", tagged(choice::FRAMES, &frames)),
        ("decoders", tagged(choice::REPORT, &report.to_bytes(FRAME_MAX))),
        ("decoders", tagged(choice::CANCEL, &cancel.to_bytes())),
        ("decoders", tagged(choice::CREDIT, &Credit { items: 3, bytes: 300 }.to_bytes())),
        ("decoders", tagged(choice::REQUEST, &[&head[..len], b"arguments"].concat())),
        ("decoders", tagged(choice::PIECES, &[&[20], &total[..], &[7; 16], &[64, 65]].concat())),
        ("codec", crate::codec::seed(0)),
        ("codec", crate::codec::seed(1)),
    ]
}
