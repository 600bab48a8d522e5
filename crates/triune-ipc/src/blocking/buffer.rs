//! What the serving side has read and not used yet: bytes, and the descriptors that came with them.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use triune_wire::HEADER_LEN;

use super::{LOANS_MAX, link_end, truncated};
use crate::LinkEnd;
use crate::socket::{self, Received};
use crate::writer::is_temporary;

/// Size of a read, in bytes.
const READ: usize = 64 * 1024;

/// What was read and not used yet.
#[derive(Debug)]
pub(super) struct Buffer {
    pub(super) bytes: BytesMut,
    /// Reads go here: it is initialised once, `bytes` would have to be each time.
    piece: Vec<u8>,
    /// What came with the bytes, for the frames that it belongs to. One that cannot be taken is missing here.
    pub(super) descriptors: VecDeque<OwnedFd>,
}

impl Buffer {
    pub(super) fn new() -> Buffer {
        Buffer { bytes: BytesMut::with_capacity(READ), piece: vec![0; READ], descriptors: VecDeque::new() }
    }

    /// Reads once.
    pub(super) fn fill(&mut self, stream: &UnixStream) -> io::Result<usize> {
        let received = socket::receive_blocking(stream, &mut [IoSliceMut::new(&mut self.piece)])?;
        Ok(self.take(received))
    }

    /// Reads once, if there is something now.
    pub(super) fn fill_now(&mut self, stream: &UnixStream) -> io::Result<usize> {
        let received = socket::receive(stream, &mut self.piece)?;
        Ok(self.take(received))
    }

    fn take(&mut self, received: Received) -> usize {
        let Received { len, descriptors, .. } = received;
        self.bytes.extend_from_slice(&self.piece[..len]);
        // A hostile peer gets no further than this, and then to the end of its link.
        if self.descriptors.len() < LOANS_MAX {
            self.descriptors.extend(descriptors);
        }
        len
    }

    /// Reads once, and looks for so long whether there is something before it sleeps.
    pub(super) fn fill_soon(&mut self, stream: &UnixStream, spin: Duration) -> io::Result<usize> {
        if !spin.is_zero() {
            let begin = Instant::now();
            while begin.elapsed() < spin {
                match self.fill_now(stream) {
                    Err(error) if is_temporary(&error) => std::hint::spin_loop(),
                    filled => return filled,
                }
            }
        }
        self.fill(stream)
    }

    /// Fills `place`: from what is here, then from the socket without a detour; the header that follows comes
    /// with the same read.
    pub(super) fn read_exact(&mut self, stream: &UnixStream, mut place: &mut [u8]) -> Result<(), LinkEnd> {
        let here = self.bytes.len().min(place.len());
        self.bytes.copy_to_slice(&mut place[..here]);
        place = &mut place[here..];
        while !place.is_empty() {
            let (len, next) = (place.len(), &mut self.piece[..HEADER_LEN]);
            let both = &mut [IoSliceMut::new(place), IoSliceMut::new(next)];
            match socket::receive_blocking(stream, both) {
                Ok(Received { len: 0, .. }) => return Err(truncated(len)),
                Ok(received) => {
                    let n = received.len;
                    self.take(Received { len: n.saturating_sub(len), ..received });
                    place = &mut place[n.min(len)..];
                }
                Err(error) => return Err(link_end(error)),
            }
        }
        Ok(())
    }
}
