//! One process: a handle on it (pidfd), signals to it, its end and its status.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::exit::Exit;

/// Opens a handle on a process that stays valid when its number is reused.
pub(crate) fn open_process(pid: u32) -> io::Result<OwnedFd> {
    Ok(rustix::process::pidfd_open(pid_of(pid)?, PidfdFlags::empty())?)
}

/// Lets the current runtime watch a process: the descriptor becomes readable when it has ended.
pub(crate) fn watch(process: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: the descriptor is owned by the `Arc` inside of the `AsyncFd`, never exchanged, and so open until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) }?)
}

/// Lets the current runtime wait until there is room in a socket.
pub(crate) fn watch_for_room(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by the `AsyncFd`, never exchanged, and so open until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(socket, Interest::WRITABLE) }?)
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

/// Sends a signal to the group that the process behind `process` leads, or to the process alone, where there is no such group or
/// the system cannot do this; false if it had ended. No number is used, so the process may be reaped by somebody else meanwhile.
pub(crate) fn signal_group_of(process: BorrowedFd<'_>, signal: i32) -> io::Result<bool> {
    let (fd, flags) = (process.as_raw_fd(), libc::PIDFD_SIGNAL_PROCESS_GROUP);
    // SAFETY: the call takes integers and a pointer, which may be null; the borrow keeps the descriptor open.
    let sent = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, std::ptr::null::<libc::siginfo_t>(), flags)
    };
    if sent == 0 { Ok(true) } else { signal_process(process, signal) }
}

/// The process group that a process is in.
pub(crate) fn group_of(pid: u32) -> Option<u32> {
    let group = rustix::process::getpgid(Some(pid_of(pid).ok()?)).ok()?;
    Some(group.as_raw_nonzero().get().unsigned_abs())
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
/// False: the time is up.
pub(crate) fn block_until_gone(
    link: BorrowedFd<'_>,
    peer: Option<BorrowedFd<'_>>,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let timeout = timeout.map(timespec);
    loop {
        let mut fds = vec![PollFd::from_borrowed_fd(link, PollFlags::empty())];
        fds.extend(peer.map(|peer| PollFd::from_borrowed_fd(peer, PollFlags::IN)));
        let ready = rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, timeout.as_ref()))?;
        if fds.iter().any(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::IN)) {
            return Ok(true);
        }
        if ready == 0 {
            return Ok(false);
        }
    }
}

fn timespec(time: Duration) -> rustix::event::Timespec {
    rustix::event::Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

/// The status that the standard library gives.
pub(crate) fn exit_of_status(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal { signal, core_dumped: status.core_dumped() },
        (None, None) => Exit::Unknown,
    }
}

pub(super) fn pid_of(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

fn signal_of(signal: i32) -> io::Result<Signal> {
    Signal::from_named_raw(signal).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

/// Makes this process the parent of every descendant whose own parent ends.
pub(crate) fn become_subreaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Has the system kill this process when its parent ends. The parent must be single-threaded: the end of the *thread*
/// that started us counts.
pub(crate) fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// The number of a child of this process that has ended and is not reaped yet, if there is one.
pub(crate) fn find_ended_child() -> Option<u32> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer is valid for writes; the call takes integers otherwise.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) };
    if result != 0 {
        return None;
    }
    // SAFETY: all-zero bytes are a valid `siginfo_t`, so it is initialised whatever the call has done.
    let info = unsafe { info.assume_init() };
    // SAFETY: the field is set by `waitid`; if no child has ended, it is zero, as above.
    u32::try_from(unsafe { info.si_pid() }).ok().filter(|pid| *pid != 0)
}

/// Reaps a child by its number. `None` if there is no such child that has ended.
pub(crate) fn reap_number(pid: u32) -> Option<Exit> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = rustix::process::waitid(WaitId::Pid(pid_of(pid).ok()?), options).ok()??;
    Some(exit_of(&status))
}

/// Sends a signal to a child of this process by its number, which is ours as long as it is not reaped.
pub(crate) fn signal_number(pid: u32, signal: i32) -> io::Result<()> {
    Ok(rustix::process::kill_process(pid_of(pid)?, signal_of(signal)?)?)
}

/// Whether the process behind the handle has ended. It need not be a child of ours.
pub(crate) fn is_over(process: BorrowedFd<'_>) -> bool {
    is_readable(process)
}

/// Whether the other end of a socket is closed.
pub(crate) fn is_hung_up(socket: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::empty())];
    let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&none))).is_ok_and(|hung| hung > 0)
}

/// Whether a descriptor is readable, or its other end closed.
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&none))).is_ok_and(|ready| ready > 0)
}

/// Blocks until one of `fds` is readable (or closed at its other end), or `timeout` passes. Says which ones are.
pub(crate) fn block_until_any(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let mut polled: Vec<_> = fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let timeout = timeout.map(timespec);
    match rustix::event::poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(polled.iter().map(|fd| !fd.revents().is_empty()).collect()),
        Err(error) => Err(error.into()),
    }
}

/// Blocks until there is room in a socket, or its other end is closed.
pub(crate) fn block_until_room(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::OUT)];
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None))?;
    Ok(())
}

/// How a process ended that somebody else has reaped, where the system keeps that for holders of a handle (6.15).
pub(crate) fn status_from_handle(process: BorrowedFd<'_>) -> Option<Exit> {
    /// `struct pidfd_info` in its first version.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    const EXIT: u64 = 1 << 3;
    // `_IOWR(0xff, 11, struct pidfd_info)`
    const GET_INFO: libc::Ioctl = 0xC040_FF0B_u32 as libc::Ioctl;
    const { assert!(size_of::<Info>() == 64) };
    let mut info = Info { mask: EXIT, ..Info::default() };
    // SAFETY: the request takes a pointer to a structure of the size that it encodes, which `info` has.
    let result = unsafe { libc::ioctl(process.as_raw_fd(), GET_INFO, &raw mut info) };
    if result != 0 || info.mask & EXIT == 0 {
        return None;
    }
    let status = info.exit_code;
    Some(if libc::WIFSIGNALED(status) {
        Exit::Signal { signal: libc::WTERMSIG(status), core_dumped: libc::WCOREDUMP(status) }
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    })
}

/// The number of the process behind a handle, as `/proc` has it.
pub(crate) fn number_of_handle(process: BorrowedFd<'_>) -> Option<u32> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()
}
