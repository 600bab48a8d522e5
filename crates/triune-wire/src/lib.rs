//! The protocol of triune as data: frames, messages, codec, error reports.
//!
//! Owns every byte layout that two processes exchange; `docs/protocol.md` describes the same in prose, so
//! that another language can speak it. Does no I/O, has no async code, starts nothing: `triune-ipc` moves
//! the bytes.
//!
//! The whole vocabulary: [`Kind`] lists the frames, [`Hello`] opens a link, [`RequestHead`] begins a request,
//! [`Credit`] grants items, [`Pieces`] are long messages, [`CancelMessage`] and [`Report`] say why something
//! ended, [`Limits`] bounds it all. What users send is encoded by a [`Codec`].
//!
//! Invariants:
//! 1. A length that a peer claims is checked against [`Limits`] before anything is allocated for it.
//! 2. No decoder panics, whatever it is fed; each reports what it expected and what it found.
//! 3. Whatever is decoded on behalf of a peer ([`Hello`], [`Report`], [`CancelMessage`]) is bounded in size.
//! 4. The frame header and the first 24 bytes of a HELLO never change, so that every version can refuse
//!    every other version by name.
//!
//! ```
//! use bytes::BytesMut;
//! use triune_wire::{Frame, FrameDecoder, Header, Kind};
//!
//! let mut wire = BytesMut::new();
//! Header::new(Kind::Reply, 7).to_caller().frame(b"four", &mut wire);
//! let frame = FrameDecoder::new().decode(&mut wire)?.expect("a whole frame is there");
//! assert_eq!((frame.kind, frame.id, &frame.body[..]), (Kind::Reply, 7, &b"four"[..]));
//! # Ok::<(), triune_wire::FrameError>(())
//! ```

mod bounded;
mod cancel;
mod codec;
mod frame;
mod hello;
mod interface;
mod introduce;
mod kind;
mod limits;
mod message;
mod pieces;
mod report;

pub use cancel::{CancelCause, CancelMessage};
pub use codec::{
    Codec, DecodeError, EncodeError, Message, MsgPack, Output, Payload, Postcard, bytes_field, decode,
    encode, to_bytes,
};
pub use frame::{FRAME_MAX, Frame, FrameDecoder, FrameError, HEADER_LEN, Header};
pub use hello::{BuildId, Hello, HelloError, MAGIC, OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION};
pub use interface::{Difference, Fingerprint, Interface};
pub use introduce::{IntroduceMessage, target};
pub use kind::{Kind, flag};
pub use limits::{Limits, LimitsError};
pub use message::{Credit, REQUEST_HEAD_MAX, RequestHead, TraceContext};
pub use pieces::{Pieces, TOTAL_LEN, total_head};
pub use report::{Report, ReportKind};
