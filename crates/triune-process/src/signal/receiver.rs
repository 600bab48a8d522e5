//! A receiver of signals: Trio's `open_signal_receiver`.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::io::unix::AsyncFd;
use triune_scope::{Cancelled, FutureExt as _};

use super::kind::Signal;
use super::table;
use crate::sys;

/// Receives signals until it is dropped, instead of whatever they did before.
///
/// Any number of signals may be named. As long as the receiver lives, they have no other effect on this process: they do not
/// end it, they do not cancel the program (see [`signals`](crate::signals)), and handlers of others, also those of
/// `tokio::signal`, are not called. Children are not affected.
///
/// * A signal that comes several times before it is read is received once: signals carry no number of times.
/// * Where several of its signals are there, the receiver takes turns, so that none of them starves.
/// * When the receiver is dropped, the handling from before is there again, and what was not read is delivered to it: a
///   SIGTERM that nobody has read ends the program, or cancels it, as it would have done before. So no signal is lost.
/// * Receivers of the same signal may be nested: the last one that was opened gets it. They may go in any order.
///
/// Only a handler that somebody else installs while the receiver is open comes before it; it stays in place afterwards.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use triune_process::{Signal, open_signal_receiver};
///
/// let signals = open_signal_receiver([Signal::HUP, Signal::USR1])?;
/// # let hup = i32::from(Signal::HUP.number());
/// # std::process::Command::new("kill").arg(format!("-{hup}")).arg(std::process::id().to_string()).status()?;
/// match signals.recv().await? {
///     Signal::HUP => println!("reading the configuration again"),
///     signal => println!("{signal}: this is how I am"),
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`SignalReceiverError`]: a signal that no program can receive, none at all, or the system refuses.
///
/// # Panics
/// Outside of a tokio runtime, or in one without I/O.
pub fn open_signal_receiver(
    signals: impl IntoIterator<Item = Signal>,
) -> Result<SignalReceiver, SignalReceiverError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut wanted: Vec<Signal> = signals.into_iter().collect();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        return Err(SignalReceiverError::Nothing);
    }
    if let Some(signal) = wanted.iter().find(|signal| sys::UNRECEIVABLE.contains(&signal.number())) {
        return Err(SignalReceiverError::NotReceivable(*signal));
    }
    let bell = sys::watch(Arc::new(sys::signal_bell().map_err(SignalReceiverError::System)?));
    let mut open = Open {
        id: NEXT.fetch_add(1, Ordering::Relaxed),
        signals: Vec::new(),
        next: AtomicUsize::new(0),
        reading: AtomicBool::new(false),
        bell: bell.map_err(SignalReceiverError::System)?,
    };
    for signal in wanted {
        table::insert(signal, open.id).map_err(SignalReceiverError::System)?;
        // What fails from now on puts back what is open so far.
        open.signals.push(signal);
    }
    Ok(SignalReceiver { open: Arc::new(open), streaming: Mutex::new(None) })
}

/// Receives signals until it is dropped. See [`open_signal_receiver`].
///
/// It is also a [`Stream`] of the same, which does not end.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use triune_process::{Signal, open_signal_receiver};
///
/// let receiver = open_signal_receiver([Signal::USR2, Signal::USR1])?;
/// assert_eq!(receiver.signals(), [Signal::USR1, Signal::USR2]);
/// assert_eq!(receiver.try_recv(), None);
/// # Ok(())
/// # }
/// ```
pub struct SignalReceiver {
    open: Arc<Open>,
    /// The wait of the stream. The lock is never taken: it lets a receiver be lent to several threads.
    streaming: Mutex<Option<Streaming>>,
}

type Streaming = Pin<Box<dyn Future<Output = Result<Signal, SignalRecvError>> + Send>>;

/// What is in the table.
struct Open {
    id: u64,
    signals: Vec<Signal>,
    /// Whose turn it is.
    next: AtomicUsize,
    /// Somebody reads.
    reading: AtomicBool,
    bell: AsyncFd<Arc<OwnedFd>>,
}

impl SignalReceiver {
    /// Receives the next signal, or waits for one.
    ///
    /// # Cancel safety
    /// Nothing is lost: what this wait does not take, the next one does, or the handling from before.
    ///
    /// # Errors
    /// [`SignalRecvError`]: the scope around it was cancelled, or another task is waiting for a signal of this receiver.
    pub async fn recv(&self) -> Result<Signal, SignalRecvError> {
        self.open.recv().await
    }

    /// Receives a signal if there is one. Does not disturb a task that waits, but may be faster.
    #[must_use = "what is taken is not there any more"]
    pub fn try_recv(&self) -> Option<Signal> {
        self.open.try_recv()
    }

    /// The signals that it receives, each once, by number.
    #[must_use]
    pub fn signals(&self) -> &[Signal] {
        &self.open.signals
    }
}

impl Open {
    async fn recv(&self) -> Result<Signal, SignalRecvError> {
        let _reading = Reading::begin(&self.reading).ok_or(SignalRecvError::Busy)?;
        // Also one who is always served at once must notice a cancel, and let the others run.
        tokio::task::coop::consume_budget().await;
        match self.wait().cancellable().await {
            Ok(Ok(signal)) => Ok(signal),
            Ok(Err(error)) => Err(SignalRecvError::System(error)),
            Err(cancelled) => Err(SignalRecvError::Cancelled(cancelled)),
        }
    }

    fn try_recv(&self) -> Option<Signal> {
        let (first, count) = (self.next.load(Ordering::Relaxed), self.signals.len());
        let mut turns = (first..first + count).map(|turn| turn % count);
        let taken = turns.find(|at| table::take(self.signals[*at], self.id))?;
        self.next.store((taken + 1) % count, Ordering::Relaxed);
        Some(self.signals[taken])
    }

    async fn wait(&self) -> io::Result<Signal> {
        loop {
            if let Some(signal) = self.try_recv() {
                return Ok(signal);
            }
            // Silent first, looked at then: what rings in between rings again.
            self.bell.readable().await?.clear_ready();
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        for signal in &self.signals {
            table::remove(*signal, self.id);
        }
    }
}

impl Stream for SignalReceiver {
    type Item = Result<Signal, SignalRecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let streaming = this.streaming.get_mut().unwrap_or_else(PoisonError::into_inner);
        let wait = streaming.get_or_insert_with(|| {
            let open = Arc::clone(&this.open);
            Box::pin(async move { open.recv().await })
        });
        let received = ready!(wait.as_mut().poll(cx));
        *streaming = None;
        Poll::Ready(Some(received))
    }
}

impl fmt::Debug for SignalReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalReceiver").field("signals", &self.signals()).finish_non_exhaustive()
    }
}

/// The right to read, of which there is one.
struct Reading<'a>(&'a AtomicBool);

impl<'a> Reading<'a> {
    fn begin(reading: &'a AtomicBool) -> Option<Self> {
        (!reading.swap(true, Ordering::Acquire)).then_some(Self(reading))
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A receiver could not be opened.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_process::{Signal, SignalReceiverError, open_signal_receiver};
///
/// let kill = Signal::from_number(9).unwrap();
/// let error = open_signal_receiver([Signal::TERM, kill]).unwrap_err();
/// assert!(matches!(error, SignalReceiverError::NotReceivable(signal) if signal == kill));
/// assert!(matches!(open_signal_receiver([]), Err(SignalReceiverError::Nothing)));
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SignalReceiverError {
    /// No signal was named.
    Nothing,
    /// No program can receive this one.
    NotReceivable(Signal),
    /// The system refuses.
    System(io::Error),
}

impl fmt::Display for SignalReceiverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("a receiver without signals would wait for ever; name at least one"),
            Self::NotReceivable(signal) => {
                write!(
                    f,
                    "{signal} cannot be received: it ends or stops the process, or tells of a fault of the very code that runs"
                )
            }
            Self::System(_) => f.write_str("the system refuses a receiver of signals"),
        }
    }
}

impl StdError for SignalReceiverError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::System(error) => Some(error),
            Self::Nothing | Self::NotReceivable(_) => None,
        }
    }
}

/// No signal was received.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use triune_process::{Signal, SignalRecvError, open_signal_receiver};
///
/// let receiver = open_signal_receiver([Signal::USR1])?;
/// let (first, second) = tokio::join!(
///     async { tokio::time::timeout(std::time::Duration::from_millis(1), receiver.recv()).await.is_err() },
///     receiver.recv(),
/// );
/// assert!(first, "nobody has sent a signal");
/// assert!(matches!(second, Err(SignalRecvError::Busy)), "one task at a time");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SignalRecvError {
    /// The scope around it was cancelled before a signal came.
    Cancelled(Cancelled),
    /// Another task waits for a signal of this receiver.
    Busy,
    /// The runtime in which the receiver was opened is gone.
    System(io::Error),
}

impl fmt::Display for SignalRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled(_) => "no signal was received",
            Self::Busy => {
                "another task waits for a signal of this receiver already; give each task a receiver of its own, or let one of them pass the signals on"
            }
            Self::System(_) => "the receiver outlives the runtime in which it was opened",
        })
    }
}

impl StdError for SignalRecvError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Cancelled(cancelled) => Some(cancelled),
            Self::System(error) => Some(error),
            Self::Busy => None,
        }
    }
}
