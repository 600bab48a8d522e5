//! Messages that come in pieces.
//!
//! Invariants:
//! 1. A message is judged by its first frame, with the length that this declares, exactly as if it were whole:
//!    ids, requests in flight, bytes, windows. What is judged later is only whether the pieces add up.
//! 2. For each request and direction at most one message is incomplete, and no frame but CANCEL and CREDIT
//!    may come between its pieces.
//! 3. What nobody wants any more is thrown away as it comes, but still counted.

use triune_wire::{CancelCause, CancelMessage, Frame, Header, Kind, Pieces, Report, ReportKind, flag};

use super::chunk::Key;
use super::ids::IdMap;
use super::outgoing::{Lane, body};
use super::state::State;
use super::wake::Wakes;
use crate::{LinkEnd, ProtocolError};

/// The messages of the peer that are not complete.
#[derive(Default)]
pub(crate) struct Partials {
    table: IdMap<Key, Partial>,
    /// How many of them are requests; they are in flight already.
    pub(super) requests: usize,
}

struct Partial {
    kind: Kind,
    flags: u8,
    total: u32,
    pieces: Pieces,
}

impl Partials {
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.table.clear();
    }

    /// Whether the beginning of this request has come in.
    pub(super) fn has_request(&self, id: u64) -> bool {
        self.table.get(&(id, false)).is_some_and(|partial| matches!(partial.kind, Kind::Call | Kind::Open))
    }

    /// The request has ended: nobody wants the rest of an item of its caller.
    pub(super) fn discard(&mut self, id: u64) {
        if let Some(partial) = self.table.get_mut(&(id, false)) {
            partial.pieces.discard();
        }
    }

    fn remove(&mut self, key: Key) -> Option<Partial> {
        let partial = self.table.remove(&key)?;
        self.requests -= usize::from(matches!(partial.kind, Kind::Call | Kind::Open));
        Some(partial)
    }
}

impl State {
    /// A frame that is a piece, begins a message in pieces, or comes while some message is incomplete.
    pub(super) fn on_piece(
        &mut self,
        frame: Frame,
        wakes: &mut Wakes,
    ) -> Result<Option<LinkEnd>, ProtocolError> {
        let Frame { kind, id, .. } = frame;
        let key = (id, frame.is_to_caller());
        let unexpected = |reason| Err(ProtocolError::Unexpected { kind, id, reason });
        if kind != Kind::Piece {
            let is_apart =
                matches!(kind, Kind::Cancel | Kind::Credit | Kind::Ping | Kind::Pong | Kind::Goodbye);
            if !is_apart && self.partials.table.contains_key(&key) {
                return unexpected("the message before it is not complete");
            }
            if !frame.has_pieces() {
                return self.on_whole(frame, wakes);
            }
            return self.begin_message(frame).map(|()| None);
        }
        let Some(partial) = self.partials.table.get_mut(&key) else {
            return unexpected("there is no message that it belongs to");
        };
        if frame.body.is_empty() {
            // Its caller would wait for ever.
            if matches!(partial.kind, Kind::Reply | Kind::Error) {
                return unexpected("an answer cannot be given up");
            }
            self.give_up_message(key, wakes);
            return Ok(None);
        }
        match partial.pieces.add(&frame.body) {
            Ok(true) => self.end_message(key, wakes),
            Ok(false) => Ok(None),
            Err(reason) => unexpected(reason),
        }
    }

    /// The first frame of a message in pieces.
    fn begin_message(&mut self, frame: Frame) -> Result<(), ProtocolError> {
        let Frame { kind, flags, id, .. } = frame;
        let key = (id, frame.is_to_caller());
        let (total, first) = Pieces::split_first(frame.body)
            .ok_or_else(|| ProtocolError::Body { kind, reason: "a length that needs no pieces".into() })?;
        let is_request = matches!(kind, Kind::Call | Kind::Open);
        let head = if is_request { triune_wire::REQUEST_HEAD_MAX } else { 0 };
        if total as usize > self.this.max_message as usize + head {
            return Err(ProtocolError::Overrun { kind, id, bound: "the limit of a message" });
        }
        // A peer that keeps to the rules has at most one for each request in flight, and a few to give up.
        let most = 2 * (self.this.max_in_flight as usize + self.flights.len()) + 1;
        if self.partials.table.len() >= most {
            return Err(ProtocolError::Overrun { kind, id, bound: "the limit of messages in pieces" });
        }
        let is_kept = if is_request {
            self.check_request(kind, id)?;
            self.served_bytes += u64::from(total);
            self.partials.requests += 1;
            true
        } else if kind == Kind::Item {
            self.begin_item(key, total as usize)?
        } else {
            self.check_answer(kind, id)?;
            true
        };
        let pieces = Pieces::begin(total, &first, is_kept);
        self.partials.table.insert(key, Partial { kind, flags: flags & !flag::PIECES, total, pieces });
        Ok(())
    }

    /// All pieces are there.
    fn end_message(&mut self, key: Key, wakes: &mut Wakes) -> Result<Option<LinkEnd>, ProtocolError> {
        let Some(Partial { kind, flags, total, pieces }) = self.partials.remove(key) else { return Ok(None) };
        let Some(body) = pieces.into_body() else { return Ok(None) };
        let frame = Frame { kind, flags, id: key.0, body };
        match kind {
            Kind::Call | Kind::Open => {
                self.served_bytes -= u64::from(total);
                self.take_request(frame, wakes).map(|()| None)
            }
            Kind::Item => {
                if let Some(stream) = self.stream_of(key) {
                    stream.deliver(frame.body, wakes);
                }
                Ok(None)
            }
            _ => self.on_whole(frame, wakes),
        }
    }

    /// The peer gave the message up. A request still gets its answer.
    fn give_up_message(&mut self, key: Key, wakes: &mut Wakes) {
        let Some(Partial { kind, total, .. }) = self.partials.remove(key) else { return };
        let (id, _) = key;
        if matches!(kind, Kind::Call | Kind::Open) {
            self.served_bytes -= u64::from(total);
            let message = self
                .early_cancels
                .remove(&id)
                .unwrap_or_else(|| CancelMessage::new(CancelCause::Dropped, "it was given up by its caller"));
            let report = Report::new(ReportKind::Cancelled, message.to_string());
            let header = Header::new(Kind::Error, id).to_caller();
            self.out.push_terminal(Lane::Control, header, body(report.to_bytes(self.peer.max_message)));
            wakes.wake(self.driver.take());
        }
    }
}
