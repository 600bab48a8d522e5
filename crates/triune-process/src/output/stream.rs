//! One stream of one child: the reading end of a pipe, the end of what came, and what is yet to be passed on.

use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::SetOnce;

use super::tail::Tail;
use crate::stdio::Output;
use crate::sys;

/// How much may wait to be passed on: then the pipe fills, and the child waits.
const PENDING: usize = 256 * 1024;

/// The longest line that is passed on in one piece.
const LINE: usize = 8 * 1024;

/// Where a stream is passed on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Stdout,
    Stderr,
}

impl Target {
    /// A copy of our own stream, for a child that inherits it.
    pub(super) fn copy(self) -> io::Result<OwnedFd> {
        match self {
            Self::Stdout => sys::copy_of_stdout(),
            Self::Stderr => sys::copy_of_stderr(),
        }
    }

    fn write(self, bytes: &[u8]) {
        let mut stdout;
        let mut stderr;
        let stream: &mut dyn Write = match self {
            Self::Stdout => {
                stdout = io::stdout().lock();
                &mut stdout
            }
            Self::Stderr => {
                stderr = io::stderr().lock();
                &mut stderr
            }
        };
        // A closed output is no reason to stop the child: what it says is kept all the same.
        let _nobody_reads = stream.write_all(bytes).and_then(|()| stream.flush());
    }
}

/// One stream of one child.
#[derive(Debug)]
pub(super) struct Stream {
    output: Output,
    target: Target,
    prefix: String,
    state: Mutex<State>,
    /// Nobody holds the child any more.
    abandoned: AtomicBool,
    /// Set when everything is passed on and nothing can come any more.
    ended: SetOnce<()>,
}

#[derive(Debug)]
struct State {
    /// `None` when the other end is closed.
    fd: Option<Arc<OwnedFd>>,
    tail: Tail,
    pending: Vec<u8>,
}

impl Stream {
    pub(super) fn new(fd: OwnedFd, output: Output, target: Target, name: &str) -> Self {
        let prefix = format!("{name}: ");
        let state = State { fd: Some(Arc::new(fd)), tail: Tail::default(), pending: Vec::new() };
        let (state, abandoned, ended) = (Mutex::new(state), AtomicBool::new(false), SetOnce::new());
        Self { output, target, prefix, state, abandoned, ended }
    }

    /// The pipe, as long as something may come.
    pub(super) fn fd(&self) -> Option<Arc<OwnedFd>> {
        self.state().fd.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what is there, and gives the end of all that has come.
    pub(super) fn read_to_tail(&self) -> String {
        let mut state = self.state();
        state.read(self.output);
        state.tail.text()
    }

    /// Reads, and passes on. Only the relay calls it. False when there is nothing more to come, or nobody to hear it.
    pub(super) fn pass_on(&self) -> bool {
        let mut state = self.state();
        state.read(self.output);
        let last = state.fd.is_none() || self.abandoned.load(Ordering::Acquire);
        let bytes = state.take_pending(self.output, last);
        drop(state);
        if !bytes.is_empty() {
            match self.output {
                Output::Relay => self.target.write(&self.prefixed(&bytes)),
                _ => self.target.write(&bytes),
            }
        }
        !last
    }

    fn prefixed(&self, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes.len() + self.prefix.len());
        for line in bytes.split_inclusive(|byte| *byte == b'\n').flat_map(|line| line.chunks(LINE)) {
            text.extend(self.prefix.as_bytes());
            text.extend(line);
            if line.last() != Some(&b'\n') {
                text.push(b'\n');
            }
        }
        text
    }

    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    /// Nobody reads it any more.
    pub(super) fn end(&self) {
        self.state().fd = None;
        // The relay lets go of it once.
        let _first = self.ended.set(());
    }

    pub(super) async fn ended(&self) {
        self.ended.wait().await;
    }
}

impl State {
    /// Reads until the pipe is empty, or as much is pending as may be.
    fn read(&mut self, output: Output) {
        let mut buffer = [0; 16 * 1024];
        while let Some(fd) = &self.fd
            && self.pending.len() < PENDING
        {
            match sys::read(fd.as_fd(), &mut buffer) {
                Ok(read) if read > 0 => self.take(&buffer[..read], output),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                _ => self.fd = None,
            }
        }
    }

    fn take(&mut self, bytes: &[u8], output: Output) {
        self.tail.push(bytes);
        if output != Output::Capture {
            self.pending.extend(bytes);
        }
    }

    /// What can be passed on: all of it, or, line by line, the whole lines and what is too long for one.
    fn take_pending(&mut self, output: Output, last: bool) -> Vec<u8> {
        if output != Output::Relay || last || self.pending.len() >= LINE {
            return std::mem::take(&mut self.pending);
        }
        let whole = self.pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let rest = self.pending.split_off(whole);
        std::mem::replace(&mut self.pending, rest)
    }
}
