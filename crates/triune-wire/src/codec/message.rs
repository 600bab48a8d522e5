//! The body of a message as a list of parts, so that large byte strings need not be copied into it.
//!
//! Owns the list and the output that cuts it. Does not know what is in the parts.

use bytes::{BufMut, Bytes, BytesMut};

use super::payload::Lend;

/// An encoded message: its parts, in order. Most have one.
///
/// ```
/// use bytes::Bytes;
/// use triune_wire::{Codec, Message, Payload, Postcard};
///
/// let text = Message::from(b"hello".to_vec());
/// assert_eq!((text.len(), text.is_empty(), text.parts().count()), (5, false, 1));
///
/// // What a large payload is made of is not copied: it is a part of its own.
/// let message = Postcard::to_message(&(1_u8, Payload::from(vec![7; 10_000]), 2_u8))?;
/// let lengths: Vec<usize> = message.clone().into_parts().map(|part| part.len()).collect();
/// assert_eq!(lengths, [3, 10_000, 1]);
/// let whole: Bytes = message.into_bytes();
/// assert_eq!(whole.len(), 10_004);
/// # Ok::<(), triune_wire::EncodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    first: Bytes,
    more: Vec<Bytes>,
}

impl Message {
    /// The length of all parts together, in bytes.
    pub fn len(&self) -> usize {
        self.first.len() + self.more.iter().map(Bytes::len).sum::<usize>()
    }

    /// Whether it has no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.more.iter().all(Bytes::is_empty)
    }

    /// The parts.
    pub fn parts(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// Takes it apart.
    pub fn into_parts(self) -> impl Iterator<Item = Bytes> {
        std::iter::once(self.first).chain(self.more)
    }

    /// All parts as one; a copy if there is more than one.
    pub fn into_bytes(self) -> Bytes {
        if self.more.is_empty() {
            return self.first;
        }
        let mut whole = BytesMut::with_capacity(self.len());
        self.parts().for_each(|part| whole.extend_from_slice(part));
        whole.freeze()
    }
}

impl From<Bytes> for Message {
    fn from(first: Bytes) -> Message {
        Message { first, more: Vec::new() }
    }
}

impl From<Vec<u8>> for Message {
    fn from(first: Vec<u8>) -> Message {
        Bytes::from(first).into()
    }
}

/// Where a codec writes to: every [`BufMut`], such as a `Vec<u8>` or a `BytesMut`.
///
/// ```
/// use triune_wire::{Codec, Output, Postcard};
///
/// /// Counts how long a value is.
/// #[derive(Default)]
/// struct Length(usize);
///
/// impl Output for Length {
///     fn put(&mut self, bytes: &[u8]) -> bool {
///         self.0 += bytes.len();
///         true
///     }
/// }
///
/// let mut length = Length::default();
/// Postcard::encode("twelve bytes", &mut length)?;
/// assert_eq!(length.0, 13);
/// # Ok::<(), triune_wire::EncodeError>(())
/// ```
pub trait Output {
    /// Appends the bytes. False if there is no room for them, as in a fixed buffer.
    fn put(&mut self, bytes: &[u8]) -> bool;

    /// Appends one byte, as a `Vec<u8>` without an attribute of its own is encoded. False if there is no room.
    #[inline]
    fn push(&mut self, byte: u8) -> bool {
        self.put(&[byte])
    }
}

impl<B: BufMut> Output for B {
    fn put(&mut self, bytes: &[u8]) -> bool {
        // `put_slice` panics on a fixed buffer that is too short, such as `&mut [u8]`.
        let fits = self.remaining_mut() >= bytes.len();
        if fits {
            self.put_slice(bytes);
        }
        fits
    }
}

/// Collects the parts of a message: what the value lends goes in as it is, everything else is copied.
pub(super) struct Rope<'a> {
    lend: &'a Lend,
    parts: Vec<Bytes>,
    open: &'a mut Vec<u8>,
}

impl<'a> Rope<'a> {
    /// What is copied goes into `open`, until a part is lent.
    pub(super) fn new(lend: &'a Lend, open: &'a mut Vec<u8>) -> Rope<'a> {
        Rope { lend, parts: Vec::new(), open }
    }

    /// The message; without lent parts it is only what is open, and that stays where it is if it is at most
    /// `short` bytes.
    pub(super) fn into_message(mut self, short: usize) -> Message {
        if self.parts.is_empty() && self.open.len() <= short {
            return Message::default();
        }
        self.close();
        let mut parts = self.parts.into_iter();
        Message { first: parts.next().unwrap_or_default(), more: parts.collect() }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.parts.push(std::mem::take(self.open).into());
        }
    }
}

impl Output for Rope<'_> {
    fn put(&mut self, bytes: &[u8]) -> bool {
        match self.lend.take_lent(bytes) {
            None => self.open.extend_from_slice(bytes),
            Some(lent) => {
                self.close();
                self.parts.push(lent);
            }
        }
        true
    }

    #[inline]
    fn push(&mut self, byte: u8) -> bool {
        // Nobody lends so little.
        self.open.push(byte);
        true
    }
}
