//! What a child writes, on its way through this process: kept, passed on, or both.
//!
//! * `stream`: one stream of one child: the pipe, its end, what is to be passed on;
//! * `tail`: the part of a stream that is kept, and what was said before a long backtrace;
//! * `relay`: the thread that reads all of them.
//!
//! Invariants:
//! 1. What is kept is bounded, however much a child writes and however long its lines are.
//! 2. Passing on needs no runtime and no other thread: a stuck event loop does not stop the children's words, nor the
//!    children.
//! 3. What a child has written before its end is there when its end is known: whoever asks for the tail reads the pipe
//!    empty first.
//! 4. The relay passes on in the order of the pipe, and only it writes.

mod relay;
mod stream;
mod tail;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::stdio::{Output, Stdio};
use crate::sys;
use stream::{Stream, Target};

/// The streams of one child that pass through this process. Dropped, they are read to what is there and let go.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    stdout: Option<Arc<Stream>>,
    stderr: Option<Arc<Stream>>,
}

impl Outputs {
    /// Opens the streams of a child called `name`: what stays here, and the child's standard output and error.
    pub(crate) fn open(stdio: Stdio, name: &str) -> io::Result<(Self, OwnedFd, OwnedFd)> {
        let (stdout, their_stdout) = open(stdio.stdout, Target::Stdout, name)?;
        let (stderr, their_stderr) = open(stdio.stderr, Target::Stderr, name)?;
        let outputs = Self { stdout, stderr };
        for stream in outputs.streams() {
            relay::add(stream)?;
        }
        Ok((outputs, their_stdout, their_stderr))
    }

    fn streams(&self) -> impl Iterator<Item = &Arc<Stream>> {
        self.stdout.iter().chain(&self.stderr)
    }

    /// The end of what the child has written to its standard output so far, if it is kept.
    pub(crate) fn stdout_tail(&self) -> String {
        self.stdout.as_ref().map(|stream| tail(stream)).unwrap_or_default()
    }

    /// The same for its standard error.
    pub(crate) fn stderr_tail(&self) -> String {
        self.stderr.as_ref().map(|stream| tail(stream)).unwrap_or_default()
    }

    /// Waits until everything has been passed on and nobody can write any more.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn drained(&self) {
        for stream in self.streams() {
            stream.ended().await;
        }
    }
}

/// How long the end of the program waits until everything is passed on.
const FLUSH: Duration = Duration::from_secs(1);

/// Waits until the relay has passed on what children that have ended have written, and lets it go.
pub(crate) fn flush() {
    let until = Instant::now() + FLUSH;
    while !relay::dismiss() && Instant::now() < until {
        std::thread::park_timeout(Duration::from_micros(200));
    }
}

fn tail(stream: &Stream) -> String {
    let tail = stream.read_to_tail();
    // There may be something to pass on now that the relay does not know of.
    relay::wake();
    tail
}

fn open(output: Output, target: Target, name: &str) -> io::Result<(Option<Arc<Stream>>, OwnedFd)> {
    match output {
        Output::Null => Ok((None, sys::open_null()?)),
        Output::Inherit => Ok((None, target.copy()?)),
        Output::Forward | Output::Relay | Output::Capture => {
            let (reader, writer) = sys::pipe()?;
            Ok((Some(Arc::new(Stream::new(reader, output, target, name))), writer))
        }
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        for stream in self.streams() {
            stream.abandon();
        }
        if self.streams().next().is_some() {
            relay::wake();
        }
    }
}
