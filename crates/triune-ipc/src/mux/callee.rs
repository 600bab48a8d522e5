//! Requests of the other side: bounds, cancellation, the one answer.

use std::task::{Poll, Waker};

use bytes::Bytes;
use tokio::time::Instant;
use triune_wire::{
    CancelCause, CancelMessage, Frame, Header, Kind, Message, Report, ReportKind, RequestHead, TraceContext,
};

use super::outgoing::{Lane, body};
use super::state::{State, body_error};
use super::stream::{Stream, StreamKey};
use super::wake::{Waiters, Wakes, register};
use crate::{CallEnd, Introduction, ProtocolError};

/// A request that came in and was not fetched yet.
pub(crate) struct Arrived {
    pub(crate) id: u64,
    pub(crate) target: u32,
    pub(crate) args: Bytes,
    pub(crate) deadline: Option<Instant>,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) is_dialog: bool,
}

/// What comes in besides answers.
pub(crate) enum Arrival {
    Request(Arrived),
    Cancel(CancelMessage),
    Introduction(Introduction),
}

/// A request that came in and was not answered yet.
pub(crate) struct Served {
    held: u64,
    pub(super) cancel: Option<CancelMessage>,
    cancel_waiters: Waiters,
    pub(super) stream: Option<Box<Stream>>,
}

impl Served {
    pub(super) fn wake_all(&mut self, wakes: &mut Wakes) {
        self.cancel_waiters.wake_all(wakes);
        if let Some(stream) = self.stream.as_deref_mut() {
            stream.wake_all(wakes);
        }
    }
}

impl State {
    /// CALL or OPEN came in.
    pub(super) fn on_request(&mut self, frame: Frame, wakes: &mut Wakes) -> Result<(), ProtocolError> {
        self.check_request(frame.kind, frame.id)?;
        self.take_request(frame, wakes)
    }

    /// Whether a request may begin now.
    pub(super) fn check_request(&mut self, kind: Kind, id: u64) -> Result<(), ProtocolError> {
        if id <= self.last_seen {
            return Err(ProtocolError::Unexpected { kind, id, reason: "ids of requests must grow" });
        }
        // An answer that was not written yet still counts: else a peer that sends requests and does not
        // read their answers could make us hold any number of them.
        if self.served.len() + self.partials.requests + self.out.terminals()
            >= self.this.max_in_flight as usize
        {
            return Err(ProtocolError::Overrun { kind, id, bound: "the limit of requests in flight" });
        }
        if self.served_bytes >= self.this.max_request_bytes {
            return Err(ProtocolError::Overrun {
                kind,
                id,
                bound: "the limit of bytes of requests in flight",
            });
        }
        self.last_seen = id;
        Ok(())
    }

    /// A request that may begin is complete.
    pub(super) fn take_request(&mut self, frame: Frame, wakes: &mut Wakes) -> Result<(), ProtocolError> {
        let Frame { kind, id, body, .. } = frame;
        let (head, args) = RequestHead::split(body)
            .ok_or_else(|| ProtocolError::Body { kind, reason: "its head cannot be read".into() })?;
        if args.len() > self.this.max_message as usize {
            return Err(ProtocolError::Overrun { kind, id, bound: "the limit of a message" });
        }
        let RequestHead { target, deadline, trace, .. } = head;
        let deadline = deadline.and_then(|left| Instant::now().checked_add(left));
        let held = args.len() as u64;
        self.served_bytes += held;
        let is_dialog = kind == Kind::Open;
        let stream = is_dialog.then(|| Box::new(Stream::new(&self.this, &self.peer)));
        let served = Served { held, cancel: None, cancel_waiters: Waiters::default(), stream };
        self.served.insert(id, served);
        if let Some(message) = self.early_cancels.remove(&id) {
            self.answer(id, Err(Report::new(ReportKind::Cancelled, message.to_string())), wakes);
        } else if self.incoming_gone {
            self.answer(id, Err(refusal()), wakes);
        } else {
            self.arrived.push_back(Arrived { id, target, args, deadline, trace, is_dialog });
            wakes.wake(self.incoming.take());
        }
        Ok(())
    }

    /// CANCEL came in.
    pub(super) fn on_cancel(&mut self, frame: Frame, wakes: &mut Wakes) -> Result<(), ProtocolError> {
        let Frame { kind, id, body, .. } = frame;
        let message = CancelMessage::from_bytes(&body).map_err(|error| body_error(kind, &error))?;
        if id == 0 {
            self.cancel_all.get_or_insert(message);
            wakes.wake(self.incoming.take());
        } else if let Some(served) = self.served.get_mut(&id) {
            served.cancel.get_or_insert(message);
            served.wake_all(wakes);
            self.news.add();
        } else if id > self.last_seen || self.partials.has_request(id) {
            if self.early_cancels.len() >= self.this.max_in_flight as usize {
                return Err(ProtocolError::Overrun { kind, id, bound: "the limit of requests in flight" });
            }
            self.early_cancels.insert(id, message);
        }
        // Else it raced the terminal frame, and lost.
        Ok(())
    }

    /// ITEM, END or CREDIT of a caller came in.
    pub(super) fn on_caller_stream(&mut self, frame: Frame, wakes: &mut Wakes) -> Result<(), ProtocolError> {
        let Frame { kind, id, .. } = frame;
        let unexpected = |reason| Err(ProtocolError::Unexpected { kind, id, reason });
        let peer = self.peer;
        match self.served.get_mut(&id) {
            Some(Served { stream: Some(stream), .. }) => stream.on_frame(frame, &peer, wakes),
            Some(_) => unexpected("the request is a call, not a dialog"),
            // It was on its way when the terminal frame was sent.
            None if id <= self.last_seen => Ok(()),
            None => unexpected("no such request was made"),
        }
    }

    pub(crate) fn is_served(&self, id: u64) -> bool {
        self.served.contains_key(&id)
    }

    /// Sends the terminal frame of a request, if it has none yet.
    pub(crate) fn answer(&mut self, id: u64, result: Result<Message, Report>, wakes: &mut Wakes) {
        let Some(mut served) = self.served.remove(&id) else { return };
        self.partials.discard(id);
        self.served_bytes -= served.held;
        served.wake_all(wakes);
        if served.stream.as_ref().is_some_and(|stream| stream.send_ended) {
            self.ends_due.retain(|due| *due != id);
        }
        if self.end.is_some() {
            return;
        }
        if served.cancel.is_some() {
            // The answer to a cancel must not wait for the rest of a long item.
            self.out.give_up((id, true));
        }
        let max = self.peer.max_message;
        let result = match result {
            Ok(value) if value.len() > max as usize => Err(too_large(value.len(), max)),
            other => other,
        };
        let (kind, message) = match result {
            Ok(value) => (Kind::Reply, value),
            Err(report) => (Kind::Error, body(report.to_bytes(max))),
        };
        // The terminal frame is the last of its id, so it must not overtake the items of its dialog.
        let lane = match (kind, served.stream.is_some_and(|stream| stream.started)) {
            (_, true) => Lane::Bulk,
            (Kind::Reply, false) => Lane::Call,
            (_, false) => Lane::Control,
        };
        self.out.push_terminal(lane, Header::new(kind, id).to_caller(), message);
        self.goodbye_if_idle();
    }

    /// Sends STARTED.
    pub(crate) fn start(&mut self, id: u64, value: Message) -> Result<(), CallEnd> {
        if let Some(end) = &self.end {
            return Err(CallEnd::Lost(end.clone()));
        }
        let (len, max) = (value.len(), self.peer.max_message as usize);
        if len > max {
            return Err(CallEnd::TooLarge { len, max });
        }
        let misuse = |text| CallEnd::Failed(Box::new(Report::new(ReportKind::Protocol, text)));
        let Some(stream) = self.served.get_mut(&id).and_then(|served| served.stream.as_deref_mut()) else {
            return Err(misuse("only a dialog can be started"));
        };
        if std::mem::replace(&mut stream.started, true) {
            return Err(misuse("the dialog has started already"));
        }
        let send_ended = stream.send_ended;
        self.out.push(Lane::Call, Header::new(Kind::Started, id).to_caller(), &[], value);
        if send_ended {
            self.push_end(StreamKey::Theirs(id));
        }
        Ok(())
    }

    pub(crate) fn poll_cancelled(
        &mut self,
        id: u64,
        key: &mut Option<u64>,
        waker: &Waker,
        wakes: &mut Wakes,
    ) -> Poll<CancelMessage> {
        if let Some(message) = self.cancel_of(id) {
            return Poll::Ready(message);
        }
        if let Some(served) = self.served.get_mut(&id) {
            served.cancel_waiters.register(key, waker, wakes);
        }
        Poll::Pending
    }

    /// Why a request of the other side is cancelled, if it is.
    pub(crate) fn cancel_of(&self, id: u64) -> Option<CancelMessage> {
        let message = self.served.get(&id).and_then(|served| served.cancel.clone());
        let end = || self.end.as_ref().map(|end| CancelMessage::new(CancelCause::Peer, end.to_string()));
        message.or_else(end)
    }

    pub(crate) fn forget_cancelled(&mut self, id: u64, key: u64, wakes: &mut Wakes) {
        if let Some(served) = self.served.get_mut(&id) {
            served.cancel_waiters.remove(key, wakes);
        }
    }

    /// The next request; a cancel of the whole peer goes first.
    pub(crate) fn poll_arrived(&mut self, waker: &Waker, wakes: &mut Wakes) -> Poll<Option<Arrival>> {
        if self.end.is_some() {
            return Poll::Ready(None);
        }
        if let Some(message) = self.cancel_all.take() {
            return Poll::Ready(Some(Arrival::Cancel(message)));
        }
        if let Some(introduction) = self.introductions.pop_front() {
            return Poll::Ready(Some(Arrival::Introduction(introduction)));
        }
        if let Some(arrived) = self.arrived.pop_front() {
            return Poll::Ready(Some(Arrival::Request(arrived)));
        }
        register(&mut self.incoming, waker, wakes);
        Poll::Pending
    }

    /// Nobody fetches requests any more: those that are there and those to come are refused.
    pub(crate) fn close_incoming(&mut self, wakes: &mut Wakes) {
        self.incoming_gone = true;
        wakes.discard(self.incoming.take());
        for arrived in std::mem::take(&mut self.arrived) {
            self.answer(arrived.id, Err(refusal()), wakes);
        }
    }
}

fn refusal() -> Report {
    Report::new(ReportKind::Unknown, "this side of the link serves no requests")
}

fn too_large(len: usize, max: u32) -> Report {
    let text = format!(
        "the result has {len} bytes, the caller accepts {max}: raise its limit `max_message` or send the data in \
         pieces"
    );
    Report::new(ReportKind::Protocol, text)
}
