//! A link and the work that uses it, in one task.
//!
//! What the link reads wakes the work, and what the work queues wakes the link. Within one task, such a wake needs no way through the
//! runtime: whichever was woken is polled, until neither has woken the other. That saves a look at the system's event queue for each
//! call, and what a turn of the work has queued goes out in one write.
//!
//! Invariants:
//! 1. A wake is never lost. It either comes within a poll, which then goes on for one more round, or wakes the task.
//! 2. A poll for which neither was woken polls both: the task may have been polled for a reason that only its owner knows.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::mux::Shared;
use crate::{Driver, LinkEnd};

/// How often the two are polled in turn before the runtime may look after others.
const ROUNDS: usize = 16;

/// The task is being polled.
const POLLING: u8 = 0b001;
/// The link was woken and was not polled since.
const LINK: u8 = 0b010;
/// The same for the work.
const WORK: u8 = 0b100;
/// There was something to read, which a caller may have read by now.
const READ: u8 = 0b1000;

impl Driver {
    /// Runs `work` to its end, and moves the link meanwhile, in the task of the caller: quicker than two tasks, because what one of them
    /// does for the other costs no wake-up. If the link ends before, `on_end` is told how, and the work is polled and goes on.
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
        let waker_of = |half| Waker::from(Arc::new(Half { half, both: Arc::clone(&both) }));
        let (link_waker, work_waker) = (waker_of(LINK), waker_of(WORK));
        let read_waker = self.lends.then(|| {
            let half = Half { half: READ, both: Arc::clone(&both) };
            Waker::from(Arc::new(Lent { shared: Arc::clone(&self.shared), half: Arc::new(half) }))
        });
        // The same as in `both`, without its lock.
        let mut followed = None;
        poll_fn(|outer| {
            if !followed.as_ref().is_some_and(|task: &Waker| task.will_wake(outer.waker())) {
                both.follow(outer.waker());
                followed = Some(outer.waker().clone());
            }
            let mut due = both.begin();
            for _ in 0..ROUNDS {
                if due & READ != 0 && self.shared.reader.take_event() {
                    due |= LINK;
                }
                if due & LINK != 0
                    && on_end.is_some()
                    && let cx = &mut Context::from_waker(&link_waker)
                    && let Poll::Ready(end) = self.poll_drive_lending(cx, read_waker.as_ref())
                    && let Some(on_end) = on_end.take()
                {
                    on_end(end);
                    due |= WORK;
                }
                // What the link has read has woken the work.
                due |= both.take(WORK);
                if due & WORK != 0
                    && let Poll::Ready(output) = work.as_mut().poll(&mut Context::from_waker(&work_waker))
                {
                    return Poll::Ready(output);
                }
                if both.rest() {
                    return Poll::Pending;
                }
                due = both.take(LINK | WORK | READ);
            }
            both.give_way();
            outer.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}

/// What the wakers of the two share.
struct Both {
    state: AtomicU8,
    task: Mutex<Waker>,
}

/// The waker of one of them.
struct Half {
    half: u8,
    both: Arc<Both>,
}

impl Both {
    /// Whoever polls now is to be woken.
    fn follow(&self, task: &Waker) {
        let mut current = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, task.clone());
        drop(current);
        drop(old);
    }

    /// The poll begins. Gives those that are to be polled.
    fn begin(&self) -> u8 {
        match self.state.swap(POLLING, Ordering::AcqRel) & (LINK | WORK | READ) {
            0 => LINK | WORK,
            woken => woken,
        }
    }

    /// Those of these that were woken.
    fn take(&self, halves: u8) -> u8 {
        self.state.fetch_and(!halves, Ordering::AcqRel) & halves
    }

    /// The poll is over. False if one was woken in it.
    fn rest(&self) -> bool {
        self.state.compare_exchange(POLLING, 0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The poll is over although one was woken. The task is woken, and its next poll polls both.
    fn give_way(&self) {
        self.state.store(0, Ordering::Release);
    }
}

impl Wake for Half {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Half { half, both } = &**self;
        if both.state.fetch_or(*half, Ordering::AcqRel) == 0 {
            let task = both.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
            task.wake();
        }
    }
}

/// The waker for what can be read on a link that is lent: wakes the caller, too, for whom it most likely is.
struct Lent {
    shared: Arc<Shared>,
    half: Arc<Half>,
}

impl Wake for Lent {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Lent { shared, half } = &**self;
        shared.reader.tell_event();
        // First, so that it reads if both are polled by one thread.
        let caller = shared.lock().lone_waiter();
        caller.into_iter().for_each(Waker::wake);
        half.wake_by_ref();
    }
}

#[cfg(test)]
mod tests;
