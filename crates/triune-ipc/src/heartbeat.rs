//! Signs of life: when a silent peer is asked for one, and when it is given up.
//!
//! Owns the timer. Does not send: the driver does.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::{Heartbeat, LinkEnd};

/// The watch over one link.
#[derive(Debug)]
pub(crate) struct Pulse {
    heartbeat: Heartbeat,
    heard: Instant,
    /// When a PING was sent, or the silence was noticed, if nothing was heard since.
    asked: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

/// What to do about the silence.
pub(crate) enum Beat {
    Ping,
    /// The other side is not asked: it gives signs by itself.
    Listen,
    End(LinkEnd),
}

impl Pulse {
    pub(crate) fn new(heartbeat: Heartbeat) -> Pulse {
        let heard = Instant::now();
        Pulse { heartbeat, heard, asked: None, timer: Box::pin(sleep_until(heard + heartbeat.every)) }
    }

    /// Something came in.
    pub(crate) fn heard(&mut self) {
        self.heard = Instant::now();
        self.asked = None;
    }

    /// Must be polled after everything that is there was read: else a side that was busy itself would take
    /// the other one for silent. For the same reason it judges only the time since it has asked, or looked.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Beat> {
        let Heartbeat { every, patience, asks } = self.heartbeat;
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            let due = self.asked.map_or(self.heard + every, |asked| asked + patience);
            if now < due {
                self.timer.as_mut().reset(due);
                continue;
            }
            if self.asked.is_some() {
                return Poll::Ready(Beat::End(LinkEnd::Stalled { silent: now - self.heard }));
            }
            self.asked = Some(now);
            self.timer.as_mut().reset(now + patience);
            return Poll::Ready(if asks { Beat::Ping } else { Beat::Listen });
        }
    }
}
