//! The receiving end of a channel, and the wait for a value.

use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::ends::End;
use super::error::{RecvError, TryRecvError};
use super::state::{ChannelStatistics, Receiving, Refusal};
use crate::error::Cancelled;
use crate::sync::queue::Key;
use crate::sync::wait::{Progress, Source, Wait};

/// The receiving end of a [`channel`](super::channel). A clone is another end of the same channel.
///
/// When all receivers are closed or dropped, the buffer is dropped and senders fail. A clone of a closed receiver is
/// closed.
///
/// It is also a [`Stream`] of `Result<T, Cancelled>`, which ends with the channel.
pub struct Receiver<T> {
    end: End<T>,
    /// The wait of the stream.
    streaming: Progress,
}

impl<T> Receiver<T> {
    pub(super) fn of(end: End<T>) -> Self {
        Self { end, streaming: Progress::default() }
    }

    /// Receives a value, or waits for one.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; a value that was handed to a dropped wait goes to the next receiver.
    ///
    /// # Errors
    ///
    /// [`RecvError`]: the scope around it was cancelled, this receiver was closed, or the channel has ended.
    #[track_caller]
    pub fn recv(&self) -> impl Future<Output = Result<T, RecvError>> {
        let wait = Wait::new(Location::caller(), Recv { end: &self.end });
        async move {
            match wait.await {
                Ok(received) => received.map_err(RecvError::from),
                Err(cancelled) => Err(RecvError::Cancelled(cancelled)),
            }
        }
    }

    /// Receives a value, or waits for one; `None` when the channel has ended or this receiver was closed.
    ///
    /// # Cancel safety
    ///
    /// As that of [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the scope around it is cancelled before a value comes.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use triune_scope::sync::channel;
    ///
    /// let (sender, receiver) = channel(2);
    /// for number in [1, 2] {
    ///     sender.try_send(number).unwrap();
    /// }
    /// drop(sender);
    /// let mut sum = 0;
    /// while let Some(number) = receiver.recv_or_end().await? {
    ///     sum += number;
    /// }
    /// assert_eq!(sum, 3);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn recv_or_end(&self) -> impl Future<Output = Result<Option<T>, Cancelled>> {
        let wait = Wait::new(Location::caller(), Recv { end: &self.end });
        async move { wait.await.map(Result::ok) }
    }

    /// Receives a value if there is one.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`]: there is none, this receiver was closed, or the channel has ended.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use triune_scope::sync::{TryRecvError, channel};
    ///
    /// let (sender, receiver) = channel(1);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(1).await.unwrap();
    /// sender.close();
    /// assert!(sender.is_closed());
    /// assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(1), Err(TryRecvError::EndOfChannel)));
    /// # }
    /// ```
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut state = self.end.shared.state.lock();
        if self.end.is_closed() {
            return Err(TryRecvError::Closed);
        }
        let Some((value, waker)) = state.take(self.end.shared.capacity) else {
            return Err(if state.has_ended() { TryRecvError::EndOfChannel } else { TryRecvError::Empty });
        };
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Ok(value)
    }

    /// Closes this receiver: waits on it fail, and if it was the last one, the buffer is dropped and senders fail.
    /// Again does nothing.
    pub fn close(&self) {
        self.end.shared.close_receiver(self.end.id, &self.end.closed);
    }

    /// Whether this receiver was closed.
    pub fn is_closed(&self) -> bool {
        self.end.is_closed()
    }

    /// What is in the channel, who is open and how many wait.
    pub fn statistics(&self) -> ChannelStatistics {
        self.end.shared.statistics()
    }
}

impl<T> Stream for Receiver<T> {
    type Item = Result<T, Cancelled>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let polled = this.streaming.poll(&mut Recv { end: &this.end }, cx);
        if polled.is_ready() {
            this.streaming = Progress::default();
        }
        polled.map(|received| match received {
            Ok(received) => received.ok().map(Ok),
            Err(cancelled) => Some(Err(cancelled)),
        })
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let mut state = self.end.shared.state.lock();
        let closed = self.end.is_closed();
        state.receivers += usize::from(!closed);
        let id = state.next_end();
        drop(state);
        Self::of(End::new(&self.end.shared, id, closed))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.streaming.abandon(&mut Recv { end: &self.end });
        self.close();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("closed", &self.is_closed())
            .field("channel", &self.statistics())
            .finish()
    }
}

/// The wait for a value.
struct Recv<'a, T> {
    end: &'a End<T>,
}

impl<T> Recv<'_, T> {
    fn outcome(receiving: Receiving<T>) -> Result<T, Refusal> {
        receiving.outcome.expect("who is granted has its outcome")
    }
}

impl<T> Source for Recv<'_, T> {
    type Output = Result<T, Refusal>;

    const NAME: &'static str = "Receiver::recv";

    fn begin(&mut self, waker: &Waker) -> Result<Self::Output, Key> {
        let mut state = self.end.shared.state.lock();
        if self.end.is_closed() {
            return Ok(Err(Refusal::Closed));
        }
        if let Some((value, waker)) = state.take(self.end.shared.capacity) {
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
            return Ok(Ok(value));
        }
        if state.has_ended() {
            return Ok(Err(Refusal::Gone));
        }
        Err(state.receiving.push(Receiving { end: self.end.id, outcome: None }, waker.clone()))
    }

    fn take_granted(&mut self, key: Key, waker: &Waker) -> Result<Self::Output, Key> {
        let mut state = self.end.shared.state.lock();
        match state.receiving.take_granted(key, waker) {
            Ok(left) => {
                let received = Self::outcome(left.waiter);
                let wakers = if received.is_ok() { state.taken() } else { Vec::new() };
                drop(state);
                wakers.into_iter().for_each(Waker::wake);
                Ok(received)
            }
            Err((key, old)) => {
                drop(state);
                drop(old);
                Err(key)
            }
        }
    }

    fn withdraw(&mut self, key: Key) -> Option<Self::Output> {
        let left = self.end.shared.state.lock().receiving.remove(key);
        left.granted.then(|| Self::outcome(left.waiter))
    }

    fn keep(&mut self, received: &Self::Output) {
        if received.is_ok() {
            self.end.shared.taken();
        }
    }

    fn give_back(&mut self, received: Self::Output) {
        if let Ok(value) = received {
            self.end.shared.put_back(value);
        }
    }
}
