//! What the two ends of a channel have in common, and where they come from.

use std::sync::Arc;

use super::receiver::Receiver;
use super::sender::Sender;
use super::state::{EndId, Shared};
use crate::lock::atomic::{AtomicBool, Ordering};

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
    (Sender::of(End::new(&shared, 0, false)), Receiver::of(End::new(&shared, 1, false)))
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
pub(super) struct End<T> {
    pub(super) shared: Arc<Shared<T>>,
    pub(super) id: EndId,
    /// Changed only under the channel's lock.
    pub(super) closed: AtomicBool,
}

impl<T> End<T> {
    pub(super) fn new(shared: &Arc<Shared<T>>, id: EndId, closed: bool) -> Self {
        Self { shared: Arc::clone(shared), id, closed: AtomicBool::new(closed) }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
