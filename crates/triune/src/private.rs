//! What the expansions of the macros name. Not for direct use: nothing here is stable.
//!
//! Owns: the way of a program and of a test through triune (entry, runtime, run, signals, end), and how a program's end
//! becomes an exit code.

use std::any::Any;
use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::process::ExitCode;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use triune_scope::__testing::Counter;
use triune_scope::{CancelReason, Cause, Error, Run};

pub use linkme;
pub use triune_actor::__private as actor;
pub use triune_process::constructor;
pub use triune_worker::__private as worker;

/// How long threads that nobody can cancel (`spawn_blocking`) may hold up the end of the program.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(1);

/// How long the threads of a test's runtime have for letting go of what they hold.
const CENSUS_LIMIT: Duration = Duration::from_secs(1);

/// The code of a program that was ended by a panic, as any Rust program's.
const PANICKED: u8 = 101;

/// The runtime that an attribute asks for.
#[derive(Debug, Clone, Copy)]
pub struct RuntimeConfig {
    multi_thread: bool,
    worker_threads: Option<usize>,
    #[cfg(feature = "test-util")]
    start_paused: bool,
}

/// The clock of a test, for `start_paused = true`.
#[derive(Debug, Clone, Copy)]
pub struct TestClock;

/// That the clock can be paused. Without the feature nobody implements it, and the message says what to do.
#[diagnostic::on_unimplemented(
    message = "`start_paused` needs the feature `test-util` of `triune`",
    label = "this test asks for a clock that can be paused",
    note = "add the feature under `[dev-dependencies]`: `triune = {{ version = \"0.1\", features = [\"test-util\"] }}`"
)]
pub trait CanPause {}

#[cfg(feature = "test-util")]
impl CanPause for TestClock {}

impl RuntimeConfig {
    /// Everything on the thread of `main`.
    #[must_use]
    pub const fn current_thread() -> Self {
        Self::of(false)
    }

    /// As many threads as cores.
    #[must_use]
    pub const fn multi_thread() -> Self {
        Self::of(true)
    }

    const fn of(multi_thread: bool) -> Self {
        Self {
            multi_thread,
            worker_threads: None,
            #[cfg(feature = "test-util")]
            start_paused: false,
        }
    }

    /// So many threads.
    #[must_use]
    pub const fn worker_threads(mut self, threads: usize) -> Self {
        self.worker_threads = Some(threads);
        self
    }

    /// A clock that stands still while something can run, and then jumps to the next timer.
    #[must_use]
    #[cfg_attr(not(feature = "test-util"), expect(unused_mut, reason = "there is no such clock to ask for"))]
    pub fn start_paused<C: CanPause>(mut self, _clock: C) -> Self {
        #[cfg(feature = "test-util")]
        {
            self.start_paused = true;
        }
        self
    }

    fn build(self) -> io::Result<Runtime> {
        let mut builder =
            if self.multi_thread { Builder::new_multi_thread() } else { Builder::new_current_thread() };
        if let Some(threads) = self.worker_threads {
            builder.worker_threads(threads);
        }
        #[cfg(feature = "test-util")]
        builder.start_paused(self.start_paused);
        builder.enable_all().build()
    }
}

/// What `#[triune::main]` expands to.
pub fn main<F, Fut>(config: RuntimeConfig, main: F) -> ExitCode
where
    F: FnOnce() -> Fut,
    Fut: Future<Output: MainResult>,
{
    triune_process::init();
    let runtime = match config.build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format_args!("cannot start the tokio runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let (end, run) = runtime.block_on(async {
        let run = Run::current();
        // Not a system task: also while the run closes, the first signal is told by the exit code and the second one kills.
        let mut signals = pin!(triune_process::signals(run.clone()));
        // The first poll starts to listen, and there is nothing to poll afterwards.
        poll_fn(|cx| Poll::Ready(signals.as_mut().poll(cx).is_ready())).await;
        let end = caught(run.main(main())).await;
        run.close().await;
        (end, run)
    });
    runtime.shutdown_timeout(SHUTDOWN_LIMIT);
    // What the children wrote is shown, and not even the guardian is left, when this process has ended.
    triune_process::finish();
    let code = exit_code(end.map(|end| end.map(MainResult::end)), run.cancel_reason().as_ref());
    match run.system_panic() {
        // The hook has printed it.
        Some(_panic) => ExitCode::from(PANICKED),
        None => code,
    }
}

/// What `#[triune::test]` expands to.
///
/// # Panics
///
/// As the test does; also if its run was cancelled or a system task panicked, if there is no runtime to be had, and in
/// debug builds if an object of the runtime outlives the test.
pub fn test<F, Fut>(config: RuntimeConfig, name: &str, test: F) -> Fut::Output
where
    F: FnOnce() -> Fut,
    Fut: Future,
{
    triune_process::init();
    let runtime = config.build().expect("a test needs a tokio runtime");
    let (end, run, living) = runtime.block_on(async {
        let living = Counter::current();
        let run = Run::current();
        let end = caught(run.main(test())).await;
        run.close().await;
        (end, run, living)
    });
    runtime.shutdown_timeout(SHUTDOWN_LIMIT);
    let crash = run.system_panic();
    let reason = run.cancel_reason();
    // What is left of the run is none of the test's objects.
    drop(run);
    if let (Ok(_), Some(crash)) = (&end, crash) {
        panic!("test `{name}`: {crash}: {}", crash.message());
    }
    match end {
        Ok(Some(output)) => {
            assert_nothing_lives(name, &living);
            output
        }
        Ok(None) => {
            let reason = reason.as_ref().map_or("no reason was given", CancelReason::message);
            panic!("test `{name}` was cancelled: {reason}")
        }
        Err(payload) => resume_unwind(payload),
    }
}

/// The census at the end of a test, in debug builds: what is alive now is leaked.
#[track_caller]
fn assert_nothing_lives(test: &str, living: &Counter) {
    let start = Instant::now();
    while let Some(census) = living.read().filter(|census| !census.is_zero()) {
        // A thread of the runtime may still be about to let go of its last task.
        assert!(
            start.elapsed() < CENSUS_LIMIT,
            "test `{test}` has ended, but of its runtime there live {census}; what holds them outlives its nursery"
        );
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Awaits `future` and drops it. A panic is caught, so that the run can be closed before it goes on.
async fn caught<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(payload) => Poll::Ready(Err(payload)),
    })
    .await
}

/// What `main` may return: `()`, `ExitCode`, or a `Result` of these whose error can be shown by `Debug`.
#[diagnostic::on_unimplemented(
    message = "`main` cannot return `{Self}`",
    label = "not `()`, `ExitCode` or a `Result` of these",
    note = "return `triune::Result`, or a `Result` whose error implements `Debug`"
)]
pub trait MainResult {
    /// How the program ends.
    fn end(self) -> End;
}

/// How `main` ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// In good order.
    Good,
    /// With a code that it chose itself.
    Code(ExitCode),
    /// With an error.
    Failed {
        /// The report for the terminal.
        report: String,
        /// Whether it only says that the program was cancelled.
        cancelled: bool,
    },
}

impl MainResult for () {
    fn end(self) -> End {
        End::Good
    }
}

impl MainResult for ExitCode {
    fn end(self) -> End {
        End::Code(self)
    }
}

impl MainResult for std::convert::Infallible {
    fn end(self) -> End {
        match self {}
    }
}

impl<T: MainResult, E: Debug + 'static> MainResult for Result<T, E> {
    fn end(self) -> End {
        match self {
            Ok(value) => value.end(),
            Err(error) => {
                let triune: Option<&Error> = (&error as &dyn Any).downcast_ref();
                let cancelled = triune.is_some_and(Error::is_cancelled);
                End::Failed { report: format!("{error:?}"), cancelled }
            }
        }
    }
}

/// The exit code of the program. An error is shown here, when everything else is gone.
fn exit_code(end: Result<Option<End>, Box<dyn Any + Send>>, reason: Option<&CancelReason>) -> ExitCode {
    // As a shell expects of a program that a signal ended.
    let signalled = reason.and_then(|reason| match reason.cause() {
        Cause::Signal(number) => u8::try_from(128 + number).ok(),
        _ => None,
    });
    match end {
        Ok(Some(End::Code(code))) => code,
        Ok(Some(End::Good)) => signalled.map_or(ExitCode::SUCCESS, ExitCode::from),
        Ok(Some(End::Failed { report, cancelled })) => {
            // Whoever pressed Ctrl-C knows why the program was cancelled.
            if !(cancelled && signalled.is_some()) {
                complain(&report);
            }
            ExitCode::from(signalled.unwrap_or(1))
        }
        Ok(None) => {
            if signalled.is_none() {
                complain(&reason.map_or("cancelled", CancelReason::message));
            }
            ExitCode::from(signalled.unwrap_or(1))
        }
        // The hook has printed it.
        Err(_payload) => ExitCode::from(PANICKED),
    }
}

fn complain(what: &dyn std::fmt::Display) {
    use std::io::Write;
    let _nobody_to_tell = writeln!(io::stderr(), "error: {what}");
}
