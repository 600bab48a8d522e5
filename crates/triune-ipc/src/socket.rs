//! The socket of a link in its runtime, and what tokio's own does not offer: descriptors beside the bytes, a look without
//! parking, and fewer wake-ups.
//!
//! Owns the system calls. Does not know frames.
//!
//! A Unix socket tells each piece that the other side has taken out as "there is room", which wakes whoever is registered for
//! that: once more per frame, for nothing. So [`Socket`] is registered for reading alone, and for writing too only from the
//! moment when it was found full until it has not been for a while.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recv, recvmsg, send, sendmsg,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::coop::poll_proceed;

/// How many descriptors one read can take. A frame has at most one.
const DESCRIPTORS: usize = 16;

/// After so many writes that found room, one that was found full is registered for reading alone again.
const CALM: u32 = 64;

/// One end of a link, non-blocking, in the runtime of its driver.
pub(crate) struct Socket {
    /// `None` only while it is registered anew.
    fd: Option<AsyncFd<Arc<UnixStream>>>,
    /// How many writes have found room since it was full, while it is registered for writing.
    calm: Option<u32>,
}

impl Socket {
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn new(stream: Arc<UnixStream>) -> io::Result<Socket> {
        let fd = register(stream, Interest::READABLE)?;
        Ok(Socket { fd: Some(fd), calm: None })
    }

    fn fd(&self) -> &AsyncFd<Arc<UnixStream>> {
        self.fd.as_ref().expect("it is registered, and a socket that could not be is given up")
    }

    pub(crate) fn stream(&self) -> &Arc<UnixStream> {
        self.fd().get_ref()
    }

    /// Reads up to `most` bytes into the spare room of the buffer.
    pub(crate) fn poll_read(
        &self,
        buffer: &mut BytesMut,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.fd().poll_read_ready(cx))?;
            match guard.try_io(|fd| read(fd.get_ref(), buffer, most)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(done) => {
                    // Less than there was room for: it is empty, and the next bytes will be told.
                    if done.as_ref().is_ok_and(|n| (1..most).contains(n)) {
                        guard.clear_ready();
                    }
                    return Poll::Ready(done);
                }
                Err(_would_block) => {}
            }
        }
    }

    /// Whether there may be something to read; if not, the waker is woken when there is.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        // An error is found by the read.
        self.fd().poll_read_ready(cx).map(drop)
    }

    /// Reads bytes and descriptors.
    pub(crate) fn poll_receive(&self, into: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<Received>> {
        loop {
            let mut guard = ready!(self.fd().poll_read_ready(cx))?;
            match guard.try_io(|fd| receive(fd.get_ref(), into)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(received) => return Poll::Ready(received),
                Err(_would_block) => {}
            }
        }
    }

    /// Writes these slices, as far as there is room.
    pub(crate) fn poll_write(
        &mut self,
        slices: &[IoSlice<'_>],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(|stream| write(stream, slices), cx)
    }

    /// The same with a descriptor, which goes with the first byte.
    pub(crate) fn poll_send(
        &mut self,
        slices: &[IoSlice<'_>],
        descriptor: BorrowedFd<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(|stream| send_with(stream, slices, descriptor), cx)
    }

    fn poll_write_with(
        &mut self,
        mut write: impl FnMut(&UnixStream) -> io::Result<usize>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let written = if let Some(calm) = self.calm {
                let written = ready!(self.fd().poll_write_ready(cx))?.try_io(|fd| write(fd.get_ref()));
                match written {
                    Ok(written) if calm >= CALM => {
                        self.register(Interest::READABLE)?;
                        self.calm = None;
                        written
                    }
                    Ok(written) => {
                        self.calm = Some(calm + 1);
                        written
                    }
                    Err(_would_block) => {
                        self.calm = Some(0);
                        continue;
                    }
                }
            } else {
                // As tokio's own: a task that always finds room lets others run.
                let budget = ready!(poll_proceed(cx));
                let written = write(self.stream());
                if written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                    self.register(Interest::READABLE | Interest::WRITABLE)?;
                    self.calm = Some(0);
                    continue;
                }
                budget.made_progress();
                written
            };
            if !written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
                return Poll::Ready(written);
            }
        }
    }

    /// Registers it anew. What it is ready for is told at once.
    fn register(&mut self, interest: Interest) -> io::Result<()> {
        if let Some(fd) = self.fd.take() {
            self.fd = Some(register(fd.into_inner(), interest)?);
        }
        Ok(())
    }
}

fn register(stream: Arc<UnixStream>, interest: Interest) -> io::Result<AsyncFd<Arc<UnixStream>>> {
    // SAFETY: the descriptor is owned by the `Arc` inside of the `AsyncFd`, never exchanged, and so open until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(stream, interest) }?)
}

/// Reads up to `most` bytes into the spare room of the buffer, if there is something now. There must be room.
pub(crate) fn read(socket: impl AsFd, buffer: &mut BytesMut, most: usize) -> io::Result<usize> {
    let room = buffer.spare_capacity_mut();
    let end = most.min(room.len());
    let ((read, _), _) = recv(socket, &mut room[..end], RecvFlags::DONTWAIT)?;
    let n = read.len();
    let len = buffer.len() + n;
    // SAFETY: the first `n` bytes of the spare room, which begins at the old length, were initialised by `recv`.
    unsafe { buffer.set_len(len) };
    Ok(n)
}

/// Writes these slices, as far as there is room now.
pub(crate) fn write(socket: impl AsFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    if let [one] = slices {
        return Ok(send(socket, one, flags)?);
    }
    Ok(sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags)?)
}

/// Writes these slices with a descriptor, as far as there is room now.
fn send_with(socket: impl AsFd, slices: &[IoSlice<'_>], descriptor: BorrowedFd<'_>) -> io::Result<usize> {
    let descriptors = [descriptor];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    Ok(sendmsg(socket, slices, &mut control, flags)?)
}

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

#[cfg(test)]
mod tests;
