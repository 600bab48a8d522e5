//! A link, and a side without a runtime, whose peer says whatever the bytes are.

use std::cell::OnceCell;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use triune_ipc::{Config, Incoming, IncomingDialog, Link, Request, blocking::Server, connect};
use triune_wire::{BuildId, FRAME_MAX, Header, Hello, Kind, Limits};

/// How long the end of a link may take when its socket is closed.
pub(crate) const HANGS: Duration = Duration::from_secs(10);

/// What fits into the socket, whoever reads.
const MOST: usize = 128 * 1024;

/// Runs a future on the runtime of this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    thread_local! {
        static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
    }
    RUNTIME.with(|cell| {
        let build =
            || Builder::new_current_thread().enable_all().build().expect("the system gives a runtime");
        cell.get_or_init(build).block_on(future)
    })
}

/// A side with small limits, so that short inputs reach them.
pub(crate) fn config(name: &str) -> Config {
    let mut limits = Limits::default();
    limits.max_message = 2 * FRAME_MAX;
    limits.max_in_flight = 4;
    limits.max_request_bytes = u64::from(3 * FRAME_MAX);
    limits.window_items = 4;
    limits.window_bytes = u64::from(FRAME_MAX);
    let mut config = Config::new(Hello::new(BuildId::new([7; 16]), "test", name)).with_limits(limits);
    config.queue_bytes = 64 * 1024;
    config.accepts_introductions = true;
    config
}

/// The first frame of the peer.
pub(crate) fn hello_frame() -> Vec<u8> {
    let mut out = Vec::new();
    let body = config("peer").hello.to_bytes().expect("it is short");
    Header::new(Kind::Hello, 0).frame(&body, &mut out);
    out
}

/// A side that calls, talks and answers while its peer sends these bytes (after a HELLO) and then closes.
pub fn bytes(data: &[u8]) {
    if data.len() > MOST {
        return;
    }
    block_on(async {
        let (mut peer, stream) = UnixStream::pair().expect("the system gives sockets");
        peer.write_all(&hello_frame()).expect("it fits into the socket");
        peer.write_all(data).expect("it fits into the socket");
        peer.shutdown(Shutdown::Write).expect("a socket can be shut down");
        let (link, driver, incoming) = connect(stream, config("this")).await.expect("the HELLO is good");
        let all = async { tokio::join!(driver.run(), ask(&link), answer(incoming)) };
        let ended = timeout(HANGS, all).await;
        assert!(ended.is_ok(), "the link hangs");
        drop(peer);
    });
}

/// What this side asks for. Every wait must end with the link.
pub(crate) async fn ask(link: &Link) {
    let call = link.call(0, Bytes::from_static(b"arguments"));
    let dropped = link.call(1, Bytes::from_static(b"dropped"));
    let long = link.call(2, Bytes::from(vec![7; FRAME_MAX as usize + 100]));
    let (mut dialog, mut sender, mut receiver) = link.open(3, Bytes::from_static(b"dialog"));
    drop(dropped);
    let talk = async {
        // How each of them ends is up to the peer; that they end is not.
        let _started = dialog.started().await;
        for _ in 0..8 {
            if sender.send(Bytes::from(vec![7; 1000])).await.is_err() {
                break;
            }
        }
        sender.end();
        while let Ok(Some(_)) = receiver.recv().await {}
        let _ended = dialog.ended().await;
    };
    let (_call, _long, ()) = tokio::join!(call, long, talk);
}

/// Answers what the peer asks for, some of it late or not at all.
pub(crate) async fn answer(mut incoming: Incoming) {
    let mut kept = Vec::new();
    while let Some(request) = incoming.recv().await {
        match request {
            Request::Call(call) => match call.target % 3 {
                0 => call.responder.reply(call.args),
                1 => kept.push(call.responder),
                _ => drop(call),
            },
            Request::Open(dialog) => talk(dialog).await,
            _ => {}
        }
    }
}

async fn talk(mut dialog: IncomingDialog) {
    if dialog.target % 2 == 1 {
        return;
    }
    let _started = dialog.responder.started(Bytes::from_static(b"first"));
    while let Ok(Some(item)) = dialog.receiver.recv().await {
        if dialog.sender.send(item).await.is_err() {
            break;
        }
    }
    dialog.responder.reply(Bytes::new());
}

/// A side without a runtime; the first byte says whether a HELLO comes before the other bytes.
pub fn blocking(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    // Its answers must fit into the socket: nobody reads them before the end.
    if data.len() > MOST / 2 {
        return;
    }
    let (mut peer, stream) = UnixStream::pair().expect("the system gives sockets");
    if first % 4 != 0 {
        peer.write_all(&hello_frame()).expect("it fits into the socket");
    }
    peer.write_all(data).expect("it fits into the socket");
    peer.shutdown(Shutdown::Write).expect("a socket can be shut down");
    let Ok(mut server) = Server::accept(stream, &config("this")) else { return };
    peer.set_nonblocking(true).expect("a socket takes the flag");
    let mut answers = vec![0; 64 * 1024];
    while let Ok(Some(call)) = server.next() {
        let end = match call.target % 3 {
            0 => server.reply(call.id, &call.args),
            1 => server.reply(call.id, b"short"),
            _ => Ok(()),
        };
        while peer.read(&mut answers).is_ok_and(|read| read > 0) {}
        if end.is_err() {
            break;
        }
    }
}

/// What a real peer says in such a conversation, after its HELLO.
pub fn seed() -> Vec<u8> {
    block_on(async {
        let (one, one_out) = UnixStream::pair().expect("the system gives sockets");
        let (other, other_out) = UnixStream::pair().expect("the system gives sockets");
        let tee = tee(one_out, other_out);
        let sides = async {
            let (this, peer) = tokio::join!(connect(one, config("this")), connect(other, config("peer")));
            let ((link, driver, incoming), (peer_link, peer_driver, peer_incoming)) =
                (this.expect("they shake hands"), peer.expect("they shake hands"));
            let asked = async {
                tokio::join!(ask(&link), ask(&peer_link));
                peer_link.goodbye();
            };
            tokio::join!(asked, driver.run(), answer(incoming), peer_driver.run(), answer(peer_incoming));
        };
        let (said, ()) = timeout(HANGS, async { tokio::join!(tee, sides) }).await.expect("they end");
        said[hello_frame().len()..].to_vec()
    })
}

/// Passes bytes on between two sides, and gives what the second one said.
async fn tee(one: UnixStream, other: UnixStream) -> Vec<u8> {
    let to_tokio = |stream: UnixStream| {
        stream.set_nonblocking(true).expect("a socket takes the flag");
        tokio::net::UnixStream::from_std(stream).expect("the runtime takes the socket")
    };
    let (mut one_in, mut one_out) = to_tokio(one).into_split();
    let (mut other_in, mut other_out) = to_tokio(other).into_split();
    let there = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = one_in.read(&mut buffer).await {
            if other_out.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
        drop(other_out);
    };
    let back = async {
        let (mut buffer, mut said) = (vec![0; 64 * 1024], Vec::new());
        while let Ok(read @ 1..) = other_in.read(&mut buffer).await {
            said.extend_from_slice(&buffer[..read]);
            if one_out.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
        drop(one_out);
        said
    };
    tokio::join!(there, back).1
}
