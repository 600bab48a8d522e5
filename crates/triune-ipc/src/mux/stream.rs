//! The items of one dialog, in both directions, and their windows.
//!
//! Invariants:
//! 1. An item may be sent while both the item window and the byte window are positive; it lowers both.
//! 2. Credit is given back when half of a window was consumed, and counts from when the CREDIT is made, which
//!    waits for the socket: a peer that does not read its credits cannot make them pile up.
//! 3. The caller sends nothing of a dialog but CANCEL before it has seen STARTED.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;
use triune_wire::{Credit, Frame, Kind, Limits, flag};

use super::batch::Batch;
use crate::ProtocolError;
use crate::mux::Wakes;

/// Where a stream is: on a request of ours (its slot) or on one of the other side (its id).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamKey {
    Ours(usize),
    Theirs(u64),
}

pub(crate) struct Stream {
    pub(crate) started: bool,
    // Sending half.
    send_window: Window,
    /// END was asked for; it is sent at once, with STARTED, or when the driver comes by.
    pub(crate) send_ended: bool,
    /// The receiving half over there is gone.
    pub(crate) peer_closed: bool,
    pub(crate) wants_room: bool,
    pub(crate) send_waker: Option<Waker>,
    // Receiving half.
    pub(crate) inbox: VecDeque<Bytes>,
    recv_window: Window,
    recv_full: Window,
    freed: Credit,
    pub(crate) recv_ended: bool,
    pub(crate) receiver_gone: bool,
    /// A CREDIT for this stream is due.
    pub(crate) credit_due: bool,
    pub(crate) recv_waker: Option<Waker>,
}

/// A balance of items and of bytes; the bytes may go below zero, by less than one item.
#[derive(Clone, Copy)]
struct Window {
    items: u32,
    bytes: i64,
}

impl Window {
    fn full(limits: &Limits) -> Window {
        Window { items: limits.window_items, bytes: i64::try_from(limits.window_bytes).unwrap_or(i64::MAX) }
    }

    const fn is_open(self) -> bool {
        self.items > 0 && self.bytes > 0
    }

    fn take(&mut self, len: usize) {
        self.items -= 1;
        self.bytes = self.bytes.saturating_sub_unsigned(len as u64);
    }

    fn give(&mut self, credit: Credit) {
        self.items = self.items.saturating_add(credit.items);
        self.bytes = self.bytes.saturating_add_unsigned(credit.bytes);
    }
}

impl Stream {
    pub(crate) fn new(this: &Limits, peer: &Limits) -> Stream {
        Stream {
            started: false,
            send_window: Window::full(peer),
            send_ended: false,
            peer_closed: false,
            wants_room: false,
            send_waker: None,
            inbox: VecDeque::new(),
            recv_window: Window::full(this),
            recv_full: Window::full(this),
            freed: Credit { items: 0, bytes: 0 },
            recv_ended: false,
            receiver_gone: false,
            credit_due: false,
            recv_waker: None,
        }
    }

    pub(crate) const fn may_send(&self) -> bool {
        self.started && self.send_window.is_open()
    }

    pub(crate) fn sent(&mut self, len: usize) {
        self.send_window.take(len);
    }

    /// ITEM, END or CREDIT came in. `peer` are the limits that bound what we may send.
    pub(crate) fn on_frame(
        &mut self,
        frame: Frame,
        peer: &Limits,
        wakes: &mut Wakes,
    ) -> Result<(), ProtocolError> {
        let Frame { kind, id, flags, body } = frame;
        match kind {
            // A handler may let go of its receiving half before it calls `started`.
            Kind::Credit => self.on_credit(id, flags, &body, peer, wakes),
            Kind::End => {
                self.check_open(kind, id)?;
                self.recv_ended = true;
                wakes.wake(self.recv_waker.take());
                let reason = "END has no body";
                if body.is_empty() { Ok(()) } else { Err(ProtocolError::Unexpected { kind, id, reason }) }
            }
            _ => {
                self.begin_item(id, body.len())?;
                self.deliver(body, wakes);
                Ok(())
            }
        }
    }

    /// Whether anything may still come in this direction.
    fn check_open(&self, kind: Kind, id: u64) -> Result<(), ProtocolError> {
        let reason = match (self.started, self.recv_ended) {
            (true, false) => return Ok(()),
            (false, _) => "the dialog has not started",
            (true, true) => "this direction has ended",
        };
        Err(ProtocolError::Unexpected { kind, id, reason })
    }

    /// An item of this length begins to come in: it is within the window, or the peer has overrun it.
    pub(crate) fn begin_item(&mut self, id: u64, len: usize) -> Result<(), ProtocolError> {
        let kind = Kind::Item;
        self.check_open(kind, id)?;
        if !self.recv_window.is_open() {
            return Err(ProtocolError::Overrun { kind, id, bound: "the credit of its dialog" });
        }
        self.recv_window.take(len);
        Ok(())
    }

    /// An item that has begun is complete.
    pub(crate) fn deliver(&mut self, body: Bytes, wakes: &mut Wakes) {
        if !self.receiver_gone {
            self.inbox.push_back(body);
            wakes.wake(self.recv_waker.take());
        }
    }

    fn on_credit(
        &mut self,
        id: u64,
        flags: u8,
        body: &[u8],
        peer: &Limits,
        wakes: &mut Wakes,
    ) -> Result<(), ProtocolError> {
        let kind = Kind::Credit;
        let credit = Credit::from_bytes(body)
            .ok_or_else(|| ProtocolError::Body { kind, reason: format!("{} bytes, not 12", body.len()) })?;
        let full = Window::full(peer);
        self.send_window.give(credit);
        if self.send_window.items > full.items || self.send_window.bytes > full.bytes {
            return Err(ProtocolError::Overrun { kind, id, bound: "what was sent" });
        }
        self.peer_closed |= flags & flag::CLOSED != 0;
        wakes.wake(self.send_waker.take());
        Ok(())
    }

    /// Moves all items into the batch, if it has none left.
    pub(crate) fn fill(&mut self, batch: &mut Batch) {
        if batch.items.is_empty() {
            std::mem::swap(&mut self.inbox, &mut batch.items);
        }
        self.rearm(batch);
    }

    /// Says when the batch must tell what was consumed of it: when a CREDIT is due. While one waits to be made, what is consumed
    /// counts for the next one, and that can wait for the end of the batch: it holds one window at most.
    pub(crate) fn rearm(&self, batch: &mut Batch) {
        if self.credit_due {
            batch.due_after(Credit { items: u32::MAX, bytes: u64::MAX });
            return;
        }
        let half = self.half();
        batch.due_after(Credit {
            items: half.items.saturating_sub(self.freed.items),
            bytes: half.bytes.saturating_sub(self.freed.bytes),
        });
    }

    /// Half of the window.
    const fn half(&self) -> Credit {
        Credit {
            items: self.recv_full.items.div_ceil(2),
            bytes: self.recv_full.bytes.unsigned_abs().div_ceil(2),
        }
    }

    /// Items were consumed. Whether a CREDIT is due now.
    pub(crate) fn give_back(&mut self, credit: Credit) -> bool {
        self.freed.items += credit.items;
        self.freed.bytes = self.freed.bytes.saturating_add(credit.bytes);
        let half = self.half();
        let is_due = self.freed.items >= half.items || self.freed.bytes >= half.bytes;
        is_due && !self.recv_ended
    }

    /// The credit to send now; from here on the peer may use it.
    pub(crate) fn take_credit(&mut self) -> (Credit, u8) {
        self.credit_due = false;
        let credit = std::mem::replace(&mut self.freed, Credit { items: 0, bytes: 0 });
        self.recv_window.give(credit);
        (credit, if self.receiver_gone { flag::CLOSED } else { 0 })
    }

    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        wakes.wake(self.send_waker.take());
        wakes.wake(self.recv_waker.take());
    }
}
