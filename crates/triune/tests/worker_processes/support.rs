//! What the tests share: the guard around a run, and jobs that stop at a gate so that no test has to guess a time.

use std::cell::RefCell;
use std::future::Future;
use std::io::{Read, Write};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use triune::__private::RuntimeConfig;
use triune::Result;
use triune::worker::{self, Statistics, WorkerKind, Workers};
use triune_testing::{LeakGuard, ProcessInfo, wait_gone};

/// How long anything may take that is bound to happen.
pub(crate) const SOON: Duration = Duration::from_secs(10);

thread_local! {
    /// How the workers of the test on this thread come to be.
    static KIND: RefCell<WorkerKind> = const { RefCell::new(WorkerKind::Spawn) };
}

/// Runs a test as a program of its own, on each runtime flavour; nothing of it may be left.
#[track_caller]
pub(crate) fn guarded<Fut: Future<Output = Result>>(name: &str, test: impl Fn() -> Fut) {
    guarded_as(&WorkerKind::Spawn, name, test);
}

/// The same for what depends on how workers are made: with those of a fork server, too.
#[track_caller]
pub(crate) fn guarded_by_kind<Fut: Future<Output = Result>>(name: &str, test: impl Fn() -> Fut) {
    guarded_as(&WorkerKind::Spawn, name, &test);
    guarded_once(&WorkerKind::ForkServer, name, &test);
}

/// The same with one kind of worker.
#[track_caller]
pub(crate) fn guarded_as<Fut: Future<Output = Result>>(
    kind: &WorkerKind,
    name: &str,
    test: impl Fn() -> Fut,
) {
    guarded_with(kind.clone(), RuntimeConfig::current_thread(), name, &test);
    guarded_with(kind.clone(), RuntimeConfig::multi_thread().worker_threads(2), name, &test);
}

/// The same where the flavour of the runtime has nothing to do with it.
#[track_caller]
pub(crate) fn guarded_once<Fut: Future<Output = Result>>(
    kind: &WorkerKind,
    name: &str,
    test: impl Fn() -> Fut,
) {
    guarded_with(kind.clone(), RuntimeConfig::current_thread(), name, &test);
}

#[track_caller]
fn guarded_with<Fut: Future<Output = Result>>(
    kind: WorkerKind,
    config: RuntimeConfig,
    name: &str,
    test: impl Fn() -> Fut,
) {
    KIND.set(kind.clone());
    let guard = LeakGuard::new();
    let outcome = triune::__private::test(config, name, async || {
        worker::configure_default(workers())?;
        test().await
    });
    if let Err(error) = outcome {
        panic!("{name} failed under {config:?} with workers of the kind {kind:?}: {error:?}");
    }
    guard.finish();
}

/// The default configuration, for workers of the kind that is being tested.
pub(crate) fn workers() -> Workers {
    Workers::new().kind(KIND.with_borrow(WorkerKind::clone))
}

/// Whether the workers of the test on this thread are forked.
pub(crate) fn are_forked() -> bool {
    KIND.with_borrow(|kind| matches!(kind, WorkerKind::ForkServer))
}

/// A place where jobs report and wait to be let through.
pub(crate) struct Gate {
    listener: UnixListener,
    folder: tempfile::TempDir,
}

/// A job that has arrived at a gate.
pub(crate) struct Arrival {
    pub(crate) process: ProcessInfo,
    pub(crate) ticket: u32,
    stream: UnixStream,
}

impl Gate {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self { listener: UnixListener::bind(folder.path().join("gate"))?, folder })
    }

    /// What a job needs to get there.
    pub(crate) fn path(&self) -> String {
        self.folder.path().join("gate").to_str().expect("the path of a temporary folder is text").to_owned()
    }

    pub(crate) async fn arrival(&self) -> Result<Arrival> {
        let (mut stream, _) = tokio::time::timeout(SOON, self.listener.accept()).await??;
        // What it says is its number in its own namespace.
        let _own_number = stream.read_u32().await?;
        let ticket = stream.read_u32().await?;
        let pid = stream.peer_cred()?.pid().and_then(|pid| u32::try_from(pid).ok());
        let process = pid.and_then(ProcessInfo::of).expect("it waits at the gate");
        Ok(Arrival { process, ticket, stream })
    }

    /// Whether nobody is waiting to be received.
    pub(crate) async fn is_quiet(&self) -> bool {
        // Two rounds through the event loop: what has already connected is seen.
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
        std::future::poll_fn(|cx| std::task::Poll::Ready(self.listener.poll_accept(cx).is_pending())).await
    }
}

impl Arrival {
    /// Lets the job end.
    pub(crate) async fn open(mut self) -> Result {
        self.stream.write_u8(1).await?;
        Ok(())
    }

    /// Waits until the process has closed its end, which only its death does before the gate is opened.
    pub(crate) async fn closed(&mut self) -> Result {
        let mut byte = [0];
        let read = tokio::time::timeout(SOON, self.stream.read(&mut byte)).await?;
        assert!(matches!(read, Ok(0) | Err(_)), "nobody writes here but a job that arrives");
        Ok(())
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.process.now().is_none()
    }
}

/// The job's side: reports, and waits.
fn arrive(path: &str, ticket: u32) -> std::os::unix::net::UnixStream {
    let mut stream =
        std::os::unix::net::UnixStream::connect(path).expect("the gate is open for the whole test");
    stream.write_all(&std::process::id().to_be_bytes()).expect("the gate reads");
    stream.write_all(&ticket.to_be_bytes()).expect("the gate reads");
    stream
}

/// In a job: waits at the gate.
pub(crate) fn wait_at(gate: &str, ticket: u32) {
    let mut stream = arrive(gate, ticket);
    stream.read_exact(&mut [0]).expect("the gate is opened");
}

/// Waits at the gate, then gives its process number.
#[triune::job]
pub(crate) fn pass(gate: String, ticket: u32) -> u32 {
    wait_at(&gate, ticket);
    std::process::id()
}

/// Reports at the gate, then computes for ever.
#[triune::job]
pub(crate) fn spin(gate: String) {
    let _open = arrive(&gate, 0);
    loop {
        std::hint::spin_loop();
    }
}

#[triune::job]
pub(crate) fn process_number() -> u32 {
    std::process::id()
}

pub(crate) fn kill(process: &ProcessInfo) {
    signal(process.pid, Signal::KILL);
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process number");
    kill_process(pid, signal).expect("it was there a moment ago");
}

/// A guardian that is stopped until this is dropped.
pub(crate) struct StoppedGuardian(u32);

impl StoppedGuardian {
    /// Stops the guardian of a process, and waits until it has stopped.
    pub(crate) fn of(process: &ProcessInfo) -> Self {
        let stopped = Self(process.parent);
        signal(stopped.0, Signal::STOP);
        assert!(triune_testing::wait_until(SOON, || stopped.is_stopped()));
        stopped
    }

    pub(crate) fn is_stopped(&self) -> bool {
        ProcessInfo::of(self.0).is_some_and(|guardian| guardian.state == 'T')
    }
}

impl Drop for StoppedGuardian {
    fn drop(&mut self) {
        signal(self.0, Signal::CONT);
    }
}

/// Kills the actor that owns a busy worker, while the guardian is stopped, and looks for the worker.
pub(crate) fn worker_dies_with_its_owner(owner: u32, worker: &ProcessInfo) {
    let guardian = StoppedGuardian::of(worker);
    signal(owner, Signal::KILL);
    // What DESIGN.md promises.
    wait_gone(std::slice::from_ref(worker), Duration::from_secs(1)).expect("its owner is gone");
    assert!(guardian.is_stopped(), "it was not the guardian");
}

/// Waits, with a blocked event loop, until the process is gone: what happens next finds it dead.
pub(crate) fn kill_and_wait(process: &ProcessInfo) {
    kill(process);
    // It is our child, so it stays a zombie until we look at events again; ask for less.
    assert!(
        triune_testing::wait_until(SOON, || ProcessInfo::of(process.pid).is_none_or(|now| now.state == 'Z'))
    );
}

pub(crate) fn gone_soon(process: &ProcessInfo) {
    wait_gone(std::slice::from_ref(process), SOON).expect("it was killed");
}

/// Waits until the pool looks as expected.
pub(crate) async fn pool_becomes(expected: impl Fn(&Statistics) -> bool) -> Result {
    let change = async {
        while !expected(&worker::statistics()) {
            tokio::task::yield_now().await;
        }
    };
    Ok(tokio::time::timeout(SOON, change).await?)
}
