//! Linux: pidfd, `waitid`, `/proc/self`, `close_range`.
//!
//! Owns all of the crate's `unsafe`: the calls of the C library that rustix does not offer (dispositions, mask,
//! `close_range`, `_exit`), and the registration of a descriptor with tokio. Holds no state.

mod limits;
mod sandbox;

pub(crate) use limits::*;
pub(crate) use sandbox::*;

use std::ffi::{CString, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::exit::Exit;

/// The running program. `/proc/self/exe` is the running inode, also after the file was replaced or removed, and needs
/// no search in `PATH` (which would leave the `posix_spawn` path of the standard library).
pub(crate) fn program() -> io::Result<PathBuf> {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() { Ok(own) } else { std::env::current_exe() }
}

/// Size and times of the running program's file.
pub(crate) fn image_metadata() -> io::Result<Metadata> {
    std::fs::metadata(program()?)
}

/// The first argument of this process. Read from `/proc`, since a constructor may run before the standard library has
/// seen its arguments.
pub(crate) fn first_argument() -> Option<OsString> {
    // Bounded: the argument that we look for is short, and a foreign one may be megabytes long.
    let mut start = Vec::new();
    File::open("/proc/self/cmdline").ok()?.take(64 * 1024).read_to_end(&mut start).ok()?;
    let end = start.iter().position(|byte| *byte == 0).unwrap_or(start.len());
    start.truncate(end);
    Some(OsString::from_vec(start))
}

/// When this process started, in clock ticks since boot: with the pid it names a process for as long as the machine is up.
pub(crate) fn start_time() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the name in parentheses and may hold anything; the start time is field 22.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The pid of the parent of this process; 0 if it is outside of our pid namespace.
pub(crate) fn parent_pid() -> u32 {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs())
}

/// Opens a handle on a process that stays valid when its number is reused.
pub(crate) fn open_process(pid: u32) -> io::Result<OwnedFd> {
    Ok(rustix::process::pidfd_open(pid_of(pid)?, PidfdFlags::empty())?)
}

/// Lets the current runtime watch a process: the descriptor becomes readable when it has ended.
pub(crate) fn watch(process: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: the descriptor is owned by the `Arc` inside of the `AsyncFd`, never exchanged, and so open until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) }?)
}

/// Sends a signal to the process behind `process`; false if it had ended.
pub(crate) fn signal_process(process: BorrowedFd<'_>, signal: i32) -> io::Result<bool> {
    match rustix::process::pidfd_send_signal(process, signal_of(signal)?) {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Sends a signal to the process group `group`; false if it is empty. The caller makes sure that the number is still ours.
pub(crate) fn signal_group(group: u32, signal: i32) -> io::Result<bool> {
    match rustix::process::kill_process_group(pid_of(group)?, signal_of(signal)?) {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether the child has ended, without reaping it. An error means that somebody else has reaped it.
pub(crate) fn has_ended(process: BorrowedFd<'_>) -> io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(rustix::process::waitid(WaitId::PidFd(process), options)?.is_some())
}

/// Blocks until the child has ended, without reaping it. An error means that somebody else has reaped it.
pub(crate) fn block_until_ended(process: BorrowedFd<'_>) -> io::Result<()> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::PidFd(process), options))?;
    Ok(())
}

/// Reaps a child that has ended. `None` if it still runs, an error if somebody else has reaped it.
pub(crate) fn reap(process: BorrowedFd<'_>) -> io::Result<Option<Exit>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    Ok(rustix::process::waitid(WaitId::PidFd(process), options)?.map(|status| exit_of(&status)))
}

fn exit_of(status: &WaitIdStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal { signal, core_dumped: status.dumped() },
        (None, None) => Exit::Unknown,
    }
}

/// Blocks until the other end of `link` is closed, or the process behind `peer` has ended.
///
/// No interest in reading is registered, so data that nobody reads cannot wake it, and a half-closed link is not an end.
pub(crate) fn block_until_gone(link: BorrowedFd<'_>, peer: Option<BorrowedFd<'_>>) -> io::Result<()> {
    loop {
        let mut fds = vec![PollFd::from_borrowed_fd(link, PollFlags::empty())];
        fds.extend(peer.map(|peer| PollFd::from_borrowed_fd(peer, PollFlags::IN)));
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None))?;
        if fds.iter().any(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::IN)) {
            return Ok(());
        }
    }
}

/// Moves the link from descriptor 0 to a high one that is not inherited, and puts `/dev/null` in its place.
///
/// Fails if descriptor 0 is not a socket: then this process was not started by [`spawn`](crate::spawn).
pub(crate) fn take_link() -> io::Result<UnixStream> {
    let stdin = rustix::stdio::stdin();
    rustix::net::sockopt::socket_type(stdin)?;
    // High, so that code which assumes small numbers (or closes them) does not hit it; a low limit must not fail us.
    let link =
        rustix::io::fcntl_dupfd_cloexec(stdin, 100).or_else(|_| rustix::io::fcntl_dupfd_cloexec(stdin, 3))?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?.as_fd())?;
    Ok(UnixStream::from(link))
}

/// Marks every descriptor above the standard ones as not inherited: a library of the parent that forgot to do so would
/// otherwise keep a copy of somebody's link alive in our own children.
pub(crate) fn seal_descriptors() {
    let (first, last, flags) = (3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: `close_range` with the cloexec flag takes three integers and closes nothing.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result != 0 {
        // Linux before 5.11. The descriptors of the standard library and of this workspace are closed on exec anyway.
        tracing::debug!(error = %io::Error::last_os_error(), "cannot mark inherited descriptors");
    }
}

/// Gives the main thread (and `comm` in `ps`) the child's name, as far as it fits.
pub(crate) fn set_process_name(name: &str) {
    let mut end = name.len().min(15);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    if let Ok(name) = CString::new(&name[..end]) {
        // Cosmetic: without it, `ps` shows the name of the program.
        let _cosmetic = rustix::thread::set_name(&name);
    }
}

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

/// Ends this process at once: no destructors, no exit handlers, whatever its other threads hold.
pub(crate) fn exit_now(code: u8) -> ! {
    // SAFETY: `_exit` takes an integer and does not return; it is safe from any thread at any time.
    unsafe { libc::_exit(i32::from(code)) }
}

fn pid_of(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

fn signal_of(signal: i32) -> io::Result<Signal> {
    Signal::from_named_raw(signal).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}
