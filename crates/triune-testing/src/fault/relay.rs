//! The relay: two threads, one per direction, that pass frames on and do what the plan says.
//!
//! Threads and blocking reads, because a relay must neither wait for the runtime that is tested nor be waited for by it.
//!
//! Invariants:
//! 1. A relay ends when either end of its link is closed: both threads, and with them all of its descriptors. An end
//!    that is closed closes the other; what was sent before it is delivered.
//! 2. It holds one piece of a frame per direction and no more: a side that does not read stops the other, as without it.
//! 3. No wait of a fault outlives the link.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};
use triune_wire::HEADER_LEN;

use super::injector::Log;
use super::plan::{Direction, Fault, Plan};

/// The most that is read at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// Puts a relay in front of `child`, the parent's end of a link, and gives the end that the parent shall use.
///
/// Without a process behind it, [`Fault::Kill`] and [`Fault::Stop`] do nothing, and [`Fault::Freeze`] is a cut. [`Injector`](super::Injector) does this to
/// the links of real children.
///
/// # Errors
///
/// If the system refuses sockets or threads.
pub fn relay(child: UnixStream, plan: Plan) -> io::Result<UnixStream> {
    start(child, plan, None, Arc::new(|_, _, _| {}))
}

pub(super) fn start(
    child: UnixStream,
    plan: Plan,
    process: Option<OwnedFd>,
    log: Log,
) -> io::Result<UnixStream> {
    let (parent, user) = UnixStream::pair()?;
    // One that was made non-blocking before would turn our reads into errors.
    child.set_nonblocking(false)?;
    let shared = Arc::new(Shared { plan, process, log, ended: Mutex::new(false), end: Condvar::new() });
    let ways = [
        (Direction::ToChild, parent.try_clone()?, child.try_clone()?),
        (Direction::FromChild, child, parent),
    ];
    for (direction, from, to) in ways {
        let way = Way { direction, from, to, shared: Arc::clone(&shared), frame: 0 };
        let thread = std::thread::Builder::new().name("fault-relay".to_owned());
        #[expect(
            clippy::disallowed_methods,
            reason = "must not depend on the runtime that is tested; ends with its link"
        )]
        thread.spawn(move || way.run())?;
    }
    Ok(user)
}

struct Shared {
    plan: Plan,
    process: Option<OwnedFd>,
    log: Log,
    ended: Mutex<bool>,
    end: Condvar,
}

impl Shared {
    /// Waits for this time, or until the link has ended.
    fn wait(&self, time: Duration) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // Both outcomes are fine.
        drop(self.end.wait_timeout_while(ended, time, |ended| !*ended));
    }

    fn signal(&self, signal: Signal) {
        let Some(process) = &self.process else { return };
        if let Err(error) = pidfd_send_signal(process, signal) {
            // It has ended by itself.
            tracing::debug!(%error, ?signal, "a fault came too late");
        }
    }
}

/// One direction of a link.
struct Way {
    direction: Direction,
    from: UnixStream,
    to: UnixStream,
    shared: Arc<Shared>,
    frame: u64,
}

/// What becomes of a frame on its way.
#[derive(Clone, Copy)]
enum Change {
    None,
    /// This byte is changed so.
    Flip(usize, u8),
    /// Only so many bytes arrive.
    Cut(usize),
}

/// How a direction ended.
#[derive(Clone, Copy, Debug)]
enum How {
    /// The sender closed its end.
    Closed,
    /// The receiver closed its end.
    Unwanted,
    /// By a fault.
    Cut,
}

impl Way {
    fn run(mut self) {
        let how = loop {
            match self.pass_one() {
                Ok(true) => {}
                Ok(false) => break How::Closed,
                Err(how) => break how,
            }
        };
        tracing::trace!(direction = ?self.direction, frames = self.frame, ?how, "a direction of a relay ends");
        if let How::Unwanted = how {
            // The receiver is gone; what it had sent is still on its way in the other direction, which then ends the rest.
            close(&self.from, Shutdown::Read);
            return;
        }
        // The link has one life, not two halves.
        close(&self.from, Shutdown::Both);
        close(&self.to, Shutdown::Both);
        *self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.end.notify_all();
    }

    /// Passes one frame on. False at the end of the link.
    fn pass_one(&mut self) -> Result<bool, How> {
        let mut header = [0; HEADER_LEN];
        let mut len = 0;
        while len < HEADER_LEN {
            match self.read(&mut header[len..])? {
                0 if len == 0 => return Ok(false),
                0 => break,
                more => len += more,
            }
        }
        let change = self.inject();
        if len < HEADER_LEN {
            // A sender that died in the middle of a header: the receiver shall see just that.
            self.send(&mut header[..len], 0, change)?;
            return Ok(false);
        }
        let mut left = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let change = change.within(HEADER_LEN + left);
        self.send(&mut header, 0, change)?;
        let mut at = HEADER_LEN;
        let mut piece = vec![0; left.min(PIECE)];
        while left > 0 {
            let end = left.min(PIECE);
            let len = self.read(&mut piece[..end])?;
            if len == 0 {
                return Ok(false);
            }
            self.send(&mut piece[..len], at, change)?;
            (at, left) = (at + len, left - len);
        }
        if let Change::Cut(_) = change { Err(How::Cut) } else { Ok(true) }
    }

    fn read(&self, into: &mut [u8]) -> Result<usize, How> {
        loop {
            match (&self.from).read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A sender that closes with unread bytes in its socket resets it.
                Err(_) => return Ok(0),
                Ok(len) => return Ok(len),
            }
        }
    }

    /// Does what the plan says for this frame.
    fn inject(&mut self) -> Change {
        let frame = self.frame;
        self.frame += 1;
        let Some(fault) = self.shared.plan.get(self.direction, frame) else { return Change::None };
        (self.shared.log)(self.direction, frame, fault);
        match fault {
            Fault::Kill => self.shared.signal(Signal::KILL),
            Fault::Stop(time) => {
                self.shared.signal(Signal::STOP);
                self.shared.wait(time);
                self.shared.signal(Signal::CONT);
            }
            Fault::Freeze => {
                self.shared.signal(Signal::STOP);
                return Change::Cut(usize::MAX);
            }
            Fault::Delay(time) => self.shared.wait(time),
            Fault::Cut { after } => return Change::Cut(after),
            Fault::Corrupt { at, xor } => return Change::Flip(at, xor),
        }
        Change::None
    }

    /// Sends a piece of a frame that begins at this position of it, with the change.
    fn send(&self, piece: &mut [u8], at: usize, change: Change) -> Result<(), How> {
        let mut end = piece.len();
        match change {
            Change::Cut(after) => end = end.min(after.saturating_sub(at)),
            Change::Flip(position, xor) => {
                if let Some(byte) = position.checked_sub(at).and_then(|index| piece.get_mut(index)) {
                    *byte ^= xor;
                }
            }
            Change::None => {}
        }
        (&self.to).write_all(&piece[..end]).map_err(|_gone| How::Unwanted)?;
        if end < piece.len() { Err(How::Cut) } else { Ok(()) }
    }
}

fn close(socket: &UnixStream, how: Shutdown) {
    if let Err(error) = socket.shutdown(how) {
        tracing::trace!(%error, "the socket was closed already");
    }
}

impl Change {
    /// The same for a frame of this length.
    const fn within(self, len: usize) -> Self {
        match self {
            Self::Flip(at, xor) => Self::Flip(at % len, xor),
            other => other,
        }
    }
}
