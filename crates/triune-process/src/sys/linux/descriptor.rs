//! Descriptors: the link of a fresh child, what it must not inherit further, and messages that carry descriptors.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// Moves the link from descriptor 0 to a high one that is not inherited, and puts `/dev/null` in its place.
///
/// Fails if descriptor 0 is not a socket: then this process was not started by [`spawn`](crate::spawn).
pub(crate) fn take_link() -> io::Result<UnixStream> {
    let stdin = rustix::stdio::stdin();
    rustix::net::sockopt::socket_type(stdin)?;
    let link = high_copy(stdin)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?.as_fd())?;
    Ok(UnixStream::from(link))
}

/// A copy that is not inherited, with a high number, so that code which assumes small numbers (or closes them) does not hit
/// it; a low limit must not fail us.
pub(crate) fn high_copy(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, 100).or_else(|_| rustix::io::fcntl_dupfd_cloexec(fd, 3))?)
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

/// How many descriptors one message carries at most.
pub(crate) const MAX_DESCRIPTORS: usize = 8;

/// A pair of sockets that keep the borders of messages. Neither end is inherited.
pub(crate) fn message_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    Ok(rustix::net::socketpair(family, kind, SocketFlags::CLOEXEC, None)?)
}

/// The same where the end of one side is no event for the other. So the guardian is not woken twice by each death, once of
/// them by a process that has not yet ended and would have to wait for it.
pub(crate) fn request_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::DGRAM);
    Ok(rustix::net::socketpair(family, kind, SocketFlags::CLOEXEC, None)?)
}

/// Gives a socket a name that shows in `/proc/net/unix`. No file is made of it.
pub(crate) fn name_socket(socket: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let address = rustix::net::SocketAddrUnix::new_abstract_name(name.as_bytes())?;
    Ok(rustix::net::bind(socket, &address)?)
}

/// Sends one message with descriptors, without waiting for room.
pub(crate) fn send_message(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let sent = rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)
    })?;
    // Messages go whole or not at all.
    debug_assert_eq!(sent, bytes.len());
    Ok(())
}

/// One message.
#[derive(Debug)]
pub(crate) struct Message {
    /// How many bytes of the buffer it fills. Zero at the end of the connection: no message of ours is empty.
    pub(crate) len: usize,
    pub(crate) fds: Vec<OwnedFd>,
    /// It was longer than the buffer, or had more descriptors than we take.
    pub(crate) truncated: bool,
}

/// Takes one message, without waiting for one. The descriptors are not inherited.
pub(crate) fn receive_message(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Message> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, flags)
    })?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    let truncated = received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    Ok(Message { len: received.bytes, fds, truncated })
}

/// Bytes as a file without a name, for a message that would be too long.
pub(crate) fn bytes_as_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create(c"triune-request", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(file);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// Opens a folder, to be entered by somebody else.
pub(crate) fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Makes a folder the current one.
pub(crate) fn enter_folder(folder: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::process::fchdir(folder)?)
}

/// Takes a descriptor that we inherited under this number. Fails if there is no socket.
pub(crate) fn take_socket(number: i32) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: the number is only looked at here: the borrow ends before anything could close it, because this runs in the
    // first steps of a fresh child, which has neither threads nor descriptors of its own.
    let inherited = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::net::sockopt::socket_type(inherited)?;
    let own = high_copy(inherited)?;
    // SAFETY: the descriptor is open, and nothing in this process owns it: the guardian left it open for us.
    unsafe { rustix::io::close(number) };
    Ok(own)
}

/// Leaves a copy of the link, at a fixed descriptor, to the program that this process becomes next. Gives the descriptor, and the
/// number by which the socket is known.
pub(crate) fn leave_to_program(link: BorrowedFd<'_>) -> io::Result<(i32, u64)> {
    const LINK: i32 = 3;
    let inode = rustix::fs::fstat(link)?.st_ino;
    // SAFETY: the call takes integers. Whatever had the number in this process is closed by it, which nobody lives to see:
    // the process becomes another program next, or ends.
    if unsafe { libc::dup2(link.as_raw_fd(), LINK) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was made just now, and the borrow ends with this call.
    let copy = unsafe { BorrowedFd::borrow_raw(LINK) };
    // It may have been the link itself.
    rustix::io::fcntl_setfd(copy, rustix::io::FdFlags::empty())?;
    Ok((LINK, inode))
}

/// The number by which the system knows the socket at a descriptor of this process. `None` if there is none.
pub(crate) fn inode_of_socket(descriptor: i32) -> Option<u64> {
    let target = std::fs::read_link(format!("/proc/self/fd/{descriptor}")).ok()?;
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// A copy that everything which this process starts inherits.
///
/// Only for the guardian, where nothing else is started at the same time.
pub(crate) fn inheritable_copy(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let copy = rustix::io::fcntl_dupfd_cloexec(fd, 3)?;
    rustix::io::fcntl_setfd(&copy, rustix::io::FdFlags::empty())?;
    Ok(copy)
}

/// The null device, for reading and writing.
pub(crate) fn open_null() -> io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open("/dev/null")?.into())
}

/// A copy of standard output, or the null device if it is closed.
pub(crate) fn copy_of_stdout() -> io::Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3).or_else(|_closed| open_null())
}

/// A copy of standard error, or the null device if it is closed.
pub(crate) fn copy_of_stderr() -> io::Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3).or_else(|_closed| open_null())
}

/// Takes what was given to us as standard output, and puts `/dev/null` in its place.
pub(crate) fn take_output() -> io::Result<OwnedFd> {
    let taken = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdout(open_null()?)?;
    Ok(taken)
}

/// Ends a socket for reading and writing, whoever has copies of it.
pub(crate) fn close_both_ways(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::net::shutdown(socket, rustix::net::Shutdown::Both)?)
}

/// A pipe whose reading end does not block. Neither end is inherited.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&reader, OFlags::NONBLOCK)?;
    Ok((reader, writer))
}

/// Reads what is there.
pub(crate) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut *buffer))?)
}

/// A descriptor that becomes readable by [`ring`].
pub(crate) fn bell() -> io::Result<OwnedFd> {
    Ok(rustix::event::eventfd(
        0,
        rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK,
    )?)
}

/// Makes a bell readable.
pub(crate) fn ring(bell: BorrowedFd<'_>) {
    // Only a bell that rings already is too full for one more.
    let _rings = rustix::io::write(bell, &1_u64.to_ne_bytes());
}

/// Closes every descriptor above the standard ones: what a library of the root forgot to mark.
///
/// Only for the guardian's first steps: nothing in the process may own a descriptor yet.
pub(crate) fn close_all_but_standard() {
    let (first, last, flags) = (3_u32, u32::MAX, 0_u32);
    // SAFETY: the descriptors are open, if at all, because a parent left them so; nothing in this process owns them yet.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
}
