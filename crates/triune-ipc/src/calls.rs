//! Several calls that are made together and wait for their answers together.
//!
//! Invariants:
//! 1. Answers are given in the order of the calls, whatever the order in which they come.
//! 2. Those that are there at the head are taken over together, under one lock.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::CallEnd;
use crate::call::dropped;
use crate::mux::Shared;

/// Calls that were made together; gives their answers in the order of the calls. Made by
/// [`Link::call_all`](crate::Link::call_all).
///
/// When the link ends, each of them ends as a [`PendingCall`](crate::PendingCall) does.
///
/// # Cancel safety
/// Dropping it sends CANCEL for each call whose answer is not there; answers that were not taken are lost.
///
/// ```
/// # use bytes::Bytes;
/// # use triune_ipc::{Config, Request, connect};
/// # use triune_wire::{BuildId, Hello, Message};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (one, other) = std::os::unix::net::UnixStream::pair()?;
/// # let config = |role| Config::new(Hello::new(BuildId::new([7; 16]), role, "example"));
/// # let (caller, callee) = tokio::try_join!(connect(one, config("root")), connect(other, config("actor")))?;
/// # let (link, driver, _incoming) = caller;
/// # let (_link, other_driver, mut incoming) = callee;
/// # let serve = async {
/// #     while let Some(Request::Call(call)) = incoming.recv().await {
/// #         let answer = call.args.to_ascii_uppercase();
/// #         call.responder.reply(answer);
/// #     }
/// # };
/// let words = ["one", "two", "three"].map(|word| Message::from(Bytes::from(word)));
/// let ask = async {
///     let mut calls = link.call_all(words.iter().map(|word| (0, word)));
///     let mut answers = Vec::new();
///     while let Some(answer) = calls.next().await {
///         answers.push(answer?);
///     }
///     link.goodbye();
///     Ok::<_, triune_ipc::CallEnd>(answers)
/// };
/// let (answers, (), _, _) = tokio::join!(ask, serve, driver.run(), other_driver.run());
/// assert_eq!(answers?, ["ONE", "TWO", "THREE"]);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping calls cancels them; await their results"]
pub struct PendingCalls {
    shared: Arc<Shared>,
    slots: VecDeque<usize>,
    /// Answers that were taken over.
    there: VecDeque<Result<Bytes, CallEnd>>,
}

impl PendingCalls {
    pub(crate) const fn new(shared: Arc<Shared>, slots: VecDeque<usize>) -> PendingCalls {
        PendingCalls { shared, slots, there: VecDeque::new() }
    }

    /// Waits for the next answer. `None` after the last.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<Result<Bytes, CallEnd>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, CallEnd>>> {
        if self.there.is_empty() && !self.slots.is_empty() {
            let PendingCalls { shared, slots, there } = self;
            shared.update(|state, wakes| {
                while let Some(slot) = slots.front() {
                    let Poll::Ready(answer) = state.take_terminal(*slot, cx.waker(), wakes) else { break };
                    slots.pop_front();
                    there.push_back(answer);
                }
            });
        }
        match self.there.pop_front() {
            None if !self.slots.is_empty() => Poll::Pending,
            answer => Poll::Ready(answer),
        }
    }
}

impl Drop for PendingCalls {
    fn drop(&mut self) {
        if self.slots.is_empty() {
            return;
        }
        self.shared.update(|state, wakes| {
            for slot in self.slots.drain(..) {
                state.cancel_request(slot, dropped, wakes);
                state.release_request(slot, wakes);
            }
        });
    }
}

impl fmt::Debug for PendingCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingCalls")
            .field("waiting", &self.slots.len())
            .field("there", &self.there.len())
            .finish_non_exhaustive()
    }
}
