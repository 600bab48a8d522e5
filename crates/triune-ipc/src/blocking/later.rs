//! Answers that are left for later, so that several of them are one write.
//!
//! What is left stands in whole frames, and goes out in front of whatever is written next.

use std::io::{self, IoSlice, Write};

use triune_wire::{FRAME_MAX, HEADER_LEN, Header, Kind};

use super::{Server, link_end, take, with_len};
use crate::LinkEnd;

impl Server {
    /// Whether the next call is here already, so that [`next`](Server::next) gives it out without a wait.
    pub fn has_next(&self) -> bool {
        let header = self.buffer.bytes.first_chunk::<HEADER_LEN>().map(Header::parse);
        let Some(Ok(Header { kind: Kind::Call, flags: 0, len, .. })) = header else { return false };
        self.buffer.bytes.len() - HEADER_LEN >= len as usize
    }

    /// As [`reply_parts`](Server::reply_parts), and leaves the writing to the next answer that is written, or to the next wait of
    /// [`next`](Server::next): several short answers go out together. Gives the frame, which the user keeps where the other side
    /// finds it if this process does not live to write it; see [`Link::recover`](crate::Link::recover). `None` if it has its answer already.
    ///
    /// # Errors
    /// The other side is gone.
    ///
    /// # Panics
    /// If the result is longer than 64 KiB, or more than the other side accepts.
    pub fn reply_later<'a>(
        &mut self,
        id: u64,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<&[u8]>, LinkEnd> {
        if self.open.take_if(|open| *open == id).is_none() {
            return Ok(None);
        }
        let begin = self.later.len();
        self.later.extend_from_slice(&[0; HEADER_LEN]);
        parts.into_iter().for_each(|part| self.later.extend_from_slice(part));
        let len = self.later.len() - begin - HEADER_LEN;
        assert!(
            len <= (FRAME_MAX.min(self.peer.limits.max_message)) as usize,
            "only short results are written later"
        );
        let header = with_len(Header::new(Kind::Reply, id).to_caller(), len);
        self.later[begin..begin + HEADER_LEN].copy_from_slice(&header.to_bytes());
        Ok(Some(&self.later[begin..]))
    }

    /// How many bytes are to be written later.
    pub const fn owed(&self) -> usize {
        self.later.len()
    }

    /// Writes what was left for later.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn flush(&mut self) -> Result<(), LinkEnd> {
        if self.later.is_empty() { Ok(()) } else { self.write_all(std::iter::empty()) }
    }

    /// Writes whole frames, behind those that were left for later.
    pub(super) fn write_all<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]>) -> Result<(), LinkEnd> {
        let written = self.write_behind(slices);
        self.later.clear();
        written
    }

    fn write_behind<'a>(&self, slices: impl Iterator<Item = &'a [u8]>) -> Result<(), LinkEnd> {
        let _pen = self.pen.as_ref().map(|pen| take(pen));
        let later = Some(&self.later[..]).filter(|later| !later.is_empty());
        let mut all: Vec<IoSlice<'_>> = later.into_iter().map(IoSlice::new).collect();
        for slice in slices {
            all.push(IoSlice::new(slice));
        }
        let mut rest = &mut all[..];
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match (&self.stream).write_vectored(rest) {
                Ok(n) => IoSlice::advance_slices(&mut rest, n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The time is that of one write which got nowhere.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let silent = self.stream.write_timeout().ok().flatten().unwrap_or_default();
                    return Err(LinkEnd::Stalled { silent });
                }
                Err(error) => return Err(link_end(error)),
            }
        }
        Ok(())
    }
}
