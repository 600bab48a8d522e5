//! What the waiting task and the thread share, and the one place that starts the thread.
//!
//! A job goes through the stages below, forward only. All that it has belongs to its stage, so that it is gone when the
//! stage is over: before anybody hears of the end, and at once when a queued job is withdrawn.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::context::Blocking;
use super::job::Options;
use super::permit::Permit;
use crate::cancel::hold::{Grip, Hold};
use crate::cancel::leaf::Leaf;
use crate::cancel::node::Node;
use crate::cancel::wake::wake_all;
use crate::cancel::{CancelReason, Cause};
use crate::error::{Error, PanicError, Result};
use crate::lock::Mutex;
use crate::probe::census;
use crate::run::{LiveGuard, Run};
use crate::tree::TaskWait;

/// A thread job was not run: the runtime was shut down before a thread took it up, or the system gave no thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRun {
    /// What tokio said; `None` when it shuts down.
    no_thread: Option<String>,
}

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the thread job was not run: ")?;
        match &self.no_thread {
            None => f.write_str("the tokio runtime shuts down; await it before that"),
            Some(said) => {
                write!(f, "the system gave no thread ({said}); run fewer at a time, with a `limiter`")
            }
        }
    }
}

impl StdError for NotRun {}

type End<T> = std::thread::Result<Result<T>>;

enum Stage<T, F> {
    /// No thread has taken it up.
    Queued(F, Blocking, Resources),
    /// On its thread.
    Running(Resources),
    /// The closure has returned; somebody waits for its end.
    Done(End<T>),
    /// Nobody waits any more: withdrawn, read, or the end of an orphan.
    Over,
}

/// What a job has until its thread is done with it.
struct Resources {
    node: Arc<Node>,
    /// Given back when the closure has returned.
    _permit: Permit,
    /// The run waits for it; `None` once abandoned.
    live: Option<LiveGuard>,
    census: census::Entry,
}

struct Shared<T, F> {
    location: &'static Location<'static>,
    state: Mutex<State<T, F>>,
}

struct State<T, F> {
    stage: Stage<T, F>,
    waker: Option<Waker>,
    /// Nobody waits for the end.
    orphan: bool,
    /// Keeps what is above from being dropped by a cancel while the thread runs.
    hold: Option<Hold>,
}

/// Waits for a thread.
pub(super) struct Waiting<T, F> {
    shared: Arc<Shared<T, F>>,
    leaf: Leaf,
    abandon: bool,
    /// A cancel was seen; from then on only the thread's end matters.
    cancelled: bool,
}

impl<T, F> Waiting<T, F>
where
    F: FnOnce(&Blocking) -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    /// Queues the job for the next free thread of tokio's blocking pool.
    pub(super) fn start(job: F, context: Blocking, permit: Permit, run: &Run, options: &Options) -> Self {
        let node = Arc::clone(context.node());
        let hold = if options.abandon { None } else { node.parent().map(|above| above.hold(Grip::Firm)) };
        let resources = Resources {
            node,
            _permit: permit,
            live: Some(run.live_guard()),
            census: census::Entry::new(census::Kind::Thread),
        };
        let shared = Arc::new(Shared {
            location: options.location,
            state: Mutex::new(State {
                stage: Stage::Queued(job, context, resources),
                waker: None,
                orphan: false,
                hold,
            }),
        });
        let work = Work(Arc::clone(&shared));
        let span = tracing::Span::current();
        #[expect(clippy::disallowed_methods, reason = "the future that is returned waits for it")]
        let start = || tokio::task::spawn_blocking(move || span.in_scope(|| work.run()));
        // Where the system gives no thread tokio panics, and drops the work, which is an end as any other. The end arrives
        // by way of `shared`, so that nothing is lost with the handle.
        match catch_unwind(AssertUnwindSafe(start)) {
            Ok(started) => drop(started),
            Err(payload) => shared.was_refused(PanicError::caught(payload).message()),
        }
        Self { shared, leaf: Leaf::default(), abandon: options.abandon, cancelled: false }
    }
}

impl<T, F> Future for Waiting<T, F> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(end) = self.shared.poll_end(cx) {
            self.leaf = Leaf::default();
            return Poll::Ready(end.unwrap_or_else(|payload| resume_unwind(payload)));
        }
        if self.cancelled {
            return Poll::Pending;
        }
        let shown = TaskWait::on("thread job", Some(self.shared.location));
        let Poll::Ready(cancelled) = self.leaf.poll_for(shown, cx) else { return Poll::Pending };
        self.cancelled = true;
        self.leaf = Leaf::shown(shown, cx);
        if self.shared.withdraw() || (self.abandon && self.shared.give_up(true, cancelled.reason())) {
            return Poll::Ready(Err(cancelled.into()));
        }
        Poll::Pending
    }
}

impl<T, F> Drop for Waiting<T, F> {
    fn drop(&mut self) {
        if self.shared.withdraw() {
            return;
        }
        let reason = CancelReason::new(Cause::Dropped, "nobody waits for the thread job any more");
        self.shared.give_up(false, &reason);
    }
}

impl<T, F> Shared<T, F> {
    fn poll_end(&self, cx: &Context<'_>) -> Poll<End<T>> {
        let mut state = self.state.lock();
        if let Stage::Done(_) = state.stage
            && let Stage::Done(end) = std::mem::replace(&mut state.stage, Stage::Over)
        {
            // Unless the thread has given it up: whoever reads the end goes on, and nothing of the job is alive then.
            let hold = state.hold.take();
            drop(state);
            drop(hold);
            return Poll::Ready(end);
        }
        let old = state.waker.replace(cx.waker().clone());
        drop(state);
        drop(old);
        Poll::Pending
    }

    /// Takes the job back if no thread has taken it up, and drops it.
    fn withdraw(&self) -> bool {
        let mut state = self.state.lock();
        let Stage::Queued(..) = state.stage else { return false };
        let withdrawn = std::mem::replace(&mut state.stage, Stage::Over);
        let hold = state.hold.take();
        drop(state);
        drop((withdrawn, hold));
        true
    }

    /// Leaves a running job to itself, or drops an end that nobody reads; `false` if the job had ended.
    fn give_up(&self, abandon: bool, reason: &CancelReason) -> bool {
        let mut state = self.state.lock();
        let Stage::Running(resources) = &mut state.stage else {
            if abandon {
                return false;
            }
            // Just about to end, or ended unread.
            let end = std::mem::replace(&mut state.stage, Stage::Over);
            state.orphan = true;
            let hold = state.hold.take();
            drop(state);
            drop((end, hold));
            return false;
        };
        let node = Arc::clone(&resources.node);
        let live = abandon.then(|| {
            resources.census.forget();
            node.census.forget();
            resources.live.take()
        });
        state.orphan = true;
        let (waker, hold) = (state.waker.take(), state.hold.take());
        drop(state);
        drop((live, waker, hold));
        // The thread sees the cancel, and nothing of the caller is kept alive by it.
        node.cancel(reason.clone());
        node.unlink();
        let called_at = self.location;
        if abandon {
            tracing::warn!(%called_at, %reason, "a cancel abandoned a thread job, which runs on");
        } else {
            tracing::warn!(%called_at, "a thread job was dropped while it runs; the run waits for it");
        }
        true
    }

    /// There is no thread; the work was dropped, and with it all that it had.
    fn was_refused(&self, said: &str) {
        let refused = Stage::Done(Ok(Err(Error::new(NotRun { no_thread: Some(said.to_owned()) }))));
        let unread = std::mem::replace(&mut self.state.lock().stage, refused);
        drop(unread);
    }

    /// The thread takes the job up; `None` if it was withdrawn.
    fn begin(&self) -> Option<(F, Blocking)> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut state.stage, Stage::Over) {
            Stage::Queued(job, context, resources) => {
                state.stage = Stage::Running(resources);
                Some((job, context))
            }
            Stage::Over => None,
            Stage::Running(_) | Stage::Done(_) => unreachable!("a job is taken up once"),
        }
    }

    /// The closure has returned or will never run.
    fn finish(&self, end: End<T>) {
        let had = std::mem::replace(&mut self.state.lock().stage, Stage::Over);
        // Before anybody hears of the end: whoever does may count permits.
        drop(had);
        let mut state = self.state.lock();
        if state.orphan {
            drop(state);
            self.log_orphan(end);
            return;
        }
        state.stage = Stage::Done(end);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        // After the wake, so that a pass for which the hold is gone finds the end. Under the lock, so that it is gone for
        // whoever has read the end; a stranded wait never does.
        let mut state = self.state.lock();
        let held = state.hold.take().map(Hold::release);
        drop(state);
        held.into_iter().for_each(wake_all);
    }

    fn log_orphan(&self, end: End<T>) {
        let called_at = self.location;
        match end {
            Ok(Ok(value)) => drop(value),
            Ok(Err(error)) if error.is_cancelled() => {}
            Ok(Err(error)) => {
                tracing::warn!(%called_at, error = format!("{error:#}"), "a thread job that nobody waited for failed");
            }
            Err(payload) => {
                let panic = PanicError::caught(payload);
                tracing::error!(%called_at, %panic, "a thread job that nobody waited for panicked");
            }
        }
    }
}

/// The thread's side. It reports an end also when the runtime drops the job before a thread has taken it up.
struct Work<T, F>(Arc<Shared<T, F>>);

impl<T, F: FnOnce(&Blocking) -> Result<T>> Work<T, F> {
    fn run(self) {
        let Some((job, context)) = self.0.begin() else { return };
        let end = catch_unwind(AssertUnwindSafe(|| context.enter(job)));
        drop(context);
        self.0.finish(end);
    }
}

impl<T, F> Drop for Work<T, F> {
    fn drop(&mut self) {
        if matches!(self.0.state.lock().stage, Stage::Queued(..)) {
            self.0.finish(Ok(Err(Error::new(NotRun { no_thread: None }))));
        }
    }
}
