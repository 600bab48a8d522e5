//! What the tests of links share: both ends of one, and a peer that speaks raw frames.
//!
//! Owns no assertions beyond the handshake.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::future::Future;
use std::os::unix::net::UnixStream;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use triune_ipc::{Config, Driver, Incoming, Link, Request, connect};
use triune_wire::{BuildId, Frame, FrameDecoder, HEADER_LEN, Header, Hello, Kind, Limits, RequestHead};

pub(crate) fn config(name: &str) -> Config {
    let mut config = Config::new(Hello::new(BuildId::new([7; 16]), "test", name));
    // The tests of windows count on it.
    config.hello.limits.window_items = 64;
    config
}

/// Both ends of a link, with these limits on the second one.
pub(crate) async fn pair_with(limits: Limits) -> ((Link, Driver, Incoming), (Link, Driver, Incoming)) {
    let (one, other) = UnixStream::pair().unwrap();
    let (one, other) =
        tokio::join!(connect(one, config("caller")), connect(other, config("callee").with_limits(limits)));
    (one.unwrap(), other.unwrap())
}

pub(crate) async fn pair() -> ((Link, Driver, Incoming), (Link, Driver, Incoming)) {
    pair_with(Limits::default()).await
}

/// Polls `background` until `foreground` is done; the background must not end before.
pub(crate) async fn alongside<T>(background: impl Future, foreground: impl Future<Output = T>) -> T {
    match select(pin!(foreground), pin!(background)).await {
        Either::Left((value, _)) => value,
        Either::Right(_) => panic!("the background ended first"),
    }
}

/// Answers each call with its arguments, until the link ends.
pub(crate) async fn echo(mut incoming: Incoming) {
    while let Some(request) = incoming.recv().await {
        if let Request::Call(call) = request {
            call.responder.reply(call.args);
        }
    }
}

/// A peer that writes and reads frames by hand.
pub(crate) struct Raw {
    pub(crate) stream: tokio::net::UnixStream,
    decoder: FrameDecoder,
    buffer: BytesMut,
}

impl Raw {
    /// A raw peer whose other end is a real one with this configuration; the handshake is done.
    pub(crate) async fn connect(config: Config) -> (Raw, (Link, Driver, Incoming)) {
        let (one, other) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        let stream = tokio::net::UnixStream::from_std(one).unwrap();
        let mut raw = Raw { stream, decoder: FrameDecoder::new(), buffer: BytesMut::new() };
        let hello = Hello::new(BuildId::new([7; 16]), "test", "raw").to_bytes().unwrap();
        raw.send(Header::new(Kind::Hello, 0), &hello).await;
        let link = connect(other, config).await.unwrap();
        assert_eq!(raw.recv().await.unwrap().kind, Kind::Hello);
        (raw, link)
    }

    pub(crate) async fn send(&mut self, header: Header, body: &[u8]) {
        let mut out = Vec::with_capacity(HEADER_LEN + body.len());
        header.frame(body, &mut out);
        self.stream.write_all(&out).await.unwrap();
    }

    pub(crate) async fn request(&mut self, kind: Kind, id: u64, args: &[u8]) {
        let (head, len) = RequestHead::new(0).to_bytes();
        self.send(Header::new(kind, id), &[&head[..len], args].concat()).await;
    }

    /// The next frame, `None` at the end.
    pub(crate) async fn recv(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.buffer).unwrap() {
                return Some(frame);
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap() == 0 {
                return None;
            }
        }
    }
}

pub(crate) fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}
