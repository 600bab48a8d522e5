//! The state of a link and its one lock.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use slab::Slab;
use triune_wire::{CancelMessage, Frame, Header, Hello, Kind, Limits, Message, Report};

use super::batch::News;
use super::callee::{Arrived, Served};
use super::caller::Request;
use super::chunk::Chunk;
use super::ids::IdMap;
use super::outgoing::{Lane, Outgoing, body};
use super::partial::Partials;
use super::stream::{Stream, StreamKey};
use super::wake::{Waiters, Wakes, register};
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{Introduction, LinkEnd, ProtocolError};

/// How many PINGs may wait for their PONG to be written.
const MAX_PONGS: usize = 16;

/// What is written by the one who makes it is at most so long, in bytes: more costs more than a wake.
const LONE: usize = 4 * 1024;

/// What all handles of a link share.
pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) writer: Writer,
    pub(crate) reader: Reader,
    pub(crate) peer: Hello,
    pub(crate) news: News,
}

impl Shared {
    pub(crate) fn new(this: &Hello, peer: Hello, queue_bytes: usize) -> Shared {
        let state = State::new(this.limits, peer.limits, queue_bytes);
        let news = state.news.clone();
        Shared { state: Mutex::new(state), writer: Writer::default(), reader: Reader::default(), peer, news }
    }

    /// Only the driver locks without [`update`](Shared::update): it need not wake itself.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent between any two statements that can panic, so a poisoned lock is fine.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state; wakes the driver if there is something to write, and whoever else must know.
    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut State, &mut Wakes) -> R) -> R {
        let mut wakes = Wakes::default();
        let result = {
            let mut state = self.lock();
            let result = change(&mut state, &mut wakes);
            state.call_driver(&mut wakes);
            result
        };
        wakes.run();
        result
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("peer", &self.peer.name).finish_non_exhaustive()
    }
}

pub(crate) struct State {
    /// What this side announced: it binds the peer.
    pub(super) this: Limits,
    /// What the peer announced: it binds this side.
    pub(super) peer: Limits,
    pub(super) queue_bytes: usize,
    pub(crate) end: Option<LinkEnd>,
    pub(super) news: News,
    pub(crate) end_waiters: Waiters,
    pub(crate) goodbye: bool,
    /// GOODBYE is to be said when no request is open.
    draining: bool,
    pub(super) driver: Option<Waker>,
    pub(super) out: Outgoing,
    pub(super) credits_due: VecDeque<StreamKey>,
    /// Requests of the other side whose dialog was dropped here; see [`State::drop_sender`].
    pub(super) ends_due: Vec<u64>,
    pub(super) wants_room: Vec<StreamKey>,
    pongs: VecDeque<u64>,
    /// How many introductions are awaited although this side accepts none in general.
    pub(super) expected: usize,
    /// Descriptors that came and no frame has claimed yet.
    pub(crate) descriptors: VecDeque<OwnedFd>,
    pub(super) introductions: VecDeque<Introduction>,
    /// Loans that are recalled when no request is open: what was written last is then never more than a request, so that one
    /// can tell whether that was read.
    pub(super) recalls: Vec<u64>,
    /// Messages that come in pieces.
    pub(super) partials: Partials,
    // As caller.
    pub(super) requests: Slab<Request>,
    /// Requests that were sent and not answered; the index is the low part of their id.
    pub(super) flights: Slab<usize>,
    pub(super) next_id: u64,
    pub(super) flight_bytes: u64,
    /// Requests whose answer has come another way, and may still come over the link.
    pub(super) recovered: IdMap<u64, ()>,
    /// Requests that wait for a permit, each with its ticket: a slot may have been used again.
    pub(super) waiting: VecDeque<(usize, u64)>,
    pub(super) next_ticket: u64,
    // As callee.
    pub(super) served: IdMap<u64, Served>,
    pub(super) served_bytes: u64,
    pub(super) last_seen: u64,
    pub(super) early_cancels: IdMap<u64, CancelMessage>,
    pub(super) arrived: VecDeque<Arrived>,
    pub(super) cancel_all: Option<CancelMessage>,
    pub(super) incoming_gone: bool,
    pub(super) incoming: Option<Waker>,
}

impl State {
    fn new(this: Limits, peer: Limits, queue_bytes: usize) -> State {
        State {
            this,
            peer,
            queue_bytes: queue_bytes.max(1),
            end: None,
            news: News::default(),
            end_waiters: Waiters::default(),
            goodbye: false,
            draining: false,
            driver: None,
            out: Outgoing::default(),
            credits_due: VecDeque::new(),
            ends_due: Vec::new(),
            wants_room: Vec::new(),
            pongs: VecDeque::new(),
            expected: 0,
            descriptors: VecDeque::new(),
            introductions: VecDeque::new(),
            recalls: Vec::new(),
            partials: Partials::default(),
            requests: Slab::new(),
            flights: Slab::new(),
            next_id: 0,
            flight_bytes: 0,
            recovered: IdMap::default(),
            waiting: VecDeque::new(),
            next_ticket: 0,
            served: IdMap::default(),
            served_bytes: 0,
            last_seen: 0,
            early_cancels: IdMap::default(),
            arrived: VecDeque::new(),
            cancel_all: None,
            incoming_gone: false,
            incoming: None,
        }
    }

    /// Wakes the driver if there is something for it to do.
    pub(crate) fn call_driver(&mut self, wakes: &mut Wakes) {
        if self.has_output() {
            wakes.wake(self.driver.take());
        }
    }

    pub(crate) const fn driver_waker(&mut self) -> Option<Waker> {
        self.driver.take()
    }

    /// Whether the driver has nothing to do and waits for it.
    pub(crate) fn is_quiet(&self) -> bool {
        self.driver.is_some() && self.out.queued() == 0 && !self.has_output()
    }

    /// For the driver: whether there is nothing for it to do, and the waker is where whoever queues something finds it.
    pub(crate) fn is_quiet_for(&self, driver: &Waker) -> bool {
        self.driver.as_ref().is_some_and(|there| there.will_wake(driver))
            // Also what was taken and is not written counts.
            && self.out.queued() == 0
            && !self.has_output()
    }

    /// Whether there is nothing to do but to write so many short frames, and no more of them are to be expected soon.
    pub(crate) fn has_only(&self, frames: usize) -> bool {
        (1..=LONE).contains(&self.out.queued())
            && self.flights.len() + self.served.len() <= frames
            && self.end.is_none()
            && !self.goodbye
            // The driver must know of it before the other side does.
            && !self.expects_introduction()
            && self.credits_due.is_empty()
            && self.ends_due.is_empty()
            && self.pongs.is_empty()
    }

    /// Whether the driver has something to do.
    pub(crate) fn has_output(&self) -> bool {
        self.end.is_some()
            || self.goodbye
            || !self.out.is_empty()
            || !self.credits_due.is_empty()
            || !self.ends_due.is_empty()
            || !self.pongs.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.out.queued() < self.queue_bytes
    }

    /// The driver takes what goes out next. If that is nothing, its waker is woken when there is something.
    pub(crate) fn take_output(&mut self, batch: &mut VecDeque<Chunk>, waker: &Waker, wakes: &mut Wakes) {
        if Outgoing::wants_control(batch) {
            while let Some(key) = self.credits_due.pop_front() {
                self.send_credit(key);
            }
            for id in std::mem::take(&mut self.pongs) {
                self.out.push(Lane::Control, Header::new(Kind::Pong, id), &[], Message::default());
            }
        }
        self.take_frames(batch);
        register(&mut self.driver, waker, wakes);
    }

    /// Whoever writes takes the frames that are queued.
    pub(crate) fn take_frames(&mut self, batch: &mut VecDeque<Chunk>) {
        for id in std::mem::take(&mut self.ends_due) {
            self.push_end(StreamKey::Theirs(id));
        }
        self.out.take(batch);
    }

    /// The driver has written this much of its batch.
    pub(crate) fn wrote(&mut self, batch: &mut VecDeque<Chunk>, n: usize, wakes: &mut Wakes) {
        self.out.wrote(batch, n);
        if self.has_room() {
            self.admit();
            for key in std::mem::take(&mut self.wants_room) {
                if let Some(stream) = self.stream(key) {
                    stream.wants_room = false;
                    wakes.wake(stream.send_waker.take());
                }
            }
        }
    }

    /// A frame came in.
    pub(crate) fn on_frame(
        &mut self,
        frame: Frame,
        wakes: &mut Wakes,
    ) -> Result<Option<LinkEnd>, ProtocolError> {
        if frame.kind == Kind::Piece || frame.has_pieces() || !self.partials.is_empty() {
            return self.on_piece(frame, wakes);
        }
        self.on_whole(frame, wakes)
    }

    /// A frame that is not a piece came in, or the last piece of one.
    pub(super) fn on_whole(
        &mut self,
        frame: Frame,
        wakes: &mut Wakes,
    ) -> Result<Option<LinkEnd>, ProtocolError> {
        let Frame { kind, id, .. } = frame;
        match kind {
            Kind::Call | Kind::Open => self.on_request(frame, wakes)?,
            Kind::Cancel => self.on_cancel(frame, wakes)?,
            Kind::Reply | Kind::Error | Kind::Started => self.on_answer(frame, wakes)?,
            Kind::Item | Kind::End | Kind::Credit if frame.is_to_caller() => self.on_answer(frame, wakes)?,
            Kind::Item | Kind::End | Kind::Credit => self.on_caller_stream(frame, wakes)?,
            Kind::Ping if self.pongs.len() >= MAX_PONGS => {
                return Err(ProtocolError::Overrun { kind, id, bound: "16 unanswered pings" });
            }
            Kind::Ping => self.pongs.push_back(id),
            Kind::Pong => {}
            Kind::Introduce => self.on_introduce(&frame, wakes)?,
            Kind::Goodbye if frame.body.is_empty() => return Ok(Some(LinkEnd::Goodbye)),
            Kind::Goodbye => {
                let report = Report::from_bytes(&frame.body).map_err(|error| body_error(kind, &error))?;
                return Ok(Some(LinkEnd::Refused(report.into())));
            }
            Kind::Lend | Kind::Recall => {
                let reason = "this side does not serve its calls one by one, and so takes no loans";
                return Err(ProtocolError::Unexpected { kind, id, reason });
            }
            // HELLO, or a kind of a later version of the wire crate.
            _ => {
                return Err(ProtocolError::Unexpected { kind, id, reason: "the handshake is over" });
            }
        }
        Ok(None)
    }

    /// Ends the link: every wait is told. The first end wins.
    pub(crate) fn end_link(&mut self, end: LinkEnd, wakes: &mut Wakes) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(end.clone());
        self.news.add();
        self.lose_requests(&end, wakes);
        for served in self.served.values_mut() {
            served.wake_all(wakes);
        }
        wakes.wake(self.incoming.take());
        self.end_waiters.wake_all(wakes);
        self.out.clear();
        self.credits_due.clear();
        self.ends_due.clear();
        self.pongs.clear();
        self.partials.clear();
        self.descriptors.clear();
        self.introductions.clear();
        self.recalls.clear();
        self.early_cancels.clear();
        wakes.wake(self.driver.take());
    }

    pub(crate) fn poll_ended(
        &mut self,
        key: &mut Option<u64>,
        waker: &Waker,
        wakes: &mut Wakes,
    ) -> Poll<LinkEnd> {
        if let Some(end) = &self.end {
            return Poll::Ready(end.clone());
        }
        self.end_waiters.register(key, waker, wakes);
        Poll::Pending
    }

    /// Says GOODBYE when no request is open any more.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
        self.goodbye_if_idle();
    }

    /// Called when a request has ended.
    pub(super) fn goodbye_if_idle(&mut self) {
        self.goodbye |= self.draining
            && self.flights.is_empty()
            && self.waiting.is_empty()
            && self.served.is_empty()
            && self.partials.requests == 0;
    }

    /// Whether requests of this side are still taken.
    pub(super) const fn takes_requests(&self) -> bool {
        !self.goodbye && !self.draining
    }

    /// Asks the other side for a sign of life.
    pub(crate) fn ping(&mut self, token: u64) {
        self.out.push(Lane::Control, Header::new(Kind::Ping, token), &[], Message::default());
    }

    /// Asks the whole peer to cancel itself.
    pub(crate) fn cancel_peer(&mut self, message: &CancelMessage) {
        if self.end.is_none() {
            self.out.push(Lane::Control, Header::new(Kind::Cancel, 0), &[], body(message.to_bytes()));
        }
    }

    /// The stream with this key, if its dialog is still known.
    pub(super) fn stream(&mut self, key: StreamKey) -> Option<&mut Stream> {
        match key {
            StreamKey::Ours(slot) => {
                self.requests.get_mut(slot)?.dialog.as_deref_mut().map(|d| &mut d.stream)
            }
            StreamKey::Theirs(id) => self.served.get_mut(&id)?.stream.as_deref_mut(),
        }
    }
}

pub(super) fn body_error(kind: Kind, error: &dyn std::error::Error) -> ProtocolError {
    ProtocolError::Body { kind, reason: error.to_string() }
}
