//! `worker::run(job)`: one job as a future.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use triune_scope::__primitive::owed;
use triune_scope::sync::CapacityLimiter;
use triune_scope::{blocking, shield_unbounded};
use triune_wire::DecodeError;

use crate::arguments::INLINE;
use crate::error::RunError;
use crate::execute::{Request, execute};
use crate::format::Format;
use crate::job::Job;
use crate::pool::{Policy, PoolCore};

/// Runs a job in a worker process: in an idle one, or in a new one while there are fewer than cores.
///
/// The future does nothing until it is polled. What it is waiting for in turn: its place among the calls (first come,
/// first served), a worker, the result.
///
/// # Cancel safety
///
/// A cancel of the scope around it, seen at every wait, **kills** the worker; the call returns after the process is reaped.
/// Dropping the future kills at once too, and the run reaps. With [`Run::uncancellable`] a job that has begun runs to its
/// end instead.
///
/// # Errors
///
/// [`RunError`] says what became of the job: it failed, panicked, was cancelled, or its process died.
///
/// # Panics
///
/// Awaiting it panics outside of a tokio runtime.
///
/// ```
/// use triune_worker::{Job, RunError, job, run};
///
/// fn parse(text: String) -> Result<u32, std::num::ParseIntError> {
///     text.parse()
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// assert_eq!(run(job!(parse("7".to_owned()))).await?, 7);
///
/// let error = run(job!(parse("seven".to_owned()))).await.unwrap_err();
/// assert!(error.is_app());
/// assert_eq!(error.to_string(), "job `parse` failed: invalid digit found in string");
/// # Ok(()) })
/// # }
/// ```
pub fn run<O: DeserializeOwned + Send + 'static>(job: Job<O>) -> Run<O> {
    Run::new(job, None)
}

/// One run of a job: a future that resolves to `Result<O, RunError>`.
///
/// # Cancel safety
///
/// As [`run`] says: a cancel and a drop kill the worker, unless the job is [`uncancellable`](Run::uncancellable).
#[must_use = "a job does nothing until it is awaited"]
pub struct Run<O> {
    stage: Stage<O>,
    output: PhantomData<fn() -> O>,
}

enum Stage<O> {
    Ready(Request),
    Running(Pin<Box<dyn Future<Output = Result<O, RunError>> + Send>>),
    Done,
}

impl<O> Run<O> {
    pub(crate) fn new(job: Job<O>, pool: Option<Arc<PoolCore>>) -> Self {
        Run { stage: Stage::Ready(Request::new(job.call, pool)), output: PhantomData }
    }

    /// Lets a job that has begun run to its end: the caller is shielded from cancels until then, and gets the result.
    ///
    /// Until the job has begun (while it waits for its place, or for a worker to start) it can still be cancelled. If the
    /// future is dropped, the job runs on all the same, its result is discarded, it keeps its place in the limit, and the
    /// end of the program waits for it, for as long as [`triune_scope::Run::close`] waits.
    ///
    /// ```
    /// use triune_scope::{CancelScope, Outcome};
    /// use triune_worker::{job, run};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let scope = CancelScope::new();
    /// scope.cancel("too late");
    /// let job = async { run(job!(u64::isqrt(9))).uncancellable().await };
    /// assert!(!matches!(scope.run(job).await, Outcome::Done(Ok(_))), "it had not begun");
    /// assert_eq!(run(job!(u64::isqrt(9))).uncancellable().await?, 3);
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn uncancellable(self) -> Self {
        self.with(|request| request.policy = Policy::Finish)
    }

    /// Names this run in errors and logs. Default: the path of the function.
    ///
    /// ```
    /// use triune_worker::{job, run};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let error = run(job!(u32::pow(10, 10))).name("too much").await.unwrap_err();
    /// assert_eq!(error.job(), "too much");
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        self.with(|request| request.name = Some(name))
    }

    /// Kills the worker when the job has run for so long; the error is [`RunError::Timeout`]. The time begins when the job
    /// is sent to its worker: what it waits for before does not count. It holds for an
    /// [`uncancellable`](Self::uncancellable) job, too.
    ///
    /// ```
    /// use std::time::Duration;
    /// use triune_worker::{job, run};
    ///
    /// fn forever() {
    ///     loop {
    ///         std::hint::spin_loop();
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let error = run(job!(forever())).timeout(Duration::from_millis(50)).await.unwrap_err();
    /// assert!(error.is_timeout());
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn timeout(self, limit: Duration) -> Self {
        self.with(|request| request.limit = Some(limit))
    }

    /// Takes a token of this limiter for as long as the job has its worker, instead of the pool's: see
    /// [`default_limiter`](crate::default_limiter).
    ///
    /// ```
    /// use triune_scope::sync::CapacityLimiter;
    /// use triune_worker::{job, run};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let licences = CapacityLimiter::new(1);
    /// let (one, other) = tokio::join!(
    ///     run(job!(std::process::id())).limiter(&licences),
    ///     run(job!(std::process::id())).limiter(&licences),
    /// );
    /// assert_eq!(one?, other?, "one after the other, in the same worker");
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn limiter(self, limiter: &CapacityLimiter) -> Self {
        self.with(|request| request.limiter = Some(limiter.clone()))
    }

    fn with(mut self, change: impl FnOnce(&mut Request)) -> Self {
        if let Stage::Ready(request) = &mut self.stage {
            change(request);
        }
        self
    }
}

impl<O: DeserializeOwned + Send + 'static> Future for Run<O> {
    type Output = Result<O, RunError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!(self.stage, Stage::Ready(_))
            && let Stage::Ready(request) = std::mem::replace(&mut self.stage, Stage::Done)
        {
            self.stage = Stage::Running(Box::pin(finished(request)));
        }
        let Stage::Running(running) = &mut self.stage else {
            panic!("a run of a job was polled after it was done")
        };
        let result = std::task::ready!(running.as_mut().poll(cx));
        self.stage = Stage::Done;
        Poll::Ready(result)
    }
}

/// # Cancel safety
///
/// As [`run`].
async fn finished<O: DeserializeOwned + Send + 'static>(request: Request) -> Result<O, RunError> {
    let (bytes, lease) = execute(&request).await?;
    let format = lease.format();
    if bytes.len() <= INLINE {
        let decoded = format.decode(&bytes);
        return match decoded {
            Ok(value) => {
                lease.release();
                Ok(value)
            }
            Err(error) => {
                // Bytes that are not of the type that both sides agreed on: the worker is not to be trusted.
                lease.kill().await;
                Err(RunError::decode_result(request.name(), error))
            }
        };
    }
    // The worker has nothing to do with how long it takes.
    lease.release();
    match decoded_elsewhere(bytes, format).await {
        Some(decoded) => decoded.map_err(|error| RunError::decode_result(request.name(), error)),
        None => Err(RunError::Closed { job: request.name().to_owned() }),
    }
}

/// Decodes a result: a large one on a thread. `None` if the runtime goes away.
///
/// # Cancel safety
///
/// Dropping it loses the value.
pub(crate) async fn decoded<O>(bytes: Bytes, format: Format) -> Option<Result<O, DecodeError>>
where
    O: DeserializeOwned + Send + 'static,
{
    if bytes.len() <= INLINE {
        return Some(format.decode(&bytes));
    }
    decoded_elsewhere(bytes, format).await
}

/// Decodes a large result on a thread. The job is done, so a cancel comes too late. `None` if the runtime goes away.
///
/// # Cancel safety
///
/// Dropping it loses the value.
async fn decoded_elsewhere<O>(bytes: Bytes, format: Format) -> Option<Result<O, DecodeError>>
where
    O: DeserializeOwned + Send + 'static,
{
    let decodes = blocking::run(move |_| Ok(format.decode(&bytes)));
    owed("decoding of a result", shield_unbounded(decodes)).await.ok()
}

impl<O> fmt::Debug for Run<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Ready(request) => {
                return f.debug_struct("Run").field("job", &request.name()).finish_non_exhaustive();
            }
            Stage::Running(_) => "running",
            Stage::Done => "done",
        };
        f.debug_struct("Run").field("stage", &stage).finish_non_exhaustive()
    }
}
