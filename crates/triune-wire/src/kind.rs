//! What a frame can be: the list of kinds, and which flags each may carry.

use std::fmt;

/// Bits of the flags field.
pub mod flag {
    /// The frame goes from the callee to the caller of its id. Both sides number their own requests, so
    /// the bit says whose number the id is.
    pub const TO_CALLER: u8 = 0x01;
    /// On a CREDIT: the receiving half is gone, send no more items.
    pub const CLOSED: u8 = 0x02;
    /// The message is longer than this frame: its body begins with the length of the whole message, `u32`
    /// little endian, and goes on in PIECEs.
    pub const PIECES: u8 = 0x04;
}

/// What a frame is. The numbers are the wire values and never change their meaning.
///
/// ```
/// use triune_wire::Kind;
///
/// assert_eq!(Kind::from_wire(5), Some(Kind::Cancel));
/// assert_eq!(Kind::from_wire(200), None);
/// assert_eq!(Kind::Cancel.to_string(), "CANCEL");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Kind {
    /// First frame in each direction: who is there, and what it accepts.
    Hello = 1,
    /// A request with one answer.
    Call = 2,
    /// Terminal frame of a request that succeeded.
    Reply = 3,
    /// Terminal frame of a request that failed: a [`Report`](crate::Report).
    Error = 4,
    /// The caller wants a request to end; id 0 means the whole peer.
    Cancel = 5,
    /// A request that opens a dialog: items both ways, then one terminal frame.
    Open = 6,
    /// The callee took a dialog up; carries its first value and opens both item windows.
    Started = 7,
    /// One item of a dialog.
    Item = 8,
    /// The sender sends no more items in this direction of a dialog.
    End = 9,
    /// The receiver has consumed items: the sender may send as many more.
    Credit = 10,
    /// Are you there? The id is a token that comes back in the PONG.
    Ping = 11,
    /// Answer to a PING.
    Pong = 12,
    /// Last frame of a side: the link ends in good order (empty body) or for a reason (a report).
    Goodbye = 13,
    /// The next piece of the message that the last frame of this id and direction with the flag
    /// [`PIECES`](flag::PIECES) began.
    Piece = 14,
    /// A socket comes with this frame: the other end of it is held by somebody whom the receiver can talk to
    /// from now on.
    Introduce = 15,
    /// A file comes with this frame, which the receiver knows by the id from now on.
    Lend = 16,
    /// The receiver is to forget the file that it knows by the id.
    Recall = 17,
}

impl Kind {
    /// The kind with this wire value.
    pub const fn from_wire(value: u8) -> Option<Kind> {
        Some(match value {
            1 => Kind::Hello,
            2 => Kind::Call,
            3 => Kind::Reply,
            4 => Kind::Error,
            5 => Kind::Cancel,
            6 => Kind::Open,
            7 => Kind::Started,
            8 => Kind::Item,
            9 => Kind::End,
            10 => Kind::Credit,
            11 => Kind::Ping,
            12 => Kind::Pong,
            13 => Kind::Goodbye,
            14 => Kind::Piece,
            15 => Kind::Introduce,
            16 => Kind::Lend,
            17 => Kind::Recall,
            _ => return None,
        })
    }

    /// Whether a header of this kind may carry these flags: what only a callee sends must say so, what
    /// only a caller sends must not.
    pub(crate) const fn permits(self, flags: u8) -> bool {
        match self {
            Kind::Call | Kind::Open => flags & !flag::PIECES == 0,
            Kind::Reply | Kind::Error | Kind::Started => flags & !flag::PIECES == flag::TO_CALLER,
            Kind::Item => flags & !(flag::TO_CALLER | flag::PIECES) == 0,
            Kind::End | Kind::Piece => flags & !flag::TO_CALLER == 0,
            Kind::Credit => flags & !(flag::TO_CALLER | flag::CLOSED) == 0,
            _ => flags == 0,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Kind::Hello => "HELLO",
            Kind::Call => "CALL",
            Kind::Reply => "REPLY",
            Kind::Error => "ERROR",
            Kind::Cancel => "CANCEL",
            Kind::Open => "OPEN",
            Kind::Started => "STARTED",
            Kind::Item => "ITEM",
            Kind::End => "END",
            Kind::Credit => "CREDIT",
            Kind::Ping => "PING",
            Kind::Pong => "PONG",
            Kind::Goodbye => "GOODBYE",
            Kind::Piece => "PIECE",
            Kind::Introduce => "INTRODUCE",
            Kind::Lend => "LEND",
            Kind::Recall => "RECALL",
        };
        f.write_str(name)
    }
}
