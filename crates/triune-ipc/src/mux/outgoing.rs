//! What waits for the socket: three lanes of chunks of whole frames.
//!
//! Small bodies are copied into the chunk, so that many frames go out in one write; a large one ends its
//! chunk and goes out from where it is.
//!
//! Invariants:
//! 1. A chunk holds whole frames, so control frames can be put in front of any chunk that is not started.
//! 2. Within a lane, frames keep their order. A bulk chunk is taken only while no call chunk waits, so a
//!    bulk frame never overtakes a call frame that was queued before it (STARTED before its ITEMs).

use std::collections::VecDeque;

use bytes::Bytes;
use triune_wire::{HEADER_LEN, Header};

/// A chunk is closed when it has reached this size, in bytes; it bounds what a control frame waits for.
const CHUNK: usize = 32 * 1024;
/// Bodies up to this size are copied into their chunk, in bytes.
const INLINE: usize = 4 * 1024;
/// How much the driver takes at a time, in bytes.
const BATCH: usize = 256 * 1024;
/// How many empty buffers are kept.
const SPARE: usize = 4;

/// Which frames go first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Control,
    Call,
    Bulk,
}

/// Some whole frames, and how much of them was written.
pub(crate) struct Chunk {
    head: Vec<u8>,
    tail: Bytes,
    written: usize,
    lane: Lane,
    /// Chunks of the call lane are written in this order.
    seq: u64,
    /// How many terminal frames are in it: they count as in flight until they are written.
    terminals: usize,
}

impl Chunk {
    fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    pub(crate) const fn is_started(&self) -> bool {
        self.written > 0
    }

    /// What is still to be written.
    pub(crate) fn rest(&self) -> [&[u8]; 2] {
        let head = self.head.get(self.written..).unwrap_or_default();
        let tail = &self.tail[self.written.saturating_sub(self.head.len())..];
        [head, tail]
    }
}

#[derive(Default)]
pub(crate) struct Outgoing {
    control: VecDeque<Chunk>,
    call: VecDeque<Chunk>,
    bulk: VecDeque<Chunk>,
    spare: Vec<Vec<u8>>,
    /// Bytes that are queued here or taken by the driver and not yet written.
    queued: usize,
    /// Terminal frames among them.
    terminals: usize,
    next_seq: u64,
    /// Last chunk of the call lane of which any byte was written.
    started_seq: u64,
}

impl Outgoing {
    pub(crate) const fn queued(&self) -> usize {
        self.queued
    }

    pub(crate) const fn terminals(&self) -> usize {
        self.terminals
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.call.is_empty() && self.bulk.is_empty()
    }

    /// Whether any byte of the chunk with this number may have reached the other side.
    pub(crate) const fn was_started(&self, seq: u64) -> bool {
        seq <= self.started_seq
    }

    /// Queues a frame whose body is `prefix` and `body`; gives the number of its chunk.
    pub(crate) fn push(&mut self, lane: Lane, mut header: Header, prefix: &[u8], body: Bytes) -> u64 {
        let len = prefix.len() + body.len();
        header.len = u32::try_from(len).expect("bodies are checked against max_frame before they are queued");
        self.queued += HEADER_LEN + len;
        let lane_chunks = match lane {
            Lane::Control => &mut self.control,
            Lane::Call => &mut self.call,
            Lane::Bulk => &mut self.bulk,
        };
        if lane_chunks.back().is_none_or(|chunk| chunk.len() >= CHUNK || !chunk.tail.is_empty()) {
            self.next_seq += 1;
            lane_chunks.push_back(Chunk {
                head: self.spare.pop().unwrap_or_default(),
                tail: Bytes::new(),
                written: 0,
                lane,
                seq: self.next_seq,
                terminals: 0,
            });
        }
        let chunk = lane_chunks.back_mut().expect("there is one, or it was just pushed");
        chunk.head.extend_from_slice(&header.to_bytes());
        chunk.head.extend_from_slice(prefix);
        if body.len() <= INLINE {
            chunk.head.extend_from_slice(&body);
        } else {
            chunk.tail = body;
        }
        chunk.seq
    }

    /// Queues a terminal frame.
    pub(crate) fn push_terminal(&mut self, lane: Lane, header: Header, body: Bytes) {
        self.push(lane, header, &[], body);
        let lane_chunks = match lane {
            Lane::Control => &mut self.control,
            Lane::Call => &mut self.call,
            Lane::Bulk => &mut self.bulk,
        };
        lane_chunks.back_mut().expect("the frame was just pushed").terminals += 1;
        self.terminals += 1;
    }

    /// Whether more control frames should be made now, although some of the batch are not written yet. Those
    /// that a peer can cause without end (CREDIT, PONG) are not made before it reads the earlier ones.
    pub(crate) fn wants_control(batch: &VecDeque<Chunk>) -> bool {
        batch.iter().filter(|chunk| chunk.lane == Lane::Control).map(Chunk::len).sum::<usize>() < CHUNK
    }

    /// Moves what goes out next into the batch of the driver.
    pub(crate) fn take(&mut self, batch: &mut VecDeque<Chunk>) {
        // Behind a chunk that is partly written, and behind earlier control frames.
        let mut at = 0;
        while batch.get(at).is_some_and(|chunk| chunk.written > 0 || chunk.lane == Lane::Control) {
            at += 1;
        }
        for chunk in self.control.drain(..) {
            batch.insert(at, chunk);
            at += 1;
        }
        let mut bytes: usize = batch.iter().map(Chunk::len).sum();
        while bytes < BATCH {
            let Some(chunk) = self.call.pop_front().or_else(|| self.bulk.pop_front()) else { break };
            bytes += chunk.len();
            batch.push_back(chunk);
        }
    }

    /// Accounts for `n` bytes that were written from the front of the batch.
    pub(crate) fn wrote(&mut self, batch: &mut VecDeque<Chunk>, mut n: usize) {
        self.queued -= n;
        while n > 0 {
            let chunk = batch.front_mut().expect("no more is written than was in the batch");
            if chunk.lane == Lane::Call {
                self.started_seq = chunk.seq;
            }
            let part = n.min(chunk.len() - chunk.written);
            chunk.written += part;
            n -= part;
            if chunk.written == chunk.len() {
                let mut chunk = batch.pop_front().expect("it was just looked at");
                self.terminals -= chunk.terminals;
                if self.spare.len() < SPARE && chunk.head.capacity() <= 2 * CHUNK {
                    chunk.head.clear();
                    self.spare.push(chunk.head);
                }
            }
        }
    }

    /// Forgets everything: the link has ended.
    pub(crate) fn clear(&mut self) {
        self.control.clear();
        self.call.clear();
        self.bulk.clear();
    }
}
