//! A timer that nobody has to poll: it calls a waker when its time has come.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// How much too early a timer of tokio may be.
const TICK: Duration = Duration::from_millis(1);

/// Set as long as it lives.
#[derive(Debug)]
pub(crate) struct Alarm {
    _sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    /// Has `waker` woken at `at`; `None`, and it is not, if that has passed.
    ///
    /// The timer wakes it as well when it is shut down, so that whoever is woken asks [`is_due`](Self::is_due).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled.
    pub(crate) fn set(at: Instant, waker: &Waker) -> Option<Self> {
        let mut sleep = Box::pin(tokio::time::sleep_until(at));
        let mut polled = tokio::task::coop::unconstrained(sleep.as_mut());
        match Pin::new(&mut polled).poll(&mut Context::from_waker(waker)) {
            Poll::Pending => Some(Self { _sleep: sleep }),
            Poll::Ready(()) => None,
        }
    }

    /// Whether an alarm for `at` may go off now.
    pub(crate) fn is_due(at: Instant) -> bool {
        at <= Instant::now() + TICK
    }
}
