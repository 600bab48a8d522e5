//! A lifeline without a thread: the system itself kills one process when another one has gone.
//!
//! It uses what `O_ASYNC` is there for: the system sends a signal, of any kind, to any process, when something happens to a
//! socket. That the other end is closed is one such thing, and it is closed when the process that holds it ends, whatever it
//! ends of. Nothing has to run for this: neither who has arranged it, nor who is killed.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::OFlags;

use super::process::pid_of;

/// Has the system send SIGKILL to a child of this process when the other end of `socket` is closed, or says something. The
/// child is not reaped, so the number is its own.
///
/// It holds for as long as this process keeps the socket, also when the child becomes another program. The system notes the
/// process and not its number (a counted `struct pid`), so nobody is hit whose number is the same later. It also notes who asked,
/// and lets it be as `kill` would: a child that has become another user for good (not one that only acts as one) is spared.
pub(crate) fn kill_at_hangup(socket: BorrowedFd<'_>, child: u32) -> io::Result<()> {
    // The same on all processors that Linux and Rust share; the `libc` crate has it for few.
    const F_SETSIG: libc::c_int = 10;
    let set = |command, value: libc::c_int| {
        // SAFETY: both commands take an integer, and the borrow keeps the descriptor open.
        match unsafe { libc::fcntl(socket.as_raw_fd(), command, value) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    set(libc::F_SETOWN, pid_of(child)?.as_raw_nonzero().get())?;
    set(F_SETSIG, libc::SIGKILL)?;
    let flags = rustix::fs::fcntl_getfl(socket)?;
    Ok(rustix::fs::fcntl_setfl(socket, flags | OFlags::ASYNC)?)
}
