//! The timer of a boundary: wakes it when the deadline of its node has passed.
//!
//! One tokio `Sleep`, made when it is first needed and reset when the deadline moves. It is polled before the future
//! of the boundary and outside of tokio's budget, so that a future which uses up its budget cannot delay the deadline.
//! The clock is looked at as well: the driver fires a `Sleep` only between polls of the task, which may be later than
//! the next checkpoint.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

use crate::cancel::node::Node;

#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Alarm>);

#[derive(Debug)]
struct Alarm {
    at: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    fn new(at: Instant) -> Self {
        Self { at, sleep: Box::pin(tokio::time::sleep_until(at)) }
    }

    fn move_to(&mut self, at: Instant) {
        self.sleep.as_mut().reset(at);
        self.at = at;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut tokio::task::coop::unconstrained(self.sleep.as_mut())).poll(cx)
    }
}

impl Timer {
    /// Cancels the node if it is time, and has this task polled again when it will be.
    pub(crate) fn poll(&mut self, node: &Arc<Node>, cx: &mut Context<'_>) {
        if node.has_times() {
            self.poll_times(node, cx);
        }
    }

    fn poll_times(&mut self, node: &Arc<Node>, cx: &mut Context<'_>) {
        if node.is_shield() {
            // Its limit holds also if nobody polls it, so the node has an alarm of its own.
            node.notice_time();
            node.guard_limit();
            return;
        }
        // Again after each alarm: behind the deadline there may be a hard limit.
        loop {
            node.notice_time();
            let Some(at) = node.next_alarm() else {
                self.0 = None;
                return;
            };
            let alarm = match &mut self.0 {
                Some(alarm) if alarm.at == at => alarm,
                Some(alarm) => {
                    alarm.move_to(at);
                    alarm
                }
                none => none.insert(Alarm::new(at)),
            };
            match alarm.poll(cx) {
                Poll::Pending => return,
                // The timer's ticks are coarser than the clock: it may be early by less than one.
                Poll::Ready(()) if Instant::now() < at => {
                    cx.waker().wake_by_ref();
                    self.0 = None;
                    return;
                }
                Poll::Ready(()) => {}
            }
        }
    }

    /// Whether the node now waits for another moment than this timer does.
    pub(crate) fn is_stale(&self, node: &Node) -> bool {
        node.has_times() && !node.is_shield() && node.next_alarm() != self.0.as_ref().map(|alarm| alarm.at)
    }

    pub(crate) fn stop(&mut self) {
        self.0 = None;
    }
}
