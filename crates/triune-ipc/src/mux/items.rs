//! Items of dialogs: what the sending and the receiving handles do with the state.

use std::task::{Poll, Waker};

use bytes::Bytes;
use triune_wire::{Credit, Header, Kind, Message};

use super::batch::Batch;
use super::callee::Served;
use super::caller::Request;
use super::chunk::Key;
use super::outgoing::Lane;
use super::state::State;
use super::stream::{Stream, StreamKey};
use super::wake::{Wakes, register};
use crate::{CallEnd, ProtocolError, SendErrorKind};

impl State {
    /// The header of a frame of this kind for this stream, if such a frame may still be sent.
    fn header(&self, key: StreamKey, kind: Kind) -> Option<Header> {
        match key {
            StreamKey::Ours(slot) => {
                let request = self.requests.get(slot)?;
                (request.terminal.is_none() && request.id != 0).then(|| Header::new(kind, request.id))
            }
            StreamKey::Theirs(id) => self.served.contains_key(&id).then(|| Header::new(kind, id).to_caller()),
        }
    }

    /// Marks that a CREDIT is due.
    pub(super) fn credit_due(&mut self, key: StreamKey) {
        if let Some(stream) = self.stream(key)
            && !stream.credit_due
        {
            stream.credit_due = true;
            self.credits_due.push_back(key);
        }
    }

    pub(super) fn send_credit(&mut self, key: StreamKey) {
        let Some(mut header) = self.header(key, Kind::Credit) else { return };
        // The key may be that of an earlier dialog in the same slot.
        let Some(stream) = self.stream(key).filter(|stream| stream.credit_due) else { return };
        let (credit, flags) = stream.take_credit();
        header.flags |= flags;
        self.out.push(Lane::Control, header, &credit.to_bytes(), Message::default());
    }

    /// Sends an item, or says why not; without credit or room, registers the waker.
    pub(crate) fn poll_send(
        &mut self,
        key: StreamKey,
        prefix: &[u8],
        item: &Message,
        waker: Option<&Waker>,
        wakes: &mut Wakes,
    ) -> Poll<Result<(), SendErrorKind>> {
        let max = self.peer.max_message as usize;
        let len = prefix.len() + item.len();
        let has_room = self.has_room();
        // One search for the dialog, because this is the hot path of a stream.
        let (header, stream) = match key {
            StreamKey::Ours(slot) => match self.requests.get_mut(slot) {
                Some(Request { id, terminal: None, dialog: Some(dialog), .. }) => {
                    (Header::new(Kind::Item, *id), &mut dialog.stream)
                }
                _ => return Poll::Ready(Err(self.send_refusal(key).unwrap_or(SendErrorKind::Ended))),
            },
            StreamKey::Theirs(id) => match self.served.get_mut(&id) {
                Some(Served { cancel: None, stream: Some(stream), .. }) if self.end.is_none() => {
                    if !stream.started && !stream.peer_closed && !stream.send_ended {
                        return Poll::Ready(Err(SendErrorKind::NotStarted));
                    }
                    (Header::new(Kind::Item, id).to_caller(), &mut **stream)
                }
                _ => return Poll::Ready(Err(self.send_refusal(key).unwrap_or(SendErrorKind::Ended))),
            },
        };
        if len > max {
            return Poll::Ready(Err(SendErrorKind::TooLarge { len, max }));
        }
        if stream.peer_closed || stream.send_ended {
            return Poll::Ready(Err(SendErrorKind::Ended));
        }
        let may_send = stream.may_send();
        if !may_send || !has_room {
            if let Some(waker) = waker {
                register(&mut stream.send_waker, waker, wakes);
                if may_send && !std::mem::replace(&mut stream.wants_room, true) {
                    self.wants_room.push(key);
                }
            }
            return Poll::Pending;
        }
        stream.sent(len);
        self.out.push_item(header, prefix, item);
        Poll::Ready(Ok(()))
    }

    /// The stream that an item with this key belongs to, if its dialog goes on.
    pub(super) fn stream_of(&mut self, (id, to_caller): Key) -> Option<&mut Stream> {
        let key = if to_caller { StreamKey::Ours(self.slot_of(id)?) } else { StreamKey::Theirs(id) };
        self.stream(key)
    }

    /// An item in pieces begins. `Ok(false)`: it is to be thrown away.
    pub(super) fn begin_item(&mut self, key: Key, total: usize) -> Result<bool, ProtocolError> {
        let (kind, id) = (Kind::Item, key.0);
        // It was on its way when the terminal frame was sent.
        let is_late = !key.1 && id <= self.last_seen && !self.served.contains_key(&id);
        match self.stream_of(key) {
            Some(stream) => {
                stream.begin_item(id, total)?;
                Ok(!stream.receiver_gone)
            }
            None if is_late => Ok(false),
            None => Err(ProtocolError::Unexpected { kind, id, reason: "there is no such dialog" }),
        }
    }

    fn send_refusal(&self, key: StreamKey) -> Option<SendErrorKind> {
        match key {
            StreamKey::Ours(slot) => match self.requests.get(slot)?.terminal.as_ref()? {
                Err(CallEnd::Lost(end) | CallEnd::NotSent(end)) => Some(SendErrorKind::Lost(end.clone())),
                _ => Some(SendErrorKind::Ended),
            },
            StreamKey::Theirs(id) => match (&self.end, self.served.get(&id)) {
                (Some(end), _) => Some(SendErrorKind::Lost(end.clone())),
                (None, Some(served)) => served.cancel.clone().map(SendErrorKind::Cancelled),
                (None, None) => Some(SendErrorKind::Ended),
            },
        }
    }

    /// Ends the sending direction of a stream, once.
    pub(crate) fn end_stream(&mut self, key: StreamKey) {
        let Some(stream) = self.stream(key) else { return };
        let was_ended = std::mem::replace(&mut stream.send_ended, true);
        // Before STARTED the caller sends nothing; `on_started` makes up for it.
        if stream.started && !was_ended {
            self.push_end(key);
        }
    }

    /// The sending half of a dialog is dropped. A handler that fails drops its half a moment before its failure is told, so that END waits
    /// until the driver comes by: the failure ends the dialog by itself, and its caller must not take it for an orderly end.
    pub(crate) fn drop_sender(&mut self, key: StreamKey) {
        let StreamKey::Theirs(id) = key else { return self.end_stream(key) };
        let Some(stream) = self.stream(key) else { return };
        let was_ended = std::mem::replace(&mut stream.send_ended, true);
        if stream.started && !was_ended {
            self.ends_due.push(id);
        }
    }

    pub(super) fn push_end(&mut self, key: StreamKey) {
        if self.end.is_none()
            && let Some(header) = self.header(key, Kind::End)
        {
            self.out.push(Lane::Bulk, header, &[], Message::default());
        }
    }

    /// The next item. Together with it come all others that are there, into the batch.
    pub(crate) fn poll_recv(
        &mut self,
        key: StreamKey,
        batch: &mut Batch,
        waker: &Waker,
        wakes: &mut Wakes,
    ) -> Poll<Result<Option<Bytes>, CallEnd>> {
        batch.news = self.news.get();
        self.give_back(key, batch.take_freed());
        // A handler hears of its cancellation before what else is there: it is meant to stop.
        if let StreamKey::Theirs(id) = key
            && let Some(message) = self.served.get(&id).and_then(|served| served.cancel.clone())
        {
            return Poll::Ready(Err(CallEnd::Cancelled(message)));
        }
        if let Some(stream) = self.stream(key) {
            stream.fill(batch);
        }
        if let Some(item) = batch.take() {
            if batch.is_due() {
                self.give_back(key, batch.take_freed());
            }
            return Poll::Ready(Ok(Some(item)));
        }
        let Some(stream) = self.stream(key) else {
            return Poll::Ready(self.end.clone().map_or(Ok(None), |end| Err(CallEnd::Lost(end))));
        };
        let recv_ended = stream.recv_ended;
        let terminal = match key {
            StreamKey::Ours(slot) => self.requests.get(slot).and_then(|request| request.terminal.as_ref()),
            StreamKey::Theirs(_) => None,
        };
        match terminal {
            Some(Ok(_)) => return Poll::Ready(Ok(None)),
            Some(Err(end)) => return Poll::Ready(Err(end.clone())),
            None if recv_ended => return Poll::Ready(Ok(None)),
            None => {}
        }
        if let Some(end) = &self.end {
            return Poll::Ready(Err(CallEnd::Lost(end.clone())));
        }
        if let Some(stream) = self.stream(key) {
            register(&mut stream.recv_waker, waker, wakes);
        }
        Poll::Pending
    }

    /// Says anew when the batch must tell what was consumed of it.
    pub(crate) fn rearm(&mut self, key: StreamKey, batch: &mut Batch) {
        if let Some(stream) = self.stream(key) {
            stream.rearm(batch);
        }
    }

    /// Items of a batch were consumed.
    pub(crate) fn give_back(&mut self, key: StreamKey, freed: Credit) {
        if self.stream(key).is_some_and(|stream| stream.give_back(freed)) {
            self.credit_due(key);
        }
    }

    /// The receiving half is gone: what is there is dropped, and the sender is told to stop.
    pub(crate) fn close_receiver(&mut self, key: StreamKey) {
        let is_caller = matches!(key, StreamKey::Ours(_));
        let Some(stream) = self.stream(key) else { return };
        stream.receiver_gone = true;
        stream.inbox.clear();
        // Before STARTED the caller sends nothing; `on_started` makes up for it.
        if !stream.recv_ended && (stream.started || !is_caller) {
            self.credit_due(key);
        }
    }
}
