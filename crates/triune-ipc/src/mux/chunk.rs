//! What is written in one go: some whole frames, the last of which may have its body elsewhere.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use triune_wire::{HEADER_LEN, Header};

use super::outgoing::Lane;

/// Some whole frames, and how much of them was written.
pub(crate) struct Chunk {
    pub(super) head: Vec<u8>,
    /// The end of the last frame, from where it is.
    pub(super) tail: Vec<Bytes>,
    tail_len: usize,
    pub(super) written: usize,
    pub(super) lane: Lane,
    /// Chunks of the call lane are written in this order.
    pub(super) seq: u64,
    /// How many terminal frames end in it: they count as in flight until they are written.
    pub(super) terminals: usize,
    /// The long message that its last frame begins.
    pub(super) begins: Option<Key>,
    /// A descriptor that goes with its first byte; then it holds that one frame.
    pub(crate) descriptor: Option<Arc<OwnedFd>>,
}

/// Whose message it is: the id of the request, and whether it goes to its caller.
pub(crate) type Key = (u64, bool);

impl Chunk {
    pub(super) const fn new(head: Vec<u8>, lane: Lane, seq: u64) -> Chunk {
        let tail = Vec::new();
        Chunk { head, tail, tail_len: 0, written: 0, lane, seq, terminals: 0, begins: None, descriptor: None }
    }

    pub(super) const fn len(&self) -> usize {
        self.head.len() + self.tail_len
    }

    /// Whether no frame can follow in it.
    pub(super) const fn is_closed(&self) -> bool {
        !self.tail.is_empty() || self.begins.is_some() || self.descriptor.is_some()
    }

    pub(crate) const fn is_started(&self) -> bool {
        self.written > 0
    }

    pub(super) fn push_header(&mut self, header: Header) {
        self.head.extend_from_slice(&header.to_bytes());
    }

    /// Adds to the body of the last frame; nothing may follow but more of it.
    pub(super) fn push_tail(&mut self, part: Bytes) {
        self.tail_len += part.len();
        self.tail.push(part);
    }

    /// What is still to be written.
    pub(crate) fn rest(&self) -> impl Iterator<Item = &[u8]> {
        let mut skip = self.written;
        std::iter::once(&self.head[..]).chain(self.tail.iter().map(|part| &part[..])).filter_map(
            move |part| {
                let here = skip.min(part.len());
                skip -= here;
                Some(&part[here..]).filter(|rest| !rest.is_empty())
            },
        )
    }
}

/// What is left of a message that is longer than a frame.
pub(super) struct Long {
    pub(super) key: Key,
    parts: VecDeque<Bytes>,
    left: usize,
    /// Whether it is a terminal frame.
    pub(super) is_terminal: bool,
    /// Frames of the same request and direction, which must not overtake it.
    pub(super) behind: Vec<Behind>,
}

/// A frame that waits for the end of a long message.
pub(super) struct Behind {
    pub(super) header: Header,
    pub(super) body: triune_wire::Message,
    pub(super) is_terminal: bool,
}

impl Long {
    pub(super) fn new(key: Key, parts: impl Iterator<Item = Bytes>, is_terminal: bool) -> Long {
        let parts: VecDeque<Bytes> = parts.filter(|part| !part.is_empty()).collect();
        let left = parts.iter().map(Bytes::len).sum();
        Long { key, parts, left, is_terminal, behind: Vec::new() }
    }

    pub(super) const fn left(&self) -> usize {
        self.left
    }

    /// Forgets what is left, and says how much it was. Its next piece will be empty: that tells the receiver.
    pub(super) fn give_up(&mut self) -> usize {
        self.parts.clear();
        std::mem::take(&mut self.left)
    }

    /// Moves the next `len` bytes into the chunk.
    pub(super) fn take(&mut self, mut len: usize, chunk: &mut Chunk) {
        self.left -= len;
        while len > 0 {
            let part = self.parts.front_mut().expect("there is as much as `left` says");
            let here = part.split_to(len.min(part.len()));
            if part.is_empty() {
                self.parts.pop_front();
            }
            len -= here.len();
            chunk.push_tail(here);
        }
    }
}

/// The header of a frame with a body of this length.
pub(super) fn with_len(mut header: Header, len: usize) -> Header {
    header.len = u32::try_from(len).expect("a frame is shorter than its limit");
    header
}

/// How much a frame takes on the wire.
pub(super) const fn framed(len: usize) -> usize {
    HEADER_LEN + len
}
