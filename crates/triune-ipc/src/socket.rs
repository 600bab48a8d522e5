//! What tokio's socket does not offer: descriptors beside the bytes, and a look without parking.
//!
//! Owns the system calls. Does not know frames.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// How many descriptors one read can take. A frame has at most one.
const DESCRIPTORS: usize = 16;

/// Bytes and descriptors of one read.
pub(crate) struct Received {
    pub(crate) len: usize,
    pub(crate) descriptors: Vec<OwnedFd>,
    /// More descriptors came than one read can take; the others are lost.
    pub(crate) is_cut: bool,
}

/// Reads bytes and descriptors, if there are any now.
pub(crate) fn receive(socket: impl AsFd, into: &mut [u8]) -> io::Result<Received> {
    receive_vectored(socket, &mut [IoSliceMut::new(into)], RecvFlags::DONTWAIT)
}

/// The same into several places, on a socket that blocks.
pub(crate) fn receive_blocking(socket: impl AsFd, into: &mut [IoSliceMut<'_>]) -> io::Result<Received> {
    loop {
        match receive_vectored(&socket, into, RecvFlags::empty()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            received => return received,
        }
    }
}

fn receive_vectored(
    socket: impl AsFd,
    into: &mut [IoSliceMut<'_>],
    flags: RecvFlags,
) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(socket, into, &mut control, flags | RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptors.extend(rights);
        }
    }
    let is_cut = message.flags.contains(ReturnFlags::CTRUNC);
    Ok(Received { len: message.bytes, descriptors, is_cut })
}

/// The same, waiting until there is something.
pub(crate) fn poll_receive(
    stream: &UnixStream,
    into: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<Received>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        match stream.try_io(Interest::READABLE, || receive(stream, into)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            received => return Poll::Ready(received),
        }
    }
}

/// Writes bytes with a descriptor, which goes with the first of them.
pub(crate) fn poll_send(
    stream: &UnixStream,
    bytes: &[u8],
    descriptor: BorrowedFd<'_>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let descriptors = [descriptor];
    loop {
        ready!(stream.poll_write_ready(cx))?;
        let sent = stream.try_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut control, flags)?)
        });
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return Poll::Ready(sent),
        }
    }
}
