//! What waits for the socket: three lanes of chunks of whole frames, and the long messages.
//!
//! Small bodies are copied into the chunk, so that many frames go out in one write; a large one ends its
//! chunk and goes out from where it is. A message that is longer than a frame begins in its lane and goes on
//! in pieces, which take turns with each other and with the bulk lane.
//!
//! Invariants:
//! 1. A chunk holds whole frames, so frames can be put in front of any chunk that is not started.
//! 2. Frames of one request and direction keep their order, but for the control lane: within a lane by its
//!    queue; a bulk chunk is taken only while no call chunk waits (STARTED before its ITEMs); and what follows
//!    a long message waits until its last piece was taken.
//! 3. Control and call frames wait for what is partly written and for nothing else, whatever is queued.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use triune_wire::{FRAME_MAX, Header, Kind, Message, TOTAL_LEN, flag, total_head};

use super::chunk::{Behind, Chunk, Key, Long, framed, with_len};

/// A chunk is closed when it has reached this size, in bytes; it bounds what a control frame waits for.
const CHUNK: usize = 32 * 1024;
/// Bodies up to this size are copied into their chunk, in bytes.
const INLINE: usize = 4 * 1024;
/// How much the driver takes at a time, in bytes.
const BATCH: usize = 256 * 1024;
/// How many empty buffers are kept.
const SPARE: usize = 4;

/// Which frames go first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    Control,
    Call,
    Bulk,
}

#[derive(Default)]
pub(crate) struct Outgoing {
    lanes: [VecDeque<Chunk>; 3],
    /// Long messages whose first frame is still in a lane.
    beginning: Vec<Long>,
    /// Long messages whose pieces take turns.
    turns: VecDeque<Long>,
    /// The bulk lane had the last turn.
    bulk_was_last: bool,
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
        self.turns.is_empty() && self.lanes.iter().all(VecDeque::is_empty)
    }

    /// Whether any byte of the chunk with this number may have reached the other side.
    pub(crate) const fn was_started(&self, seq: u64) -> bool {
        seq <= self.started_seq
    }

    /// Queues a frame whose body is `prefix` and `body`; gives the number of its chunk.
    pub(crate) fn push(&mut self, lane: Lane, header: Header, prefix: &[u8], body: Message) -> u64 {
        self.enqueue(lane, header, prefix, body, false)
    }

    /// Queues an item whose body is `prefix` and `item`; a short one is copied from where it is.
    pub(crate) fn push_item(&mut self, header: Header, prefix: &[u8], item: &Message) {
        let len = prefix.len() + item.len();
        if len > INLINE || self.long(key(header)).is_some() {
            self.push(Lane::Bulk, header, prefix, item.clone());
            return;
        }
        self.queued += framed(len);
        let chunk = self.open_chunk(Lane::Bulk);
        chunk.push_header(with_len(header, len));
        chunk.head.extend_from_slice(prefix);
        item.parts().for_each(|part| chunk.head.extend_from_slice(part));
    }

    /// Queues a request; short arguments are copied from where they are. Gives the number of its chunk.
    pub(crate) fn push_request(&mut self, header: Header, head: &[u8], args: Cow<'_, Message>) -> u64 {
        let len = head.len() + args.len();
        if len > INLINE {
            return self.push(Lane::Call, header, head, args.into_owned());
        }
        self.queued += framed(len);
        let chunk = self.open_chunk(Lane::Call);
        chunk.push_header(with_len(header, len));
        chunk.head.extend_from_slice(head);
        args.parts().for_each(|part| chunk.head.extend_from_slice(part));
        chunk.seq
    }

    /// Queues a terminal frame.
    pub(crate) fn push_terminal(&mut self, lane: Lane, header: Header, body: Message) {
        self.terminals += 1;
        self.enqueue(lane, header, &[], body, true);
    }

    fn enqueue(
        &mut self,
        lane: Lane,
        header: Header,
        prefix: &[u8],
        body: Message,
        is_terminal: bool,
    ) -> u64 {
        let len = prefix.len() + body.len();
        self.queued += framed(len);
        if lane == Lane::Bulk
            && let Some(long) = self.long(key(header))
        {
            long.behind.push(Behind { header, body: joined(prefix, body), is_terminal });
            return 0;
        }
        if len > FRAME_MAX as usize {
            return self.begin(lane, header, prefix, body, is_terminal);
        }
        let chunk = self.open_chunk(lane);
        chunk.push_header(with_len(header, len));
        chunk.head.extend_from_slice(prefix);
        if body.len() <= INLINE {
            body.parts().for_each(|part| chunk.head.extend_from_slice(part));
        } else {
            body.into_parts().filter(|part| !part.is_empty()).for_each(|part| chunk.push_tail(part));
        }
        chunk.terminals += usize::from(is_terminal);
        chunk.seq
    }

    /// Queues the first frame of a message that is longer than a frame.
    fn begin(
        &mut self,
        lane: Lane,
        mut header: Header,
        prefix: &[u8],
        body: Message,
        is_terminal: bool,
    ) -> u64 {
        header.flags |= flag::PIECES;
        let total = u32::try_from(prefix.len() + body.len())
            .expect("messages are checked against max_message before they are queued");
        let key = key(header);
        let mut long = Long::new(key, body.into_parts(), is_terminal);
        self.queued += TOTAL_LEN;
        let chunk = self.open_chunk(lane);
        chunk.push_header(with_len(header, FRAME_MAX as usize));
        chunk.head.extend_from_slice(&total_head(total));
        chunk.head.extend_from_slice(prefix);
        long.take(FRAME_MAX as usize - TOTAL_LEN - prefix.len(), chunk);
        chunk.begins = Some(key);
        let seq = chunk.seq;
        self.beginning.push(long);
        seq
    }

    /// The last chunk of the lane, if frames can still be added to it, or a new one.
    fn open_chunk(&mut self, lane: Lane) -> &mut Chunk {
        let chunks = &mut self.lanes[lane as usize];
        if chunks.back().is_none_or(|chunk| chunk.len() >= CHUNK || chunk.is_closed()) {
            self.next_seq += 1;
            chunks.push_back(Chunk::new(self.spare.pop().unwrap_or_default(), lane, self.next_seq));
        }
        chunks.back_mut().expect("there is one, or it was just pushed")
    }

    /// The long message of this request and direction that is not written to its end.
    fn long(&mut self, key: Key) -> Option<&mut Long> {
        if self.beginning.is_empty() && self.turns.is_empty() {
            return None;
        }
        self.beginning.iter_mut().chain(&mut self.turns).find(|long| long.key == key)
    }

    /// Queues a frame that a descriptor goes with.
    pub(crate) fn push_descriptor(&mut self, header: Header, body: &[u8], descriptor: Arc<OwnedFd>) {
        self.queued += framed(body.len());
        self.next_seq += 1;
        let mut chunk = Chunk::new(self.spare.pop().unwrap_or_default(), Lane::Control, self.next_seq);
        chunk.push_header(with_len(header, body.len()));
        chunk.head.extend_from_slice(body);
        chunk.descriptor = Some(descriptor);
        self.lanes[Lane::Control as usize].push_back(chunk);
    }

    /// Gives up the long message of this request and direction, and what waits behind it: nobody wants it.
    pub(crate) fn give_up(&mut self, key: Key) {
        let Some(long) = self.long(key) else { return };
        let behind = std::mem::take(&mut long.behind);
        let left = long.give_up() + behind.iter().map(|frame| framed(frame.body.len())).sum::<usize>();
        self.queued -= left;
        self.terminals -= behind.iter().filter(|frame| frame.is_terminal).count();
    }

    /// Whether more control frames should be made now, although some of the batch are not written yet. Those
    /// that a peer can cause without end (CREDIT, PONG) are not made before it reads the earlier ones.
    pub(crate) fn wants_control(batch: &VecDeque<Chunk>) -> bool {
        batch.iter().filter(|chunk| chunk.lane == Lane::Control).map(Chunk::len).sum::<usize>() < CHUNK
    }

    /// Moves what goes out next into the batch of the driver.
    pub(crate) fn take(&mut self, batch: &mut VecDeque<Chunk>) {
        let mut at = 0;
        for lane in [Lane::Control, Lane::Call] {
            // Behind a chunk that is partly written, and behind earlier frames of the lane.
            while batch.get(at).is_some_and(|chunk| chunk.is_started() || chunk.lane <= lane) {
                at += 1;
            }
            while let Some(chunk) = self.next_of(lane) {
                batch.insert(at, chunk);
                at += 1;
            }
        }
        let mut bytes: usize = batch.iter().map(Chunk::len).sum();
        while bytes < BATCH {
            let turn = if self.bulk_was_last { self.next_piece() } else { self.next_of(Lane::Bulk) };
            self.bulk_was_last = !self.bulk_was_last;
            let other = || if self.bulk_was_last { self.next_piece() } else { self.next_of(Lane::Bulk) };
            let Some(chunk) = turn.or_else(other) else { break };
            bytes += chunk.len();
            batch.push_back(chunk);
        }
    }

    fn next_of(&mut self, lane: Lane) -> Option<Chunk> {
        let chunk = self.lanes[lane as usize].pop_front()?;
        if let Some(key) = chunk.begins
            && let Some(at) = self.beginning.iter().position(|long| long.key == key)
        {
            let long = self.beginning.remove(at);
            self.turns.push_back(long);
        }
        Some(chunk)
    }

    /// A piece of the long message whose turn it is.
    fn next_piece(&mut self) -> Option<Chunk> {
        let mut long = self.turns.pop_front()?;
        let len = long.left().min(FRAME_MAX as usize);
        self.next_seq += 1;
        let mut chunk = Chunk::new(self.spare.pop().unwrap_or_default(), Lane::Bulk, self.next_seq);
        let (id, to_caller) = long.key;
        let mut header = Header::new(Kind::Piece, id);
        if to_caller {
            header = header.to_caller();
        }
        chunk.push_header(with_len(header, len));
        long.take(len, &mut chunk);
        self.queued += framed(0);
        if long.left() > 0 {
            self.turns.push_back(long);
        } else {
            chunk.terminals = usize::from(long.is_terminal);
            for Behind { header, body, is_terminal } in long.behind {
                // It is counted already.
                self.queued -= framed(body.len());
                self.enqueue(Lane::Bulk, header, &[], body, is_terminal);
            }
        }
        Some(chunk)
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
        self.lanes.iter_mut().for_each(VecDeque::clear);
        self.beginning.clear();
        self.turns.clear();
    }
}

/// Prefix and body as one, for a frame that has to wait.
fn joined(prefix: &[u8], body: Message) -> Message {
    if prefix.is_empty() {
        return body;
    }
    let mut whole = Vec::with_capacity(prefix.len() + body.len());
    whole.extend_from_slice(prefix);
    body.parts().for_each(|part| whole.extend_from_slice(part));
    whole.into()
}

/// Whose message a frame belongs to.
const fn key(header: Header) -> Key {
    (header.id, header.flags & flag::TO_CALLER != 0)
}

/// The body of a frame that was written by hand.
pub(super) fn body(bytes: impl Into<Bytes>) -> Message {
    bytes.into().into()
}
