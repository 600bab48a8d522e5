//! A child process without triune: this executable, started by `Command` with a socket as its standard input.
//!
//! It is the floor of the process benchmarks. The child runs the same runtime as an actor, says hello, then serves
//! messages; or it says hello and spins, to be killed. Nothing here is checked, bounded or watched: that is what a
//! floor leaves out.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::process::Stdio;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::{Bench, fork, to_tokio};

const ROLE: &str = "TRIUNE_BENCH_BARE";
pub(crate) const HELLO: u8 = 1;

/// What a bare child does after its hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// Reads messages and answers each with its length.
    Serve,
    /// Computes for ever.
    Spin,
}

/// Sends a bare child into its role. To be called first in `main` of a benchmark that uses [`Bare`].
pub fn enter() {
    match std::env::var(ROLE).as_deref() {
        Ok("serve") => serve(),
        Ok("spin") => spin(),
        Ok("fork") => fork::serve(),
        _ => {}
    }
}

/// A bare child and the parent's end of its socket. Killed when dropped; tokio reaps.
#[derive(Debug)]
pub struct Bare {
    child: Child,
    stream: UnixStream,
}

impl Bare {
    /// Starts a child and waits for its hello.
    ///
    /// # Cancel safety
    ///
    /// A dropped start kills the child.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn start(role: Role) -> io::Result<Self> {
        let (ours, theirs) = StdStream::pair()?;
        let role = if role == Role::Serve { "serve" } else { "spin" };
        let mut command = Command::from(command(role, theirs.into()));
        let child = command.kill_on_drop(true).spawn()?;
        drop(command);
        let mut stream = to_tokio(ours)?;
        stream.read_u8().await?;
        Ok(Self { child, stream })
    }

    /// Sends one message; the answer is its length.
    ///
    /// # Cancel safety
    ///
    /// Not: a dropped call leaves its answer for the next.
    ///
    /// # Errors
    ///
    /// If the child is gone.
    pub async fn call(&mut self, message: &[u8]) -> io::Result<u64> {
        self.stream.write_u64(message.len() as u64).await?;
        self.stream.write_all(message).await?;
        self.stream.read_u64().await
    }

    /// The child as tokio has it.
    #[must_use]
    pub fn into_child(self) -> Child {
        self.child
    }
}

/// This executable in a role, with a socket as its standard input.
pub(crate) fn command(role: &str, socket: OwnedFd) -> std::process::Command {
    #[expect(clippy::disallowed_methods, reason = "the floor is what one would write without triune")]
    let mut command = std::process::Command::new("/proc/self/exe");
    command.env(ROLE, role).stdin(Stdio::from(socket));
    command
}

fn serve() -> ! {
    // The parent has closed its end, or was never there.
    let _end = Bench::current_thread().block_on(async {
        let mut stream = to_tokio(StdStream::from(io::stdin().as_fd().try_clone_to_owned()?))?;
        stream.write_u8(HELLO).await?;
        let mut message = Vec::new();
        loop {
            let len = stream.read_u64().await?;
            message.resize(usize::try_from(len).map_err(io::Error::other)?, 0);
            stream.read_exact(&mut message).await?;
            stream.write_u64(message.len() as u64).await?;
        }
        #[expect(unreachable_code, reason = "it names the type of the block")]
        io::Result::Ok(())
    });
    std::process::exit(0)
}

fn spin() -> ! {
    let hello = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .and_then(|stream| StdStream::from(stream).write_all(&[HELLO]));
    if hello.is_err() {
        std::process::exit(1)
    }
    loop {
        std::hint::spin_loop();
    }
}
