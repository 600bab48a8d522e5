//! Requests of this side: permits, ids, answers.
//!
//! A request is queued as soon as it is made, if a permit is free; else it waits in order. Its id is a
//! growing number with the index of its flight in the low bits: ids grow on the wire, so the other side
//! tells late from early by comparing, and finding the request of an answer is two array accesses.

use std::borrow::Cow;
use std::task::{Poll, Waker};

use bytes::Bytes;
use tokio::time::Instant;
use triune_wire::{
    CancelMessage, Frame, HEADER_LEN, Header, Kind, Message, REQUEST_HEAD_MAX, Report, RequestHead,
};

use super::outgoing::{Lane, body};
use super::state::{State, body_error};
use super::stream::{Stream, StreamKey};
use super::wake::{Wakes, register};
use crate::{CallEnd, CallOptions, LinkEnd, ProtocolError};

/// Bits of an id that hold the index of its flight.
const INDEX_BITS: u32 = 16;
const MAX_FLIGHTS: usize = 1 << INDEX_BITS;
/// How many answers that have come another way may be outstanding on the link.
const RECOVERED_MAX: usize = 1024;

/// A request of this side, from the call to its terminal frame *and* the end of the last handle.
pub(crate) struct Request {
    /// 0 until it is queued for the socket.
    pub(super) id: u64,
    ticket: u64,
    target: u32,
    options: CallOptions,
    /// Until it is queued for the socket.
    args: Message,
    args_len: u64,
    /// Chunk that it was queued in.
    seq: u64,
    cancelled: bool,
    handles: u8,
    pub(super) terminal: Option<Result<Bytes, CallEnd>>,
    waker: Option<Waker>,
    pub(super) dialog: Option<Box<Dialog>>,
}

/// What a request asks for.
pub(crate) struct Asked<'a> {
    pub(crate) target: u32,
    pub(crate) args: Cow<'a, Message>,
    pub(crate) options: CallOptions,
    pub(crate) is_dialog: bool,
}

/// What a dialog has more than a call.
pub(super) struct Dialog {
    pub(super) stream: Stream,
    first: Option<Bytes>,
    first_waker: Option<Waker>,
}

impl Request {
    /// What goes before its arguments.
    fn head(&self) -> ([u8; REQUEST_HEAD_MAX], usize) {
        let mut head = RequestHead::new(self.target);
        head.deadline = self.options.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        head.trace = self.options.trace;
        head.to_bytes()
    }
}

impl State {
    /// Makes a request and gives its slot.
    pub(crate) fn request(&mut self, asked: Asked<'_>) -> usize {
        let Asked { target, args, options, is_dialog } = asked;
        let max = self.peer.max_message as usize;
        let len = args.len();
        let terminal = if let Some(end) = &self.end {
            Some(CallEnd::NotSent(end.clone()))
        } else if !self.takes_requests() {
            Some(CallEnd::NotSent(LinkEnd::Goodbye))
        } else if len > max {
            Some(CallEnd::TooLarge { len, max })
        } else {
            None
        };
        let is_over = terminal.is_some();
        self.next_ticket += 1;
        let dialog = is_dialog.then(|| {
            let stream = Stream::new(&self.this, &self.peer);
            Box::new(Dialog { stream, first: None, first_waker: None })
        });
        let slot = self.requests.insert(Request {
            id: 0,
            ticket: self.next_ticket,
            target,
            options,
            args_len: args.len() as u64,
            args: Message::default(),
            seq: 0,
            cancelled: false,
            // A dialog has three handles: its owner, its sender and its receiver.
            handles: if is_dialog { 3 } else { 1 },
            terminal: terminal.map(Err),
            waker: None,
            dialog,
        });
        if is_over {
            return slot;
        }
        if self.waiting.is_empty() && self.has_permit() {
            self.send(slot, args);
        } else {
            self.requests[slot].args = args.into_owned();
            self.waiting.push_back((slot, self.next_ticket));
            self.admit();
        }
        slot
    }

    /// Whether the next request may be queued for the socket.
    fn has_permit(&self) -> bool {
        let max = MAX_FLIGHTS.min(self.peer.max_in_flight as usize);
        self.end.is_none()
            && !self.goodbye
            && self.flights.len() < max
            && self.flight_bytes < self.peer.max_request_bytes
            && self.has_room()
    }

    /// Queues the requests that have waited longest, as far as permits and room go.
    pub(super) fn admit(&mut self) {
        while self.has_permit() {
            let Some((slot, ticket)) = self.waiting.pop_front() else { break };
            let Some(request) = self.requests.get_mut(slot) else { continue };
            if request.ticket != ticket || request.terminal.is_some() {
                continue;
            }
            let args = std::mem::take(&mut request.args);
            self.send(slot, Cow::Owned(args));
        }
    }

    /// Queues a request for the socket.
    fn send(&mut self, slot: usize, args: Cow<'_, Message>) {
        let request = &mut self.requests[slot];
        self.next_id += 1;
        request.id = self.next_id << INDEX_BITS | self.flights.insert(slot) as u64;
        self.flight_bytes += request.args_len;
        let kind = if request.dialog.is_some() { Kind::Open } else { Kind::Call };
        let header = Header::new(kind, request.id);
        let (head, len) = request.head();
        request.seq = self.out.push_request(header, &head[..len], args);
    }

    pub(super) fn slot_of(&self, id: u64) -> Option<usize> {
        let slot = *self.flights.get(id as usize % MAX_FLIGHTS)?;
        (self.requests.get(slot)?.id == id).then_some(slot)
    }

    /// Whether an answer in pieces may begin.
    pub(super) fn check_answer(&self, kind: Kind, id: u64) -> Result<(), ProtocolError> {
        let reason = match self.slot_of(id).map(|slot| &self.requests[slot].dialog) {
            None => "no such request is in flight",
            Some(None) if kind == Kind::Started => "the request is a call, not a dialog",
            Some(_) => return Ok(()),
        };
        Err(ProtocolError::Unexpected { kind, id, reason })
    }

    /// A frame of the callee of one of our requests came in.
    pub(super) fn on_answer(&mut self, frame: Frame, wakes: &mut Wakes) -> Result<(), ProtocolError> {
        let Frame { kind, id, .. } = frame;
        let unexpected = |reason| Err(ProtocolError::Unexpected { kind, id, reason });
        let Some(slot) = self.slot_of(id) else {
            if self.recovered.remove(&id).is_some() {
                return Ok(());
            }
            return unexpected("no such request is in flight");
        };
        match kind {
            Kind::Reply => {
                self.finish(slot, Ok(frame.body), wakes);
                self.admit();
                return Ok(());
            }
            Kind::Error => {
                let report = Report::from_bytes(&frame.body).map_err(|error| body_error(kind, &error))?;
                self.finish(slot, Err(CallEnd::Failed(Box::new(report))), wakes);
                self.admit();
                return Ok(());
            }
            _ => {}
        }
        let peer = self.peer;
        let Some(dialog) = self.requests[slot].dialog.as_deref_mut() else {
            return unexpected("the request is a call, not a dialog");
        };
        if kind != Kind::Started {
            return dialog.stream.on_frame(frame, &peer, wakes);
        }
        if dialog.stream.started {
            return unexpected("the dialog has started already");
        }
        dialog.stream.started = true;
        dialog.first = Some(frame.body);
        wakes.wake(dialog.first_waker.take());
        wakes.wake(dialog.stream.send_waker.take());
        let (send_ended, receiver_gone) = (dialog.stream.send_ended, dialog.stream.receiver_gone);
        if send_ended {
            self.push_end(StreamKey::Ours(slot));
        }
        if receiver_gone {
            self.credit_due(StreamKey::Ours(slot));
        }
        Ok(())
    }

    /// The frame of an answer to a call, which has come another way than over the link.
    pub(crate) fn recover(&mut self, frame: &[u8], wakes: &mut Wakes) {
        let Some((head, body)) = frame.split_first_chunk::<HEADER_LEN>() else { return };
        let Ok(Header { kind: Kind::Reply, id, len, .. }) = Header::parse(head) else { return };
        let Some(slot) = self.slot_of(id) else { return };
        let is_answer = body.len() == len as usize && self.requests[slot].dialog.is_none();
        // One that never writes what it has noted gets no further than this.
        if !is_answer || self.recovered.len() >= RECOVERED_MAX {
            return;
        }
        self.recovered.insert(id, ());
        self.finish(slot, Ok(Bytes::copy_from_slice(body)), wakes);
        self.admit();
    }

    /// The request is over: frees its permit, tells its handles.
    fn finish(&mut self, slot: usize, terminal: Result<Bytes, CallEnd>, wakes: &mut Wakes) {
        let request = &mut self.requests[slot];
        request.terminal = Some(terminal);
        request.args = Message::default();
        wakes.wake(request.waker.take());
        if let Some(dialog) = request.dialog.as_deref_mut() {
            wakes.wake(dialog.first_waker.take());
            dialog.stream.wake_all(wakes);
        }
        if request.id != 0 {
            self.flight_bytes -= request.args_len;
            self.flights.remove(request.id as usize % MAX_FLIGHTS);
            // Nobody over there waits for the rest of an item.
            self.out.give_up((request.id, false));
        }
        if request.handles == 0 {
            self.requests.remove(slot);
        }
        self.recall_if_idle();
        self.goodbye_if_idle();
    }

    /// Asks for the end of a request, once; one that was not sent yet ends at once.
    pub(crate) fn cancel_request(
        &mut self,
        slot: usize,
        message: impl FnOnce() -> CancelMessage,
        wakes: &mut Wakes,
    ) {
        let request = &mut self.requests[slot];
        if request.terminal.is_some() || std::mem::replace(&mut request.cancelled, true) {
            return;
        }
        let message = message();
        if request.id != 0 {
            // May overtake its CALL, which is in another lane; the callee keeps it in mind.
            let header = Header::new(Kind::Cancel, request.id);
            self.out.push(Lane::Control, header, &[], body(message.to_bytes()));
            self.out.give_up((request.id, false));
            return;
        }
        self.finish(slot, Err(CallEnd::Cancelled(message)), wakes);
        // Its place in the queue is skipped later, unless there come to be more of those than requests.
        if self.waiting.len() > 2 * self.requests.len() + 32 {
            let requests = &self.requests;
            self.waiting.retain(|(slot, ticket)| {
                requests.get(*slot).is_some_and(|r| r.ticket == *ticket && r.terminal.is_none())
            });
        }
    }

    /// A handle is gone.
    pub(crate) fn release_request(&mut self, slot: usize, wakes: &mut Wakes) {
        let request = &mut self.requests[slot];
        request.handles -= 1;
        if request.handles == 0 && request.terminal.is_some() {
            let request = self.requests.remove(slot);
            wakes.discard(request.waker);
            if let Some(dialog) = request.dialog {
                wakes.discard(dialog.first_waker);
                wakes.discard(dialog.stream.send_waker);
                wakes.discard(dialog.stream.recv_waker);
            }
        }
    }

    pub(crate) fn poll_terminal(
        &mut self,
        slot: usize,
        waker: &Waker,
        wakes: &mut Wakes,
    ) -> Poll<Result<Bytes, CallEnd>> {
        let request = &mut self.requests[slot];
        if let Some(terminal) = &request.terminal {
            return Poll::Ready(terminal.clone());
        }
        register(&mut request.waker, waker, wakes);
        Poll::Pending
    }

    /// The end of a call, for its only handle, which is gone with it.
    pub(crate) fn take_terminal(
        &mut self,
        slot: usize,
        waker: &Waker,
        wakes: &mut Wakes,
    ) -> Poll<Result<Bytes, CallEnd>> {
        let request = &mut self.requests[slot];
        let Some(terminal) = request.terminal.take() else {
            register(&mut request.waker, waker, wakes);
            return Poll::Pending;
        };
        let request = self.requests.remove(slot);
        wakes.discard(request.waker);
        Poll::Ready(terminal)
    }

    /// What wakes the one who waits for the answer to the only request that is in flight.
    pub(crate) fn lone_waiter(&self) -> Option<Waker> {
        let mut flights = self.flights.iter();
        let (Some((_, slot)), None) = (flights.next(), flights.next()) else { return None };
        self.requests.get(*slot)?.waker.clone()
    }

    /// Whoever waits for the answer is not to be woken.
    pub(crate) fn take_waker(&mut self, slot: usize) -> Option<Waker> {
        self.requests[slot].waker.take()
    }

    /// It is to be woken again, unless the answer is there.
    pub(crate) fn give_waker(&mut self, slot: usize, waker: Option<Waker>, wakes: &mut Wakes) {
        let request = &mut self.requests[slot];
        if request.terminal.is_some() {
            wakes.discard(waker);
        } else {
            request.waker = waker;
        }
    }

    /// `None` if the dialog succeeded without STARTED.
    pub(crate) fn poll_first(
        &mut self,
        slot: usize,
        waker: &Waker,
        wakes: &mut Wakes,
    ) -> Poll<Result<Option<Bytes>, CallEnd>> {
        let request = &mut self.requests[slot];
        let Some(dialog) = request.dialog.as_deref_mut() else { return Poll::Ready(Ok(None)) };
        if let Some(first) = &dialog.first {
            return Poll::Ready(Ok(Some(first.clone())));
        }
        match &request.terminal {
            Some(Ok(_)) => Poll::Ready(Ok(None)),
            Some(Err(end)) => Poll::Ready(Err(end.clone())),
            None => {
                register(&mut dialog.first_waker, waker, wakes);
                Poll::Pending
            }
        }
    }

    /// The link has ended: so have all requests.
    pub(super) fn lose_requests(&mut self, end: &LinkEnd, wakes: &mut Wakes) {
        let open: Vec<usize> =
            self.requests.iter().filter(|(_, r)| r.terminal.is_none()).map(|(slot, _)| slot).collect();
        for slot in open {
            let request = &self.requests[slot];
            let was_sent = request.id != 0 && self.out.was_started(request.seq);
            let why = if was_sent { CallEnd::Lost } else { CallEnd::NotSent };
            self.finish(slot, Err(why(end.clone())), wakes);
        }
        self.waiting.clear();
    }
}
