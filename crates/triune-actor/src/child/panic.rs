//! Panics in requests: caught, told to the caller with their place, and not printed here.
//!
//! The caller reports a panic once, with everything known about it; a second copy on the stderr of the actor would only be noise. A panic
//! outside of a request (a thread, a bare tokio task) prints as ever.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// How many panics of one request are remembered: its own, and those of children whose clean-up fails as well.
const MAX_SEEN: usize = 8;

thread_local! {
    /// Whether the code that runs now belongs to a request.
    static IN_REQUEST: Cell<bool> = const { Cell::new(false) };
    /// The panics of the poll that runs now.
    static SEEN: RefCell<Vec<Seen>> = const { RefCell::new(Vec::new()) };
}

/// A panic as the hook saw it.
#[derive(Debug)]
struct Seen {
    message: String,
    place: Place,
}

/// Where a panic happened, which its payload does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) location: Option<String>,
    pub(crate) backtrace: Option<String>,
}

/// A panic that ended a request.
#[derive(Debug)]
pub(crate) struct Caught {
    pub(crate) message: String,
    pub(crate) place: Place,
}

/// Makes the panics of requests silent, and all others go to the hook that was there before.
pub(crate) fn install_hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !IN_REQUEST.get() {
            return before(info);
        }
        remember(info);
    }));
}

fn remember(info: &PanicHookInfo<'_>) {
    let backtrace = std::backtrace::Backtrace::capture();
    let captured = backtrace.status() == std::backtrace::BacktraceStatus::Captured;
    let place = Place {
        location: info.location().map(ToString::to_string),
        backtrace: captured.then(|| backtrace.to_string()),
    };
    SEEN.with_borrow_mut(|seen| {
        if seen.len() < MAX_SEEN {
            seen.push(Seen { message: info.payload_as_str().unwrap_or_default().to_owned(), place });
        }
    });
}

/// Runs a request to its end or to its panic.
pub(crate) async fn catch<F: Future>(future: F) -> Result<F::Output, Caught> {
    let mut future = pin!(future);
    // A child of the request may panic in one poll and the panic be resumed in a later one, after its siblings have ended.
    let mut seen = Vec::new();
    std::future::poll_fn(move |cx| {
        let outer = IN_REQUEST.replace(true);
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        IN_REQUEST.set(outer);
        SEEN.with_borrow_mut(|now| seen.append(now));
        seen.truncate(MAX_SEEN);
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(payload) => Poll::Ready(Err(caught(&*payload, &mut seen))),
        }
    })
    .await
}

fn caught(payload: &(dyn Any + Send), seen: &mut Vec<Seen>) -> Caught {
    let message = triune_scope::PanicError::from_payload(payload).message().to_owned();
    // By the text, because the first one seen may have been caught by the endpoint itself.
    let at = seen.iter().position(|seen| seen.message == message);
    let place = at.map(|at| seen.swap_remove(at).place).unwrap_or_default();
    Caught { message, place }
}

#[cfg(test)]
mod tests;
