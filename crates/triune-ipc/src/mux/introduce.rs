//! Introductions and loans: descriptors that come and go with a frame.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use triune_wire::{Frame, Header, IntroduceMessage, Kind, Message};

use super::outgoing::Lane;
use super::state::{State, body_error};
use super::wake::Wakes;
use crate::{Introduction, ProtocolError};

/// How many introductions of the peer are kept until they are fetched, and how many descriptors until their
/// frame is complete.
const MOST: usize = 64;

impl State {
    /// Passes a socket to the peer.
    pub(crate) fn introduce(&mut self, name: &str, socket: OwnedFd) {
        if self.end.is_none() && !self.goodbye {
            let body = IntroduceMessage::new(name).to_bytes();
            self.out.push_descriptor(Header::new(Kind::Introduce, 0), &body, Arc::new(socket));
        }
    }

    /// Lends a file to the peer.
    pub(crate) fn lend(&mut self, number: u64, file: Arc<OwnedFd>) {
        if self.end.is_none() && !self.goodbye {
            if let Some(at) = self.recalls.iter().position(|recalled| *recalled == number) {
                self.recalls.remove(at);
                self.push_recall(number);
            }
            self.out.push_descriptor(Header::new(Kind::Lend, number), &[], file);
        }
    }

    /// Has the peer forget it, as soon as no request is open.
    pub(crate) fn recall(&mut self, number: u64) {
        if self.end.is_some() || self.goodbye {
            return;
        }
        match self.flights.is_empty() {
            true => self.push_recall(number),
            false => self.recalls.push(number),
        }
    }

    /// Called when a request has ended.
    pub(super) fn recall_if_idle(&mut self) {
        if self.flights.is_empty() && !self.recalls.is_empty() {
            for number in std::mem::take(&mut self.recalls) {
                self.push_recall(number);
            }
        }
    }

    fn push_recall(&mut self, number: u64) {
        self.out.push(Lane::Control, Header::new(Kind::Recall, number), &[], Message::default());
    }

    /// One introduction more is to be taken.
    pub(crate) fn expect_introduction(&mut self) {
        self.expected += 1;
    }

    /// Whether the next read must be one that takes descriptors.
    pub(crate) const fn expects_introduction(&self) -> bool {
        self.expected > 0
    }

    /// Descriptors came with the bytes that are decoded next.
    pub(crate) fn on_descriptors(
        &mut self,
        descriptors: Vec<OwnedFd>,
        is_cut: bool,
    ) -> Result<(), ProtocolError> {
        self.descriptors.extend(descriptors);
        if is_cut || self.descriptors.len() > MOST {
            self.descriptors.clear();
            let kind = Kind::Introduce;
            return Err(ProtocolError::Overrun { kind, id: 0, bound: "one descriptor for each frame" });
        }
        Ok(())
    }

    /// INTRODUCE came in.
    pub(super) fn on_introduce(&mut self, frame: &Frame, wakes: &mut Wakes) -> Result<(), ProtocolError> {
        let Frame { kind, id, .. } = *frame;
        let message = IntroduceMessage::from_bytes(&frame.body).map_err(|error| body_error(kind, &error))?;
        let Some(descriptor) = self.descriptors.pop_front() else {
            let reason = "no descriptor came with it, or this side accepts none";
            return Err(ProtocolError::Unexpected { kind, id, reason });
        };
        self.expected = self.expected.saturating_sub(1);
        if self.introductions.len() >= MOST {
            return Err(ProtocolError::Overrun { kind, id, bound: "64 introductions that were not fetched" });
        }
        // Dropped, and so closed, if nobody fetches: the other one sees the end of its link.
        if !self.incoming_gone {
            let introduction = Introduction { name: message.name, socket: UnixStream::from(descriptor) };
            self.introductions.push_back(introduction);
            wakes.wake(self.incoming.take());
        }
        Ok(())
    }
}
