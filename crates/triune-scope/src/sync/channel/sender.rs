//! The sending end of a channel, and the wait to send.

use std::fmt;
use std::panic::Location;
use std::task::Waker;

use super::ends::End;
use super::error::{SendError, SendErrorKind, TrySendError};
use super::state::{ChannelStatistics, Offered, Refusal, Sending};
use crate::sync::queue::Key;
use crate::sync::wait::{Source, Wait};

/// The sending end of a [`channel`](super::channel). A clone is another end of the same channel.
///
/// The channel ends when all its senders are closed or dropped. A clone of a closed sender is closed.
pub struct Sender<T> {
    end: End<T>,
}

impl<T> Sender<T> {
    pub(super) fn of(end: End<T>) -> Self {
        Self { end }
    }

    /// Sends a value: hands it to the first waiting receiver or puts it into the buffer, or waits for room.
    ///
    /// # Cancel safety
    ///
    /// Dropping it before its end drops the value, if it was not taken.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value: the scope around it was cancelled, this sender was closed, or all receivers are.
    #[track_caller]
    pub fn send(&self, value: T) -> impl Future<Output = Result<(), SendError<T>>> {
        self.send_at(Location::caller(), value)
    }

    /// # Cancel safety
    ///
    /// As that of [`send`](Self::send).
    async fn send_at(&self, location: &'static Location<'static>, value: T) -> Result<(), SendError<T>> {
        let mut wait = Wait::new(location, Send { end: &self.end, value: Some(value) });
        let kind = match (&mut wait).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(refusal)) => refusal.into(),
            Err(cancelled) => SendErrorKind::Cancelled(cancelled),
        };
        match wait.source.value.take() {
            Some(value) => Err(SendError::new(kind, value)),
            None => unreachable!("what was not sent is here"),
        }
    }

    /// Sends a value if it can be done without waiting.
    ///
    /// # Errors
    ///
    /// [`TrySendError`], with the value.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use triune_scope::sync::{TrySendError, channel};
    ///
    /// let (sender, receiver) = channel(1);
    /// assert!(sender.try_send("a").is_ok());
    /// assert_eq!(sender.try_send("b").unwrap_err(), TrySendError::Full("b"));
    /// drop(receiver);
    /// assert_eq!(sender.try_send("c").unwrap_err().into_value(), "c");
    /// # }
    /// ```
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let mut state = self.end.shared.state.lock();
        if self.end.is_closed() {
            return Err(TrySendError::Closed(value));
        }
        let offered = state.offer(value, self.end.shared.capacity);
        drop(state);
        match offered {
            Offered::Taken(waker) => {
                waker.into_iter().for_each(Waker::wake);
                Ok(())
            }
            Offered::Refused(value, refusal) => Err(TrySendError::refused(value, refusal)),
            Offered::Full(value) => Err(TrySendError::Full(value)),
        }
    }

    /// Closes this sender: waits on it fail, and if it was the last one, the channel ends. Again does nothing.
    pub fn close(&self) {
        self.end.shared.close_sender(self.end.id, &self.end.closed);
    }

    /// Whether this sender was closed.
    pub fn is_closed(&self) -> bool {
        self.end.is_closed()
    }

    /// What is in the channel, who is open and how many wait.
    pub fn statistics(&self) -> ChannelStatistics {
        self.end.shared.statistics()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        let mut state = self.end.shared.state.lock();
        let closed = self.end.is_closed();
        state.senders += usize::from(!closed);
        let id = state.next_end();
        drop(state);
        Self::of(End::new(&self.end.shared, id, closed))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("closed", &self.is_closed())
            .field("channel", &self.statistics())
            .finish()
    }
}

/// The wait to send a value; what was not sent is in `value` again.
struct Send<'a, T> {
    end: &'a End<T>,
    value: Option<T>,
}

/// Values are not pinned: a channel moves them.
impl<T> Unpin for Send<'_, T> {}

impl<T> Send<'_, T> {
    fn settle(&mut self, sending: Sending<T>) -> Result<(), Refusal> {
        self.value = sending.value;
        sending.refused.map_or(Ok(()), Err)
    }
}

impl<T> Source for Send<'_, T> {
    type Output = Result<(), Refusal>;

    const NAME: &'static str = "Sender::send";

    fn begin(&mut self, waker: &Waker) -> Result<Self::Output, Key> {
        let value = self.value.take().expect("a send begins once");
        let mut state = self.end.shared.state.lock();
        if self.end.is_closed() {
            drop(state);
            self.value = Some(value);
            return Ok(Err(Refusal::Closed));
        }
        match state.offer(value, self.end.shared.capacity) {
            Offered::Taken(waker) => {
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
                Ok(Ok(()))
            }
            Offered::Refused(value, refusal) => {
                drop(state);
                self.value = Some(value);
                Ok(Err(refusal))
            }
            Offered::Full(value) => {
                let sending = Sending { end: self.end.id, value: Some(value), refused: None };
                Err(state.sending.push(sending, waker.clone()))
            }
        }
    }

    fn take_granted(&mut self, key: Key, waker: &Waker) -> Result<Self::Output, Key> {
        let taken = self.end.shared.state.lock().sending.take_granted(key, waker);
        taken.map(|left| self.settle(left.waiter)).map_err(|(key, _old)| key)
    }

    fn withdraw(&mut self, key: Key) -> Option<Self::Output> {
        let left = self.end.shared.state.lock().sending.remove(key);
        let granted = left.granted;
        let settled = self.settle(left.waiter);
        granted.then_some(settled)
    }
}
