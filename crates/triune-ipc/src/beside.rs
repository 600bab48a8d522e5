//! A link and the work that uses it, in one task.
//!
//! What the link reads wakes the work, and what the work queues wakes the link. Within one task, such a wake needs no way through the
//! runtime: the two are polled in turn until neither has woken the other. That saves a look at the system's event queue for each
//! call, and what a turn of the work has queued goes out in one write.
//!
//! Invariant: a wake is never lost. It either comes within a poll, which then goes on for one more round, or wakes the task.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::{Driver, LinkEnd};

/// How often the two are polled in turn before the runtime may look after others.
const ROUNDS: usize = 16;

/// The task is being polled.
const POLLING: u8 = 0b01;
/// It was woken since the round began, or since it was polled.
const WOKEN: u8 = 0b10;

impl Driver {
    /// Runs `work` to its end, and moves the link meanwhile, in the task of the caller: quicker than two tasks, because what one of them
    /// does for the other costs no wake-up. If the link ends before, `on_end` is told how, and the work goes on.
    ///
    /// As after [`drive`](Driver::drive), the waits on the link stay pending at its end until the owner tells them by
    /// [`Link::close`](crate::Link::close), in `on_end` for instance, or drops the driver.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work`; the link is as it was, and meanwhile nothing moves.
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use triune_ipc::{Config, Request, connect};
    /// # use triune_wire::{BuildId, Hello};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (one, other) = std::os::unix::net::UnixStream::pair()?;
    /// # let config = |role| Config::new(Hello::new(BuildId::new([7; 16]), role, "example"));
    /// let (caller, callee) = tokio::try_join!(connect(one, config("root")), connect(other, config("actor")))?;
    /// let (link, mut driver, _incoming) = caller;
    /// let (_link, mut other_driver, mut incoming) = callee;
    ///
    /// let serve = async {
    ///     while let Some(Request::Call(call)) = incoming.recv().await {
    ///         let answer = call.args.to_ascii_uppercase();
    ///         call.responder.reply(answer);
    ///     }
    /// };
    /// let ask = async { link.call(0, Bytes::from_static(b"hello")).await };
    /// tokio::select! {
    ///     answer = driver.drive_beside(ask, |end| panic!("{end}")) => assert_eq!(&answer?[..], b"HELLO"),
    ///     () = other_driver.drive_beside(serve, |end| panic!("{end}")) => unreachable!("the link goes on"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn drive_beside<F: Future>(&mut self, work: F, on_end: impl FnOnce(LinkEnd)) -> F::Output {
        let mut work = pin!(work);
        let mut on_end = Some(on_end);
        let both = Arc::new(Both { state: AtomicU8::new(0), task: Mutex::new(Waker::noop().clone()) });
        let waker = Waker::from(Arc::clone(&both));
        poll_fn(|outer| {
            both.follow(outer.waker());
            let mut cx = Context::from_waker(&waker);
            for _ in 0..ROUNDS {
                both.state.store(POLLING, Ordering::Release);
                if on_end.is_some()
                    && let Poll::Ready(end) = self.poll_drive(&mut cx)
                    && let Some(on_end) = on_end.take()
                {
                    on_end(end);
                }
                if let Poll::Ready(output) = work.as_mut().poll(&mut cx) {
                    return Poll::Ready(output);
                }
                if both.rest() {
                    return Poll::Pending;
                }
            }
            both.state.store(WOKEN, Ordering::Release);
            outer.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}

/// The waker of both.
struct Both {
    state: AtomicU8,
    task: Mutex<Waker>,
}

impl Both {
    /// Whoever polls now is to be woken.
    fn follow(&self, task: &Waker) {
        let mut current = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        let old = (!current.will_wake(task)).then(|| std::mem::replace(&mut *current, task.clone()));
        drop(current);
        drop(old);
    }

    /// The round is over. False if there was a wake in it.
    fn rest(&self) -> bool {
        self.state.compare_exchange(POLLING, 0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.fetch_or(WOKEN, Ordering::AcqRel) == 0 {
            let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests;
