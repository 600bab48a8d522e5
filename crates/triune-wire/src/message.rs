//! Bodies with a fixed layout: the head of a request, the grant of a CREDIT, the total of a message in pieces.
//!
//! Owns their bytes. They are written by hand so that the hot path encodes nothing twice.

use std::time::Duration;

use bytes::{Buf, Bytes};

/// What precedes the arguments in the body of a CALL or OPEN, in bytes, at most.
pub const REQUEST_HEAD_MAX: usize = 5 + 8 + TRACE_LEN;

const TRACE_LEN: usize = 25;

mod present {
    pub(super) const DEADLINE: u8 = 0x01;
    pub(super) const TRACE: u8 = 0x02;
}

/// What precedes the arguments of a request: `u32 target | u8 present | [u64 remaining microseconds] |
/// [trace context]`, little endian.
///
/// ```
/// use std::time::Duration;
/// use bytes::Bytes;
/// use triune_wire::{RequestHead, TraceContext};
///
/// let mut head = RequestHead::new(3);
/// head.deadline = Some(Duration::from_secs(5));
/// head.trace = Some(TraceContext { trace_id: [1; 16], span_id: [2; 8], flags: 1 });
/// let (bytes, len) = head.to_bytes();
/// let body = Bytes::from([&bytes[..len], b"arguments"].concat());
/// assert_eq!(RequestHead::split(body), Some((head, Bytes::from_static(b"arguments"))));
/// assert_eq!(RequestHead::split(Bytes::from_static(b"cut")), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RequestHead {
    /// The index of what is asked for, in the registry of the callee.
    pub target: u32,
    /// How much time is left for the answer. Remaining time and not a point in time, because two machines
    /// have two clocks.
    pub deadline: Option<Duration>,
    /// The place in a trace that the request belongs to.
    pub trace: Option<TraceContext>,
}

/// A place in a distributed trace, as in W3C Trace Context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// Identity of the whole trace.
    pub trace_id: [u8; 16],
    /// Identity of the caller's span.
    pub span_id: [u8; 8],
    /// The flags; bit 0 says that the trace is recorded.
    pub flags: u8,
}

impl RequestHead {
    /// A head without a deadline and without a trace.
    pub const fn new(target: u32) -> RequestHead {
        RequestHead { target, deadline: None, trace: None }
    }

    /// Its bytes, and how many of them count.
    pub fn to_bytes(self) -> ([u8; REQUEST_HEAD_MAX], usize) {
        let mut out = [0; REQUEST_HEAD_MAX];
        out[..4].copy_from_slice(&self.target.to_le_bytes());
        let mut len = 5;
        if let Some(deadline) = self.deadline {
            out[4] |= present::DEADLINE;
            let micros = u64::try_from(deadline.as_micros()).unwrap_or(u64::MAX);
            out[len..len + 8].copy_from_slice(&micros.to_le_bytes());
            len += 8;
        }
        if let Some(trace) = self.trace {
            out[4] |= present::TRACE;
            out[len..len + 16].copy_from_slice(&trace.trace_id);
            out[len + 16..len + 24].copy_from_slice(&trace.span_id);
            out[len + 24] = trace.flags;
            len += TRACE_LEN;
        }
        (out, len)
    }

    /// Splits the body of a CALL or OPEN into the head and the arguments, without a copy. `None` if the head
    /// is cut off, or has parts that this version does not know.
    pub fn split(mut body: Bytes) -> Option<(RequestHead, Bytes)> {
        let target = body.try_get_u32_le().ok()?;
        let bits = body.try_get_u8().ok()?;
        if bits & !(present::DEADLINE | present::TRACE) != 0 {
            return None;
        }
        let mut head = RequestHead::new(target);
        if bits & present::DEADLINE != 0 {
            head.deadline = Some(Duration::from_micros(body.try_get_u64_le().ok()?));
        }
        if bits & present::TRACE != 0 {
            let mut trace = TraceContext { trace_id: [0; 16], span_id: [0; 8], flags: 0 };
            body.try_copy_to_slice(&mut trace.trace_id).ok()?;
            body.try_copy_to_slice(&mut trace.span_id).ok()?;
            trace.flags = body.try_get_u8().ok()?;
            head.trace = Some(trace);
        }
        Some((head, body))
    }
}

/// The body of a CREDIT: `u32 items | u64 bytes`, little endian.
///
/// ```
/// use triune_wire::Credit;
///
/// let credit = Credit { items: 16, bytes: 1 << 20 };
/// assert_eq!(Credit::from_bytes(&credit.to_bytes()), Some(credit));
/// assert_eq!(Credit::from_bytes(b"too short"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// How many more items may be sent.
    pub items: u32,
    /// How many more bytes may be sent.
    pub bytes: u64,
}

impl Credit {
    const LEN: usize = 12;

    /// The body of the frame.
    pub fn to_bytes(self) -> [u8; 12] {
        let mut out = [0; Self::LEN];
        out[..4].copy_from_slice(&self.items.to_le_bytes());
        out[4..].copy_from_slice(&self.bytes.to_le_bytes());
        out
    }

    /// Reads the body of the frame. `None` if it does not have exactly the right length.
    pub fn from_bytes(body: &[u8]) -> Option<Credit> {
        let (items, bytes) = body.split_first_chunk::<4>()?;
        Some(Credit { items: u32::from_le_bytes(*items), bytes: u64::from_le_bytes(bytes.try_into().ok()?) })
    }
}
