//! What the benchmarks share: runtimes of one flavour, a raw echo process, and an open nursery with an actor in it.
//!
//! Every comparison is made in one run, with the same runtime flavour on both sides. Start a benchmark whose ratios
//! matter three times: free, and pinned with `taskset -c 0` and `taskset -c 0,1`; where the scheduler puts the two
//! ends decides more than the code does.

pub mod bare;
pub mod compare;
pub mod fork;
pub mod gate;

use std::borrow::Borrow;
use std::io;
use std::os::unix::net::UnixStream as StdStream;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use triune::Run;
use triune::actor::ActorBuilder;
use triune::prelude::*;
use triune::worker::Program;
use triune_process::{Boot, Process, ROLES, Role, Spec};

/// The flavours of the runtime that a benchmark is run on, as [`Bench::of`] takes them.
pub const FLAVOURS: [&str; 2] = ["current_thread", "multi_thread"];

/// The size of the payload of a small message, in bytes.
pub const SMALL: usize = 64;

/// A payload of [`SMALL`] bytes.
#[must_use]
pub fn small() -> Vec<u8> {
    vec![7; SMALL]
}

/// The job of the round trips: gives back what it gets.
#[triune::job]
pub fn echo_job(payload: Vec<u8>) -> Vec<u8> {
    payload
}

/// This program as another one, whose jobs are called by name.
///
/// # Panics
///
/// If the system does not say where it is.
pub fn own_program() -> Program {
    Program::new(std::env::current_exe().expect("a program has a path"))
}

/// The endpoint of the round trips: gives back what it gets.
///
/// # Cancel safety
///
/// There is no await to be cancelled at.
#[triune::endpoint]
pub async fn echo_endpoint(payload: Vec<u8>) -> Vec<u8> {
    payload
}

/// A runtime that closes its run before it goes, so that no process is left.
#[derive(Debug)]
pub struct Bench {
    runtime: Runtime,
}

impl Bench {
    /// A runtime of one of the [`FLAVOURS`].
    ///
    /// # Panics
    ///
    /// If the system gives none.
    #[must_use]
    pub fn of(flavour: &str) -> Self {
        if flavour == "current_thread" { Self::current_thread() } else { Self::multi_thread() }
    }

    /// A current-thread runtime, as child processes have it.
    ///
    /// # Panics
    ///
    /// If the system gives none.
    #[must_use]
    pub fn current_thread() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { runtime: runtime.expect("the system gives a runtime") }
    }

    /// A runtime with two threads.
    ///
    /// # Panics
    ///
    /// If the system gives none.
    #[must_use]
    pub fn multi_thread() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Self { runtime: runtime.expect("the system gives a runtime") }
    }

    /// Runs a future to its end.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Starts a bare task, for what must be under way before a sample begins.
    pub fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        #[expect(
            clippy::disallowed_methods,
            reason = "a sample is no scope: what it starts is awaited in the next"
        )]
        self.runtime.spawn(future)
    }

    /// Opens a nursery with one actor, which stays open until the actor is dropped.
    ///
    /// # Panics
    ///
    /// If the actor does not start.
    #[must_use]
    pub fn actor(&self) -> OpenActor<&Bench> {
        OpenActor::new(self)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.runtime.block_on(async { Run::current().close().await });
    }
}

/// An actor in an open nursery, with the runtime that it lives in.
#[derive(Debug)]
pub struct OpenActor<B: Borrow<Bench>> {
    /// The way to the actor.
    pub portal: Portal,
    stop: Option<oneshot::Sender<()>>,
    open: Option<tokio::task::JoinHandle<Result>>,
    // Last, since the others end in it.
    bench: B,
}

impl<B: Borrow<Bench>> OpenActor<B> {
    /// Opens the nursery; it stays open until this is dropped.
    ///
    /// # Panics
    ///
    /// If the actor does not start.
    #[must_use]
    pub fn new(bench: B) -> Self {
        Self::configured(bench, |actor| actor)
    }

    /// The same with an actor of its own kind.
    ///
    /// # Panics
    ///
    /// If the actor does not start.
    #[must_use]
    pub fn configured<C>(bench: B, configure: C) -> Self
    where
        C: FnOnce(ActorBuilder<Nursery<'static>>) -> ActorBuilder<Nursery<'static>> + Send + 'static,
    {
        let (ready, portal) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = bench.borrow();
        // A bare task, because the nursery must stay open between the samples; `drop` waits for it.
        let open = runtime.spawn(nursery(async move |n| {
            let portal = configure(n.actor("echo")).start().await?;
            // The other side waits for it.
            let _taken = ready.send(portal);
            let _dropped = stopped.await;
            Ok(())
        }));
        let portal = runtime.block_on(portal).expect("the actor starts");
        Self { portal, stop: Some(stop), open: Some(open), bench }
    }

    /// The runtime that the actor lives in.
    pub fn bench(&self) -> &Bench {
        self.bench.borrow()
    }
}

impl<B: Borrow<Bench>> Drop for OpenActor<B> {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(open) = self.open.take() {
            let ended = self.bench.borrow().block_on(open);
            ended.expect("the nursery does not panic").expect("the actor stops gracefully");
        }
    }
}

/// A process that echoes messages of [`SMALL`] bytes over a raw socket, from a tokio runtime like an actor's: the floor.
#[derive(Debug)]
pub struct RawEcho {
    /// Killed and reaped when dropped.
    _process: Process,
    stream: UnixStream,
}

impl RawEcho {
    /// Starts the process.
    ///
    /// # Cancel safety
    ///
    /// A dropped start kills and reaps the process.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn start() -> Result<Self> {
        let (process, link) = triune_process::spawn(Spec::new("bench-echo", "bench-echo")).await?;
        Ok(Self { _process: process, stream: to_tokio(link)? })
    }

    /// One message there and back.
    ///
    /// # Cancel safety
    ///
    /// Not: a dropped round trip leaves its answer for the next.
    ///
    /// # Errors
    ///
    /// If the process is gone.
    pub async fn round_trip(&mut self, message: &mut [u8; SMALL]) -> io::Result<()> {
        self.stream.write_all(message).await?;
        self.stream.read_exact(message).await?;
        Ok(())
    }
}

fn to_tokio(link: StdStream) -> io::Result<UnixStream> {
    link.set_nonblocking(true)?;
    UnixStream::from_std(link)
}

#[linkme::distributed_slice(ROLES)]
static ECHO: Role = Role { name: "bench-echo", main: echo };

fn echo(boot: Boot) -> u8 {
    let link = boot.into_link();
    let end = Bench::current_thread().block_on(async move {
        let mut stream = to_tokio(link)?;
        let mut message = [0; SMALL];
        loop {
            stream.read_exact(&mut message).await?;
            stream.write_all(&message).await?;
        }
    });
    // The benchmark has closed its end.
    let _eof: Result<(), io::Error> = end;
    0
}
