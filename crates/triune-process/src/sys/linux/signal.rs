//! Signals: what a fresh child makes of them, and how the guardian hears of the ends of its children.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

/// The signals of a fresh child: nothing blocked, SIGTERM as the system has it, SIGINT and SIGPIPE ignored.
///
/// The mask and ignored signals are inherited over `exec`, so the parent's thread decided about ours until here.
pub(crate) fn reset_signals() {
    set_disposition(libc::SIGPIPE, libc::SIG_IGN);
    set_disposition(libc::SIGINT, libc::SIG_IGN);
    set_disposition(libc::SIGTERM, libc::SIG_DFL);
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set that it is given; the pointer is valid for writes.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: the set was initialised just above, and a null pointer for the old mask is allowed.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
}

/// Whether this process ignores a signal, as a shell makes it do for `nohup` and for jobs in the background.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let mut current = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only writes the current one to a pointer that is valid for it.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), current.as_mut_ptr()) };
    // SAFETY: all-zero bytes are a valid `sigaction`, so it is initialised whatever the call has done.
    let current = unsafe { current.assume_init() };
    result == 0 && current.sa_sigaction == libc::SIG_IGN
}

fn set_disposition(signal: i32, disposition: libc::sighandler_t) {
    // SAFETY: the disposition is SIG_IGN or SIG_DFL, never a function, so nothing of ours runs in a signal handler.
    unsafe { libc::signal(signal, disposition) };
}

/// Blocks every signal that may be blocked, and gives a descriptor that tells of the end of a child.
///
/// The guardian lives by this: nothing but SIGKILL ends it, and nothing interrupts it. A child that it starts begins
/// with an empty mask again.
pub(crate) fn hear_of_children_only() -> io::Result<OwnedFd> {
    // An inherited SIG_IGN would make the system reap our children, and lose their status.
    set_disposition(libc::SIGCHLD, libc::SIG_DFL);
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` initialises the set that it is given; the pointer is valid for writes.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    // SAFETY: the set was initialised just above, and a null pointer for the old mask is allowed.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut()) };
    // SAFETY: `sigemptyset` initialises the set that it is given; the pointer is valid for writes.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set is initialised.
    unsafe { libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD) };
    // SAFETY: the set is initialised; the call makes a new descriptor or fails.
    let fd = unsafe { libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes all that is pending from the descriptor of [`hear_of_children_only`].
pub(crate) fn drain_signals(signals: &OwnedFd) {
    let mut buffer = [0_u8; 16 * size_of::<libc::signalfd_siginfo>()];
    // Non-blocking: an error means that there is nothing left.
    while rustix::io::read(signals.as_fd(), &mut buffer).is_ok_and(|read| read > 0) {}
}
