//! A bare fork server: the floor of workers that are copies of one.
//!
//! It is a child of this executable with one thread. For each socket that it is sent, it makes a copy of itself, which says hello over the
//! socket and serves messages there, blocking, as a worker does. There is no guardian, nobody watches, and nothing is checked.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use rustix::process::{WaitOptions, wait};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::bare::{self, HELLO};
use crate::to_tokio;

/// A fork server that is up. It ends when it is dropped, as do its copies.
#[derive(Debug)]
pub struct ForkServer {
    orders: StdStream,
    child: std::process::Child,
}

/// A copy of a fork server, and the parent's end of its socket.
#[derive(Debug)]
pub struct Forked(UnixStream);

impl ForkServer {
    /// Starts it, and waits for its hello.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start() -> io::Result<Self> {
        let (mut orders, theirs) = StdStream::pair()?;
        let child = bare::command("fork", theirs.into()).spawn()?;
        orders.read_exact(&mut [0])?;
        Ok(Self { orders, child })
    }

    /// Has a copy made, and waits for its hello.
    ///
    /// # Cancel safety
    ///
    /// A copy whose socket is dropped ends.
    ///
    /// # Errors
    ///
    /// If the server is gone.
    pub async fn copy(&self) -> io::Result<Forked> {
        let (ours, theirs) = StdStream::pair()?;
        let descriptors = [theirs.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(&self.orders, &[IoSlice::new(&[HELLO])], &mut control, SendFlags::NOSIGNAL)?;
        drop(theirs);
        let mut stream = to_tokio(ours)?;
        stream.read_u8().await?;
        Ok(Forked(stream))
    }
}

impl Drop for ForkServer {
    fn drop(&mut self) {
        // It is gone if that fails, and then there is nothing to wait for.
        let _gone = self.orders.shutdown(std::net::Shutdown::Both);
        let _reaped = self.child.wait();
    }
}

impl Forked {
    /// Sends one message; the answer is its length.
    ///
    /// # Cancel safety
    ///
    /// Not: a dropped call leaves its answer for the next.
    ///
    /// # Errors
    ///
    /// If the copy is gone.
    pub async fn call(&mut self, message: &[u8]) -> io::Result<u64> {
        self.0.write_u64(message.len() as u64).await?;
        self.0.write_all(message).await?;
        self.0.read_u64().await
    }
}

/// The life of the server, which has one thread: whoever comes here has started none.
pub(crate) fn serve() -> ! {
    let orders = io::stdin().as_fd().try_clone_to_owned().map(StdStream::from);
    let Ok(mut orders) = orders.and_then(|mut orders| orders.write_all(&[HELLO]).map(|()| orders)) else {
        std::process::exit(1)
    };
    while let Ok(Some(link)) = next(&mut orders) {
        // SAFETY: this process has one thread, so no lock is held by a thread that the copy lacks, and the copy may do whatever this
        // process may.
        if unsafe { libc::fork() } == 0 {
            drop(orders);
            // The parent has closed its end.
            let _end = answer(StdStream::from(link));
            std::process::exit(0)
        }
        // Those that have ended meanwhile.
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    }
    std::process::exit(0)
}

/// The next socket; `None` at the end of the orders.
fn next(orders: &mut StdStream) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(&*orders, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    });
    Ok(descriptors.flatten().next())
}

fn answer(mut link: StdStream) -> io::Result<()> {
    link.write_all(&[HELLO])?;
    let mut message = Vec::new();
    loop {
        let mut len = [0; 8];
        link.read_exact(&mut len)?;
        message.resize(usize::try_from(u64::from_be_bytes(len)).map_err(io::Error::other)?, 0);
        link.read_exact(&mut message)?;
        link.write_all(&(message.len() as u64).to_be_bytes())?;
    }
}
