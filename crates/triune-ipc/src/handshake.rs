//! The first frame in each direction, and what comes of it.
//!
//! Both sides send their HELLO before they judge the other's, so that a mismatch is told on both.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use rustix::net::sockopt;
use triune_wire::{FrameDecoder, HEADER_LEN, Header, Hello, Kind, Report};

use crate::mux::Shared;
use crate::socket::Socket;
use crate::{Config, ConnectError, Driver, Incoming, Link};

/// Bytes that the socket may hold in each direction, where the system permits. Fewer sleeps for large
/// messages; not more, because a cancel waits behind what is in the socket already.
const SOCKET_BUFFER: usize = 1024 * 1024;

/// Opens a link over this socket: exchanges HELLOs and checks that the two sides can talk.
///
/// The [`Driver`] must be polled for anything to happen afterwards. A side that serves no requests drops
/// its [`Incoming`]; requests of the other side are then refused.
///
/// # Cancel safety
/// Dropping the future closes the socket; the other side sees a link that was closed in its handshake.
///
/// # Errors
/// The other side is gone, is silent, is no triune process, or is one of another version or build. The
/// texts of mismatches name both sides.
pub async fn connect(stream: UnixStream, config: Config) -> Result<(Link, Driver, Incoming), ConnectError> {
    prepare(&stream);
    stream.set_nonblocking(true)?;
    let mut socket = Socket::new(Arc::new(stream))?;
    let mut hello = frame(&config.hello)?;
    let mut buffer = BytesMut::with_capacity(4 * 1024);
    let mut decoder = FrameDecoder::new();
    let mut theirs = None;
    let exchange = poll_fn(|cx| {
        // Both at a time: two long HELLOs need not fit into the socket.
        let sent = poll_send(&mut socket, &mut hello, cx)?;
        while theirs.is_none() {
            theirs = decode(&mut decoder, &mut buffer)?;
            if theirs.is_none() {
                buffer.reserve(HEADER_LEN);
                let room = buffer.capacity() - buffer.len();
                if ready!(socket.poll_read(&mut buffer, room, cx))? == 0 {
                    return Poll::Ready(Err(ended(&buffer)));
                }
            }
        }
        ready!(sent);
        Poll::Ready(theirs.take().ok_or(ConnectError::Closed))
    });
    let after = config.handshake_timeout;
    let body = match tokio::time::timeout(after, exchange).await {
        Ok(theirs) => theirs?,
        Err(_) => return Err(ConnectError::Timeout { after }),
    };
    let peer = config.hello.accept(&body).map_err(ConnectError::Hello)?;
    let shared = Arc::new(Shared::new(&config.hello, peer, config.queue_bytes));
    let driver = Driver::new(Arc::clone(&shared), socket, buffer, &config);
    Ok((Link::new(Arc::clone(&shared)), driver, Incoming::new(shared)))
}

/// Sends what is left of our HELLO.
fn poll_send(socket: &mut Socket, hello: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    while hello.has_remaining() {
        match ready!(socket.poll_write(&[IoSlice::new(hello)], cx)) {
            Ok(n) => hello.advance(n),
            // It may have refused us and gone; what it said tells more than the broken pipe.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => hello.clear(),
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    Poll::Ready(Ok(()))
}

/// Makes the socket roomy; a system that refuses is slower, not wrong.
pub(crate) fn prepare(stream: &UnixStream) {
    let sizes = [
        sockopt::set_socket_send_buffer_size(stream, SOCKET_BUFFER),
        sockopt::set_socket_recv_buffer_size(stream, SOCKET_BUFFER),
    ];
    for error in sizes.into_iter().filter_map(Result::err) {
        tracing::debug!(%error, "the socket buffer of a link keeps its size");
    }
}

/// The HELLO as a frame.
pub(crate) fn frame(hello: &Hello) -> Result<BytesMut, ConnectError> {
    let body = hello.to_bytes().map_err(ConnectError::Hello)?;
    let mut out = BytesMut::with_capacity(HEADER_LEN + body.len());
    Header::new(Kind::Hello, 0).frame(&body, &mut out);
    Ok(out)
}

/// The body of the HELLO, once it is complete.
pub(crate) fn decode(
    decoder: &mut FrameDecoder,
    buffer: &mut BytesMut,
) -> Result<Option<Bytes>, ConnectError> {
    let found = Bytes::copy_from_slice(&buffer[..buffer.len().min(HEADER_LEN)]);
    match decoder.decode(buffer) {
        Ok(Some(frame)) if frame.kind == Kind::Hello => Ok(Some(frame.body)),
        Ok(None) => Ok(None),
        Ok(Some(frame)) if frame.kind == Kind::Goodbye => match Report::from_bytes(&frame.body) {
            Ok(report) => Err(ConnectError::Refused(Box::new(report))),
            Err(_) => Err(ConnectError::NotTriune { found }),
        },
        Ok(Some(_)) | Err(_) => Err(ConnectError::NotTriune { found }),
    }
}

/// The stream ended before a HELLO: after other bytes, or after none.
pub(crate) fn ended(buffer: &BytesMut) -> ConnectError {
    // Shorter than a header, else it would have been judged; or the rest of a HELLO whose sender died.
    if buffer.is_empty() || buffer.len() >= HEADER_LEN {
        return ConnectError::Closed;
    }
    ConnectError::NotTriune { found: Bytes::copy_from_slice(buffer) }
}
