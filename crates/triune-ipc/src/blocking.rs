//! The serving side of a link without a runtime: a plain loop over a blocking socket.
//!
//! It is what a worker process runs on its main thread: one call at a time, no tasks, no cancellation but
//! the death of the process. Owns its socket; starts nothing.
//!
//! Invariants:
//! 1. Every call gets exactly one terminal frame: one that the caller of [`Server::next`] left without an
//!    answer is answered by the next `next`.
//! 2. No more than one call is held; what else the peer sends waits in the socket.

use std::io::{self, IoSlice, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use triune_wire::{
    Frame, FrameDecoder, FrameError, HEADER_LEN, Header, Hello, Kind, Report, ReportKind, split_request,
};

use crate::handshake::{decode, ended, frame, prepare};
use crate::{Config, ConnectError, LinkEnd, ProtocolError};

/// Size of a read, in bytes.
const READ: usize = 64 * 1024;

/// Serves the calls of one link, one after the other. Dropping it closes the link.
#[derive(Debug)]
pub struct Server {
    stream: UnixStream,
    peer: Hello,
    max_frame: u32,
    buffer: Buffer,
    last_seen: u64,
    /// The call that was given out and not answered.
    open: Option<u64>,
}

/// A call of the other side. Answer it by [`Server::reply`] or [`Server::fail`] with its id.
#[derive(Debug)]
#[non_exhaustive]
pub struct BlockingCall {
    /// Number of the call.
    pub id: u64,
    /// Index of the target in this side's registry.
    pub target: u32,
    /// The arguments, as the caller gave them.
    pub args: Bytes,
}

impl Server {
    /// Shakes hands over this socket.
    ///
    /// # Errors
    /// As [`connect`](crate::connect).
    pub fn accept(stream: UnixStream, config: &Config) -> Result<Server, ConnectError> {
        prepare(&stream);
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(config.handshake_timeout))?;
        match (&stream).write_all(&frame(&config.hello)?) {
            // It may have refused us and gone; what it said tells more than the broken pipe.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
        let mut buffer = Buffer::new();
        let mut decoder = FrameDecoder::handshake();
        let body = loop {
            if let Some(body) = decode(&mut decoder, &mut buffer.bytes)? {
                break body;
            }
            match buffer.fill(&stream) {
                Ok(0) => return Err(ended(&buffer.bytes)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(ConnectError::Timeout { after: config.handshake_timeout });
                }
                Err(error) => return Err(error.into()),
            }
        };
        let peer = config.hello.accept(&body).map_err(ConnectError::Hello)?;
        stream.set_read_timeout(None)?;
        Ok(Server {
            stream,
            peer,
            max_frame: config.hello.limits.max_frame,
            buffer,
            last_seen: 0,
            open: None,
        })
    }

    /// What the other side said about itself.
    pub const fn peer(&self) -> &Hello {
        &self.peer
    }

    /// Waits for the next call. `None`: the other side said GOODBYE, asked this whole side to cancel itself,
    /// or is gone.
    ///
    /// A call that was given out before and was not answered is answered first, with a report of kind
    /// [`ReportKind::Dropped`]. Dialogs are refused. A CANCEL is ignored: here a call ends by its answer or
    /// with its process.
    ///
    /// # Errors
    /// The link broke, or the other side broke the protocol.
    #[expect(clippy::should_implement_trait, reason = "an iterator would have to go on after an error")]
    pub fn next(&mut self) -> Result<Option<BlockingCall>, LinkEnd> {
        if let Some(id) = self.open {
            self.fail(id, &Report::new(ReportKind::Dropped, "the handler went away without an answer"))?;
        }
        loop {
            let Some(Frame { kind, id, body, .. }) = self.read_frame()? else { return Ok(None) };
            match kind {
                Kind::Call | Kind::Open if id <= self.last_seen => {
                    let reason = "ids of requests must grow";
                    return Err(protocol(ProtocolError::Unexpected { kind, id, reason }));
                }
                Kind::Call => {
                    self.last_seen = id;
                    let (target, args) = split_request(body).ok_or_else(|| {
                        protocol(ProtocolError::Body {
                            kind,
                            reason: "shorter than its head of 4 bytes".into(),
                        })
                    })?;
                    self.open = Some(id);
                    return Ok(Some(BlockingCall { id, target, args }));
                }
                Kind::Open => {
                    self.last_seen = id;
                    let text = "this side of the link serves no dialogs";
                    self.open = Some(id);
                    self.fail(id, &Report::new(ReportKind::Unknown, text))?;
                }
                Kind::Cancel if id == 0 => return Ok(None),
                Kind::Cancel | Kind::Pong => {}
                Kind::Ping => self.write(Header::new(Kind::Pong, id), &[])?,
                Kind::Goodbye if body.is_empty() => return Ok(None),
                Kind::Goodbye => {
                    let report = Report::from_bytes(&body)
                        .map_err(|error| protocol(ProtocolError::Body { kind, reason: error.to_string() }))?;
                    return Err(LinkEnd::Refused(Arc::new(report)));
                }
                _ => {
                    let reason = "this side made no request";
                    return Err(protocol(ProtocolError::Unexpected { kind, id, reason }));
                }
            }
        }
    }

    /// Answers the call with a result. One that is larger than the caller accepts becomes a report of kind
    /// [`ReportKind::Protocol`]. A call that has its answer already gets no second one.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn reply(&mut self, id: u64, value: &[u8]) -> Result<(), LinkEnd> {
        let max = self.peer.limits.max_frame;
        if value.len() > max as usize {
            let text = format!(
                "the result has {} bytes, the caller accepts {max}: raise its limit `max_frame` or return less",
                value.len()
            );
            return self.fail(id, &Report::new(ReportKind::Protocol, text));
        }
        if self.open.take_if(|open| *open == id).is_none() {
            return Ok(());
        }
        self.write(Header::new(Kind::Reply, id).to_caller(), value)
    }

    /// Answers the call with a failure.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn fail(&mut self, id: u64, report: &Report) -> Result<(), LinkEnd> {
        if self.open.take_if(|open| *open == id).is_none() {
            return Ok(());
        }
        let body = report.to_bytes(self.peer.limits.max_frame);
        self.write(Header::new(Kind::Error, id).to_caller(), &body)
    }

    fn write(&self, mut header: Header, body: &[u8]) -> Result<(), LinkEnd> {
        header.len = u32::try_from(body.len()).expect("checked against max_frame before");
        let header = header.to_bytes();
        let mut rest = Buf::chain(&header[..], body);
        while rest.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 2];
            let count = rest.chunks_vectored(&mut slices);
            match (&self.stream).write_vectored(&slices[..count]) {
                Ok(n) => rest.advance(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(link_end(error)),
            }
        }
        Ok(())
    }

    /// The next frame; `None` at the end of the stream.
    fn read_frame(&mut self) -> Result<Option<Frame>, LinkEnd> {
        let header = loop {
            if let Some(bytes) = self.buffer.bytes.first_chunk::<HEADER_LEN>() {
                let header = Header::parse(bytes, self.max_frame);
                break header.map_err(|error| protocol(error.into()))?;
            }
            match self.buffer.fill(&self.stream) {
                Ok(0) if self.buffer.bytes.is_empty() => return Ok(None),
                Ok(0) => return Err(truncated(HEADER_LEN - self.buffer.bytes.len())),
                Ok(_) => {}
                // It died with unread bytes of ours in its socket.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(link_end(error)),
            }
        };
        self.buffer.bytes.advance(HEADER_LEN);
        let body = self.read_body(header.len as usize)?;
        Ok(Some(Frame { kind: header.kind, flags: header.flags, id: header.id, body }))
    }

    fn read_body(&mut self, len: usize) -> Result<Bytes, LinkEnd> {
        let buffer = &mut self.buffer.bytes;
        if buffer.len() >= len {
            return Ok(buffer.split_to(len).freeze());
        }
        // The rest goes from the socket into its final place, without a detour over the buffer.
        let mut body = Vec::with_capacity(len);
        body.extend_from_slice(buffer);
        buffer.clear();
        let missing = len - body.len();
        let got = (&self.stream).take(missing as u64).read_to_end(&mut body).map_err(link_end)?;
        if got < missing { Err(truncated(missing - got)) } else { Ok(Bytes::from(body)) }
    }
}

/// What was read and not used yet.
#[derive(Debug)]
struct Buffer {
    bytes: BytesMut,
    /// Reads go here: it is initialised once, `bytes` would have to be each time.
    piece: Vec<u8>,
}

impl Buffer {
    fn new() -> Buffer {
        Buffer { bytes: BytesMut::with_capacity(READ), piece: vec![0; READ] }
    }

    /// Reads once.
    fn fill(&mut self, mut stream: &UnixStream) -> io::Result<usize> {
        loop {
            match stream.read(&mut self.piece) {
                Ok(n) => {
                    self.bytes.extend_from_slice(&self.piece[..n]);
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn protocol(error: ProtocolError) -> LinkEnd {
    LinkEnd::Protocol(Arc::new(error))
}

fn truncated(missing: usize) -> LinkEnd {
    protocol(FrameError::truncated(missing).into())
}

fn link_end(error: io::Error) -> LinkEnd {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => LinkEnd::Eof,
        _ => LinkEnd::Io(Arc::new(error)),
    }
}
