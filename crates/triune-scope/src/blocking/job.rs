//! `blocking::run(closure)`: a thread job as a future.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

use super::context::Blocking;
use super::permit::{self, Permit};
use super::thread::Waiting;
use crate::cancel::ambient;
use crate::cancel::boundary::heir;
use crate::cancel::node::Place;
use crate::error::Result;
use crate::run::Run;
use crate::sync::CapacityLimiter;

/// Runs a closure on a thread and waits for its result, as a part of the task and the scope of the caller.
///
/// The closure gets a [`Blocking`], with which it notices a cancel and calls async code. A panic of the closure goes on in the
/// caller. The future does nothing until it is polled.
///
/// # Cancel safety
///
/// In a cancelled scope no thread is started. Once the closure runs, a cancel does not end the wait: the closure is asked to end
/// ([`Blocking::check_cancelled`]), and what it returns is returned. See
/// [`abandon_on_cancel`](ThreadJob::abandon_on_cancel) for the other way. When foreign code drops the future, the closure
/// is asked to end, and the [`Run`](crate::Run) waits for it.
///
/// # Errors
///
/// Those of the closure; a cancel before the closure runs; [`NotRun`](super::NotRun) when the runtime goes away before, or
/// the system gives no thread.
///
/// # Panics
///
/// Awaiting it panics as the closure does, and outside of a tokio runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::blocking;
///
/// let sum = blocking::run(|b| {
///     let mut sum = 0_u64;
///     for number in 0..1000 {
///         b.check_cancelled()?;
///         sum += number;
///     }
///     Ok(sum)
/// })
/// .await?;
/// assert_eq!(sum, 499_500);
/// # Ok(()) }
/// ```
#[track_caller]
pub fn run<T, F>(job: F) -> ThreadJob<T, F>
where
    F: FnOnce(&Blocking) -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    let options = Options { abandon: false, limiter: None, location: Location::caller() };
    ThreadJob { stage: Stage::Ready(job, options) }
}

/// A job on a thread: a future that resolves to `Result<T>`; made by [`run`].
///
/// # Cancel safety
///
/// As [`run`] says: a cancel asks the closure to end and waits for it; a drop only asks.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::{CancelScope, blocking, sync::CapacityLimiter};
///
/// let lookups = CapacityLimiter::new(4);
/// let scope = CancelScope::new();
/// let (answer, wait_for_it) = std::sync::mpsc::channel::<()>();
/// let job = blocking::run(move |_| Ok(wait_for_it.recv().is_ok())).limiter(&lookups).abandon_on_cancel();
/// let canceller = scope.clone();
/// let (end, ()) = tokio::join!(scope.run(job), async { canceller.cancel("too slow") });
/// assert!(end.is_cancelled() || end.done().unwrap().is_err(), "it is not waited for");
/// drop(answer);
/// # Ok(()) }
/// ```
#[must_use = "a thread job does nothing until it is awaited"]
pub struct ThreadJob<T, F> {
    stage: Stage<T, F>,
}

enum Stage<T, F> {
    Ready(F, Options),
    Running(Pin<Box<dyn Future<Output = Result<T>> + Send>>),
    Done,
}

// The closure is never pinned: it is moved to its thread.
impl<T, F> Unpin for ThreadJob<T, F> {}

pub(super) struct Options {
    pub(super) abandon: bool,
    limiter: Option<CapacityLimiter>,
    pub(super) location: &'static Location<'static>,
}

impl<T, F> ThreadJob<T, F> {
    /// Returns [`Cancelled`](crate::Cancelled) at once when the scope is cancelled, and leaves the thread to itself.
    ///
    /// For calls into the system that nothing can interrupt and that do no harm when they end late. The thread keeps its
    /// place under the limiter, its result is dropped, the event is logged. The end of the program waits for it
    /// for a second only.
    pub fn abandon_on_cancel(self) -> Self {
        self.with(|options| options.abandon = true)
    }

    /// Takes a token of `limiter` for the time that the thread runs, instead of the
    /// [`default_limiter`](super::default_limiter).
    pub fn limiter(self, limiter: &CapacityLimiter) -> Self {
        self.with(|options| options.limiter = Some(limiter.clone()))
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        if let Stage::Ready(_, options) = &mut self.stage {
            change(options);
        }
        self
    }
}

impl<T, F> Future for ThreadJob<T, F>
where
    F: FnOnce(&Blocking) -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!(self.stage, Stage::Ready(..))
            && let Stage::Ready(job, options) = std::mem::replace(&mut self.stage, Stage::Done)
        {
            self.stage = Stage::Running(Box::pin(execute(job, options)));
        }
        let Stage::Running(running) = &mut self.stage else {
            panic!("a thread job was polled after it was done")
        };
        let end = std::task::ready!(running.as_mut().poll(cx));
        self.stage = Stage::Done;
        Poll::Ready(end)
    }
}

/// # Cancel safety
///
/// As [`run`].
async fn execute<T, F>(job: F, options: Options) -> Result<T>
where
    F: FnOnce(&Blocking) -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    let run = Run::current();
    let limiter = options.limiter.clone().unwrap_or_else(permit::default_limiter);
    let above = ambient::current();
    let node = heir();
    let permit = Permit::acquire(&run, limiter, above.as_ref().map(|above| &above.node), &node).await?;
    node.link(above.as_ref().map_or(run.root(), |above| &above.node), Place::OwnTask);
    let context = Blocking::new(node, above, Handle::current());
    Waiting::start(job, context, permit, &run, &options).await
}

impl<T, F> fmt::Debug for ThreadJob<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ThreadJob");
        match &self.stage {
            Stage::Ready(_, options) => out.field("called_at", &format_args!("{}", options.location)),
            Stage::Running(_) => out.field("stage", &"running"),
            Stage::Done => out.field("stage", &"done"),
        };
        out.finish_non_exhaustive()
    }
}
