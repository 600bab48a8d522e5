//! Frames: a header of 16 bytes and a body, and the decoder that cuts them out of a byte stream.
//!
//! Owns the header layout. Does not know what is in a
//! body and does no I/O: bytes are pushed in, frames come out. Messages that are longer than a frame go in
//! pieces; `pieces` puts them together again.
//!
//! Invariants:
//! 1. The length is checked against the limit before the buffer grows for it.
//! 2. Kind, flags and the reserved field are checked as soon as the header is complete.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::kind::{Kind, flag};

/// Length of a frame header, in bytes.
pub const HEADER_LEN: usize = 16;

/// Largest body of a frame, in bytes: 64 KiB of somebody's data, which is what large data is often cut into, and 1 KiB for
/// what a request and a codec put around them. A longer message goes in pieces, so that nothing ever waits for more than this.
pub const FRAME_MAX: u32 = 65 * 1024;

/// The header of a frame: `u32 len | u8 kind | u8 flags | u16 reserved | u64 id`, little endian.
///
/// ```
/// use triune_wire::{FrameError, HEADER_LEN, Header, Kind, flag};
///
/// let header = Header::new(Kind::Reply, 7).to_caller();
/// let bytes: [u8; HEADER_LEN] = header.to_bytes();
/// assert_eq!(Header::parse(&bytes)?, header);
/// assert_eq!(header.flags, flag::TO_CALLER);
///
/// // A reply that says that it goes to the callee, and a kind that nobody knows.
/// assert!(matches!(Header::parse(&Header::new(Kind::Reply, 7).to_bytes()), Err(FrameError::Flags { .. })));
/// assert!(matches!(Header::parse(&[99; HEADER_LEN]), Err(FrameError::UnknownKind { kind: 99, .. })));
/// # Ok::<(), FrameError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Length of the body, in bytes.
    pub len: u32,
    /// What the frame is.
    pub kind: Kind,
    /// See [`flag`].
    pub flags: u8,
    /// Number of the request that the frame belongs to; 0 for the link itself.
    pub id: u64,
}

impl Header {
    /// A header without flags and with an empty body.
    pub const fn new(kind: Kind, id: u64) -> Header {
        Header { len: 0, kind, flags: 0, id }
    }

    /// The same header, marked as going from the callee to the caller.
    #[must_use]
    pub const fn to_caller(mut self) -> Header {
        self.flags |= flag::TO_CALLER;
        self
    }

    /// The header as it goes over the wire.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0..4].copy_from_slice(&self.len.to_le_bytes());
        out[4] = self.kind as u8;
        out[5] = self.flags;
        out[8..16].copy_from_slice(&self.id.to_le_bytes());
        out
    }

    /// Appends the header and this body.
    ///
    /// # Panics
    /// If the body is longer than `u32::MAX` bytes; one longer than [`FRAME_MAX`] will be refused.
    pub fn frame(mut self, body: &[u8], out: &mut impl BufMut) {
        self.len = u32::try_from(body.len()).expect("a longer message goes in pieces");
        out.put_slice(&self.to_bytes());
        out.put_slice(body);
    }

    /// Reads and checks a header.
    ///
    /// # Errors
    /// The first field that this version does not allow.
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Header, FrameError> {
        let [l0, l1, l2, l3, kind, flags, r0, r1, id @ ..] = *bytes;
        let kind = Kind::from_wire(kind).ok_or(FrameError::UnknownKind { kind })?;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        if len > FRAME_MAX {
            return Err(FrameError::TooLarge { kind, len, max: FRAME_MAX });
        }
        if !kind.permits(flags) {
            return Err(FrameError::Flags { kind, flags });
        }
        let reserved = u16::from_le_bytes([r0, r1]);
        if reserved != 0 {
            return Err(FrameError::Reserved { kind, value: reserved });
        }
        Ok(Header { len, kind, flags, id: u64::from_le_bytes(id) })
    }
}

/// One frame, decoded. The body shares the buffer that it was read into: nothing was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the frame is.
    pub kind: Kind,
    /// See [`flag`].
    pub flags: u8,
    /// Number of the request that the frame belongs to; 0 for the link itself.
    pub id: u64,
    /// The body.
    pub body: Bytes,
}

impl Frame {
    /// Whether the frame answers a request of the side that received it.
    pub const fn is_to_caller(&self) -> bool {
        self.flags & flag::TO_CALLER != 0
    }

    /// Whether the message goes on in PIECEs.
    pub const fn has_pieces(&self) -> bool {
        self.flags & flag::PIECES != 0
    }
}

/// Cuts frames out of a stream of bytes.
///
/// Push what was read to the end of the buffer, then call [`decode`](FrameDecoder::decode) until it gives
/// `None`. The caller keeps the buffer; the decoder keeps only the header of a frame that is not complete.
///
/// ```
/// use bytes::BytesMut;
/// use triune_wire::{FrameDecoder, FrameError, HEADER_LEN, Header, Kind};
///
/// let mut wire = Vec::new();
/// Header::new(Kind::Call, 1).frame(b"hello", &mut wire);
/// let (mut decoder, mut buffer) = (FrameDecoder::new(), BytesMut::new());
/// assert_eq!(decoder.missing(&buffer), HEADER_LEN);
///
/// // All but the last two bytes have come.
/// buffer.extend_from_slice(&wire[..wire.len() - 2]);
/// assert_eq!(decoder.decode(&mut buffer)?, None);
/// assert!(decoder.is_in_body() && decoder.missing(&buffer) == 2);
/// assert!(decoder.finish(&buffer).is_err(), "the stream must not end here");
///
/// buffer.extend_from_slice(&wire[wire.len() - 2..]);
/// let frame = decoder.decode(&mut buffer)?.expect("it is complete");
/// assert_eq!(&frame.body[..], b"hello");
/// assert!(!frame.is_to_caller() && !frame.has_pieces());
/// decoder.finish(&buffer)?;
/// # Ok::<(), FrameError>(())
/// ```
#[derive(Debug, Default)]
pub struct FrameDecoder {
    header: Option<Header>,
}

impl FrameDecoder {
    /// A decoder at the beginning of a stream.
    pub const fn new() -> FrameDecoder {
        FrameDecoder { header: None }
    }

    /// Takes the next frame from the front of `buffer`, or gives `None` when more bytes are needed:
    /// [`missing`](FrameDecoder::missing) says how many.
    ///
    /// # Errors
    /// The stream is not (or no longer) a stream of frames that this side accepts. There is no way to find
    /// the next frame after that: end the link.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let header = match self.header {
            Some(header) => header,
            None => {
                let Some(bytes) = buffer.first_chunk::<HEADER_LEN>() else { return Ok(None) };
                let header = Header::parse(bytes)?;
                buffer.advance(HEADER_LEN);
                header
            }
        };
        let len = header.len as usize;
        if buffer.len() < len {
            // Kept so that the header is neither parsed nor checked again with each piece of a long body.
            self.header = Some(header);
            return Ok(None);
        }
        self.header = None;
        let body = buffer.split_to(len).freeze();
        Ok(Some(Frame { kind: header.kind, flags: header.flags, id: header.id, body }))
    }

    /// How many bytes are missing at least when [`decode`](FrameDecoder::decode) has given `None`: of a header, or, as soon as that is
    /// known, of the whole body.
    pub fn missing(&self, buffer: &BytesMut) -> usize {
        self.header.map_or(HEADER_LEN, |header| header.len as usize).saturating_sub(buffer.len())
    }

    /// Whether the header of the next frame has been taken from the buffer.
    pub const fn is_in_body(&self) -> bool {
        self.header.is_some()
    }

    /// What the frame is whose header has been taken from the buffer.
    pub fn kind(&self) -> Option<Kind> {
        self.header.map(|header| header.kind)
    }

    /// Tells whether the stream may end here.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] if it ends inside a frame.
    pub fn finish(&self, buffer: &BytesMut) -> Result<(), FrameError> {
        if self.header.is_none() && buffer.is_empty() {
            return Ok(());
        }
        Err(FrameError::truncated(self.missing(buffer)))
    }
}

/// The bytes of a peer are not frames that this side accepts.
///
/// ```
/// use triune_wire::{FRAME_MAX, FrameError, Header, Kind};
///
/// let mut header = Header::new(Kind::Item, 7);
/// header.len = FRAME_MAX + 1;
/// let error = Header::parse(&header.to_bytes()).unwrap_err();
/// assert_eq!(error.to_string(), "ITEM frame of 66561 bytes is larger than the limit of 66560 bytes");
/// assert_eq!(
///     FrameError::truncated(3).to_string(),
///     "the stream ended inside a frame, at least 3 bytes are missing"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// A body is longer than a frame can be.
    #[non_exhaustive]
    TooLarge {
        /// What the frame is.
        kind: Kind,
        /// The length that the peer claims, in bytes.
        len: u32,
        /// The largest length of a body, in bytes.
        max: u32,
    },
    /// A kind that this version of the protocol does not have.
    #[non_exhaustive]
    UnknownKind {
        /// The wire value.
        kind: u8,
    },
    /// Flags that the kind does not have.
    #[non_exhaustive]
    Flags {
        /// What the frame is.
        kind: Kind,
        /// The flags as found.
        flags: u8,
    },
    /// The reserved field is not zero.
    #[non_exhaustive]
    Reserved {
        /// What the frame is.
        kind: Kind,
        /// The field as found.
        value: u16,
    },
    /// The stream ended inside a frame.
    #[non_exhaustive]
    Truncated {
        /// How many bytes are missing at least.
        missing: usize,
    },
}

impl FrameError {
    /// The stream ended inside a frame; at least so many bytes are missing.
    pub const fn truncated(missing: usize) -> FrameError {
        FrameError::Truncated { missing }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TooLarge { kind, len, max } => {
                write!(f, "{kind} frame of {len} bytes is larger than the limit of {max} bytes")
            }
            FrameError::UnknownKind { kind } => write!(f, "unknown frame kind {kind}"),
            FrameError::Flags { kind, flags } => write!(f, "{kind} frame with invalid flags {flags:#04x}"),
            FrameError::Reserved { kind, value } => {
                write!(f, "{kind} frame with {value:#06x} in its reserved field")
            }
            FrameError::Truncated { missing } => {
                write!(f, "the stream ended inside a frame, at least {missing} bytes are missing")
            }
        }
    }
}

impl std::error::Error for FrameError {}
