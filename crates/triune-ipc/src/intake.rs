//! What was read and not decoded yet, and the memory that reads go into.
//!
//! A frame is a view of the block that it was read into, so a block can be used again when the last of its frames is dropped. Large
//! frames fill a block with few of them, and fresh memory costs more than what is copied into it: so some blocks are kept until
//! they are free again.
//!
//! Invariants:
//! 1. Bytes move only when a frame has begun in a block that it does not fit into. While frames are large, reads end where frames of
//!    the size of the last ones would, so that few begin so.
//! 2. At most [`KEPT`] large blocks are kept, and none when a block was left in which no frame was large and reads found room left.

use std::os::unix::net::UnixStream;
use std::task::{Context, Poll};
use std::{collections::VecDeque, io};

use bytes::BytesMut;
use triune_wire::{FRAME_MAX, Frame, FrameDecoder, FrameError, HEADER_LEN, Kind};

use crate::socket::{self, Socket};

/// Size of a block, in bytes.
const BLOCK: usize = 64 * 1024;
/// Size of a block for large frames, in bytes: whole ones of the largest kind.
const LARGE_BLOCK: usize = 4 * (FRAME_MAX as usize + HEADER_LEN);
/// A frame is large from this size on, in bytes.
const LARGE: usize = 16 * 1024;
/// A block is left when less room than this is in it, in bytes.
const LEAST: usize = 8 * 1024;
/// How many large blocks are kept besides the one that is read into.
const KEPT: usize = 4;

/// The receiving side of a link, behind its socket.
pub(crate) struct Intake {
    decoder: FrameDecoder,
    buffer: BytesMut,
    /// Whether the next block is a large one.
    wants_large: bool,
    /// The size of the largest frame in the block before, with its header.
    size: usize,
    /// The same for this block, so far.
    largest: usize,
    /// Large blocks, some frames of which may be in use. The oldest is at the front.
    kept: VecDeque<BytesMut>,
}

impl Intake {
    /// `buffer` is what was read already.
    pub(crate) const fn new(buffer: BytesMut) -> Intake {
        let kept = VecDeque::new();
        Intake { decoder: FrameDecoder::new(), buffer, wants_large: false, size: 0, largest: 0, kept }
    }

    /// The next frame that is complete.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let frame = self.decoder.decode(&mut self.buffer)?;
        if let Some(frame) = &frame {
            self.largest = self.largest.max(HEADER_LEN + frame.body.len());
        }
        Ok(frame)
    }

    /// Tells whether the stream may end here.
    pub(crate) fn finish(&self) -> Result<(), FrameError> {
        self.decoder.finish(&self.buffer)
    }

    /// Whether a frame has begun that is, or may be, of this kind.
    pub(crate) fn may_be_in(&self, kind: Kind) -> bool {
        self.decoder.kind().map_or(!self.buffer.is_empty(), |begun| begun == kind)
    }

    /// Reads once.
    pub(crate) fn poll_read(&mut self, socket: &Socket, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = self.make_room();
        let read = std::task::ready!(socket.poll_read(&mut self.buffer, room, cx));
        if let Ok(n) = read {
            self.wants_large = n == room || self.frame_size() >= LARGE;
        }
        Poll::Ready(read)
    }

    /// Reads once, if there is something now.
    pub(crate) fn read(&mut self, stream: &UnixStream) -> io::Result<usize> {
        let room = self.make_room();
        socket::read(stream, &mut self.buffer, room)
    }

    /// Takes what was read elsewhere.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn frame_size(&self) -> usize {
        self.size.max(self.largest)
    }

    /// Makes room for a read, and says how much of it is to be used.
    fn make_room(&mut self) -> usize {
        let missing = self.decoder.missing(&self.buffer);
        let size = self.frame_size();
        let is_large = size >= LARGE;
        // Of a frame of which not even the header is there, the size is guessed.
        let rest = match self.decoder.is_in_body() || !is_large {
            true => missing,
            false => missing.max(size.saturating_sub(self.buffer.len())),
        };
        let spare = self.buffer.capacity() - self.buffer.len();
        if spare < rest || (spare < LEAST && !is_large) {
            self.renew(rest);
        }
        let spare = self.buffer.capacity() - self.buffer.len();
        if is_large { rest + (spare - rest) / size * size } else { spare }
    }

    /// Goes on in another block, with room for so much at least.
    fn renew(&mut self, rest: usize) {
        self.size = std::mem::take(&mut self.largest);
        if !self.wants_large {
            self.kept.clear();
            self.buffer.reserve(rest.max(BLOCK));
            return;
        }
        let need = LARGE_BLOCK.max(self.buffer.len() + rest);
        let free = self.kept.iter_mut().position(|block| block.try_reclaim(need));
        let mut block = match free.and_then(|at| self.kept.remove(at)) {
            Some(block) => block,
            None => BytesMut::with_capacity(need),
        };
        block.extend_from_slice(&self.buffer);
        let mut old = std::mem::replace(&mut self.buffer, block);
        old.clear();
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(old);
    }
}

#[cfg(test)]
mod tests;
