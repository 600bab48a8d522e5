//! The two ends of a channel.

use crate::lock::atomic::{AtomicBool, Ordering};
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::error::{RecvError, SendError, SendErrorKind, TryRecvError, TrySendError};
use super::state::{ChannelStatistics, EndId, Offered, Receiving, Refusal, Sending, Shared};
use crate::error::Cancelled;
use crate::sync::queue::Key;
use crate::sync::wait::{Progress, Source, Wait};

/// A channel whose buffer holds `capacity` values. With 0, a value goes from hand to hand: a send ends when a receiver
/// has taken its value.
///
/// Both ends can be cloned; each value goes to one receiver, in order.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::{nursery, sync::channel};
///
/// let (sender, receiver) = channel(0);
/// nursery(async |n| {
///     n.spawn(async move {
///         for number in 0..3 {
///             sender.send(number).await?;
///         }
///         Ok(()) // Dropping the sender ends the channel.
///     });
///     let mut sum = 0;
///     while let Some(number) = receiver.recv_or_end().await? {
///         sum += number;
///     }
///     assert_eq!(sum, 3);
///     Ok(())
/// })
/// .await
/// # }
/// ```
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared::new(capacity));
    let sender = End { shared: Arc::clone(&shared), id: 0, closed: AtomicBool::new(false) };
    let receiver = End { shared, id: 1, closed: AtomicBool::new(false) };
    (Sender { end: sender }, Receiver { end: receiver, streaming: Progress::default() })
}

/// A channel whose buffer grows without limit: a sender that is faster than the receivers fills the memory.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::sync::unbounded_channel;
///
/// let (sender, receiver) = unbounded_channel();
/// for number in 0..1000 {
///     sender.try_send(number).unwrap();
/// }
/// assert_eq!(receiver.recv().await?, 0);
/// assert_eq!(receiver.statistics().buffered, 999);
/// # Ok(()) }
/// ```
pub fn unbounded_channel<T>() -> (Sender<T>, Receiver<T>) {
    channel(usize::MAX)
}

/// What both kinds of end have.
#[derive(Debug)]
struct End<T> {
    shared: Arc<Shared<T>>,
    id: EndId,
    /// Changed only under the channel's lock.
    closed: AtomicBool,
}

impl<T> End<T> {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// The sending end of a [`channel`]. A clone is another end of the same channel.
///
/// The channel ends when all its senders are closed or dropped. A clone of a closed sender is closed.
pub struct Sender<T> {
    end: End<T>,
}

impl<T> Sender<T> {
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
        Self { end: End { shared: Arc::clone(&self.end.shared), id, closed: AtomicBool::new(closed) } }
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

/// The receiving end of a [`channel`]. A clone is another end of the same channel.
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
        let end = End { shared: Arc::clone(&self.end.shared), id, closed: AtomicBool::new(closed) };
        Self { end, streaming: Progress::default() }
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
