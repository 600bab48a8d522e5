//! Messages that are longer than a frame: how they are cut, and how they are put together.
//!
//! Owns the layout of the first frame and the one message that is incomplete for an id and direction. Does
//! not decide whether the message is welcome: the link does, with the total that the first frame declares.
//!
//! Invariants:
//! 1. The declared total is known and was accepted before a byte is kept; memory grows with the bytes that
//!    came, not with the total.
//! 2. The pieces must add up to exactly the total. One without a byte gives the message up: the sender has
//!    lost interest in it.

use bytes::{Buf, Bytes, BytesMut};

use crate::frame::FRAME_MAX;

/// Length of what precedes the first piece, in bytes.
pub const TOTAL_LEN: usize = 4;

/// Memory that is taken at once for a message in pieces, in bytes.
const AT_ONCE: usize = 1024 * 1024;

/// What precedes the first piece of a message of so many bytes.
pub const fn total_head(total: u32) -> [u8; TOTAL_LEN] {
    total.to_le_bytes()
}

/// A message of which some pieces are missing.
///
/// ```
/// use bytes::Bytes;
/// use triune_wire::{FRAME_MAX, Pieces, total_head};
///
/// let message = vec![7; 100_000];
/// let (first, rest) = message.split_at(60_000);
/// let frame = Bytes::from([&total_head(100_000)[..], first].concat());
///
/// let (total, first) = Pieces::split_first(frame).expect("a message that is longer than a frame");
/// assert!(total > FRAME_MAX);
/// let mut pieces = Pieces::begin(total, &first, true);
/// assert!(!pieces.add(&rest[..10_000])?);
/// assert!(pieces.add(&rest[10_000..])?, "it is complete");
/// assert_eq!(pieces.into_body().expect("it was kept"), message);
///
/// // One that nobody wants any more is only counted.
/// let mut pieces = Pieces::begin(total, &first, true);
/// pieces.discard();
/// assert!(pieces.add(rest)?);
/// assert_eq!(pieces.into_body(), None);
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug)]
pub struct Pieces {
    body: BytesMut,
    /// How many bytes are still to come.
    missing: usize,
    is_kept: bool,
}

impl Pieces {
    /// Splits the body of a first frame into the total and the first piece. `None` if the total is cut off or
    /// would have fitted into the frame, or if the piece is empty.
    pub fn split_first(mut body: Bytes) -> Option<(u32, Bytes)> {
        let total = body.try_get_u32_le().ok()?;
        let is_longer = total as usize > body.len() && total > FRAME_MAX;
        (is_longer && !body.is_empty()).then_some((total, body))
    }

    /// Begins a message; `is_kept` is false if it is only to be counted and thrown away. The total must have
    /// been accepted.
    pub fn begin(total: u32, first: &[u8], is_kept: bool) -> Pieces {
        let missing = total as usize - first.len();
        let mut body = BytesMut::new();
        if is_kept {
            body.reserve(AT_ONCE.min(total as usize));
            body.extend_from_slice(first);
        }
        Pieces { body, missing, is_kept }
    }

    /// Adds a piece. `Ok(true)`: the message is complete.
    ///
    /// # Errors
    /// The piece is longer than what is missing.
    pub fn add(&mut self, piece: &[u8]) -> Result<bool, &'static str> {
        self.missing =
            self.missing.checked_sub(piece.len()).ok_or("the pieces are longer than the message")?;
        if self.is_kept {
            self.body.extend_from_slice(piece);
        }
        Ok(self.missing == 0)
    }

    /// Throws away what is there and what is still to come.
    pub fn discard(&mut self) {
        self.is_kept = false;
        self.body = BytesMut::new();
    }

    /// The message; `None` if it was thrown away.
    pub fn into_body(self) -> Option<Bytes> {
        self.is_kept.then(|| self.body.freeze())
    }
}
