//! What a hostile peer costs: whatever it sends, this side holds no more than its limits say, the link ends with a typed error,
//! and another link goes on, on a side with a runtime and on one without.
//!
//! The peer has threads of its own, so that only the memory of its victim is counted.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[expect(dead_code, reason = "this file needs a part of it")]
mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::thread;

use bytes::Bytes;
use common::{alongside, bytes, config, echo, pair};
use triune_ipc::blocking::Server;
use triune_ipc::{Config, LinkEnd, Request, connect};
use triune_testing::{CountingAllocator, Living};
use triune_wire::{
    BuildId, CancelCause, CancelMessage, HEADER_LEN, Header, Hello, Kind, Limits, RequestHead, flag,
    total_head,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// What the victim may come to hold, in bytes: its limits below, the read buffer, and the bookkeeping.
const MOST: isize = 3 << 20;

/// What each attack sends if nobody stops it: many times as much.
const ATTACK: usize = 16 << 20;

fn victim() -> Config {
    let mut limits = Limits::default();
    limits.max_message = 256 << 10;
    limits.max_in_flight = 100;
    limits.max_request_bytes = 1 << 20;
    limits.window_items = 64;
    limits.window_bytes = 256 << 10;
    config("victim").with_limits(limits)
}

/// The peer: writes what it likes, and stops when its victim has gone.
struct Attacker(UnixStream);

impl Attacker {
    fn write(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    fn frame(&mut self, header: Header, body: &[u8]) -> bool {
        let mut frame = Vec::with_capacity(HEADER_LEN + body.len());
        header.frame(body, &mut frame);
        self.write(&frame)
    }

    fn hello(&mut self) {
        let hello = Hello::new(BuildId::new([7; 16]), "test", "attacker").to_bytes().unwrap();
        self.frame(Header::new(Kind::Hello, 0), &hello);
    }

    fn request(&mut self, kind: Kind, id: u64, len: usize) -> bool {
        let (head, head_len) = RequestHead::new(0).to_bytes();
        self.frame(Header::new(kind, id), &[&head[..head_len], &vec![7; len]].concat())
    }

    /// Reads frames until one of this kind has come.
    fn read_until(&mut self, kind: Kind) {
        loop {
            let mut header = [0; HEADER_LEN];
            self.0.read_exact(&mut header).unwrap();
            let header = Header::parse(&header).unwrap();
            self.0.read_exact(&mut vec![0; header.len as usize]).unwrap();
            if header.kind == kind {
                return;
            }
        }
    }
}

/// An attack, and what its victim says about it.
type Attack = (&'static str, fn(&mut Attacker), &'static str);

const HANDSHAKES: [Attack; 4] = [
    ("garbage", |peer| while peer.write(&[0xff; 64 << 10]) {}, "no triune process"),
    (
        "another protocol",
        |peer| {
            peer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        },
        "no triune process",
    ),
    (
        "a wrong version",
        |peer| {
            let mut hello =
                Hello::new(BuildId::new([7; 16]), "test", "attacker").to_bytes().unwrap().to_vec();
            hello[4..8].copy_from_slice(&[9, 0, 9, 0]);
            peer.frame(Header::new(Kind::Hello, 0), &hello);
        },
        "version",
    ),
    (
        "another build",
        |peer| {
            let hello = Hello::new(BuildId::new([8; 16]), "test", "attacker").to_bytes().unwrap();
            peer.frame(Header::new(Kind::Hello, 0), &hello);
        },
        "08080808",
    ),
];

fn oversized(peer: &mut Attacker) {
    peer.hello();
    let mut header = Header::new(Kind::Call, 1);
    header.len = u32::MAX;
    peer.write(&header.to_bytes());
    while peer.write(&[7; 64 << 10]) {}
}

fn truncated(peer: &mut Attacker) {
    peer.hello();
    let mut header = Header::new(Kind::Call, 1);
    header.len = 60_000;
    peer.write(&header.to_bytes());
    peer.write(&[7; 1000]);
    // A socket that is closed with something unread in it is reset, which would hide what was written.
    peer.0.shutdown(std::net::Shutdown::Write).unwrap();
    std::io::copy(&mut peer.0, &mut std::io::sink()).unwrap();
}

/// Requests that claim the largest message each, and send little of it.
fn beginnings(peer: &mut Attacker) {
    peer.hello();
    for id in 1..=(ATTACK >> 10) as u64 {
        let mut header = Header::new(Kind::Call, id);
        header.flags |= flag::PIECES;
        if !peer.frame(header, &[&total_head(256 << 10)[..], &[7; 1000]].concat()) {
            return;
        }
    }
}

const ATTACKS: [Attack; 9] = [
    ("an oversized length", oversized, "larger than the limit"),
    ("a truncated frame", truncated, "the stream ended inside a frame"),
    ("beginnings of long requests", beginnings, "the limit of"),
    (
        "a flood of opens",
        |peer| {
            peer.hello();
            for id in 1..=(ATTACK / 50_000) as u64 {
                if !peer.request(Kind::Open, id, 50_000) {
                    return;
                }
            }
        },
        "the limit of",
    ),
    (
        "a flood of small opens",
        |peer| {
            peer.hello();
            for id in 1..=(ATTACK / 100) as u64 {
                if !peer.request(Kind::Open, id, 0) {
                    return;
                }
            }
        },
        "the limit of requests in flight",
    ),
    (
        "an overrun of credits",
        |peer| {
            peer.hello();
            peer.request(Kind::Open, 1, 0);
            peer.read_until(Kind::Started);
            for _ in 0..ATTACK / 50_000 {
                if !peer.frame(Header::new(Kind::Item, 1), &[7; 50_000]) {
                    return;
                }
            }
        },
        "the credit of its dialog",
    ),
    (
        "a flood of empty items",
        |peer| {
            peer.hello();
            peer.request(Kind::Open, 1, 0);
            peer.read_until(Kind::Started);
            for _ in 0..ATTACK / 16 {
                if !peer.frame(Header::new(Kind::Item, 1), b"") {
                    return;
                }
            }
        },
        "the credit of its dialog",
    ),
    (
        "a flood of early cancels",
        |peer| {
            peer.hello();
            let body = CancelMessage::new(CancelCause::Explicit, "x".repeat(1000)).to_bytes();
            for id in 1..=(ATTACK / 1000) as u64 {
                if !peer.frame(Header::new(Kind::Cancel, id), &body) {
                    return;
                }
            }
        },
        "the limit of requests in flight",
    ),
    (
        "pings whose answers nobody reads",
        |peer| {
            peer.hello();
            let mut pings = Vec::new();
            (0..4096).for_each(|token| Header::new(Kind::Ping, token).frame(b"", &mut pings));
            for _ in 0..ATTACK / pings.len() {
                if !peer.write(&pings) {
                    return;
                }
            }
        },
        "16 unanswered pings",
    ),
];

/// Polls the future to its end, and says how much memory was held at most after a poll.
async fn measured<F: Future>(future: F) -> (F::Output, isize) {
    let before = Living::now().bytes;
    let mut most = 0;
    let mut future = pin!(future);
    let output = std::future::poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        most = most.max(Living::now().bytes - before);
        polled
    })
    .await;
    (output, most)
}

/// Takes dialogs up and holds them; answers calls.
async fn serve(mut incoming: triune_ipc::Incoming) {
    let mut held = Vec::new();
    while let Some(request) = incoming.recv().await {
        match request {
            Request::Call(call) => call.responder.reply(call.args),
            Request::Open(mut dialog) => {
                dialog.responder.started(Bytes::new()).unwrap();
                held.push(dialog);
            }
            _ => {}
        }
    }
}

#[test]
fn an_attack_costs_its_victim_a_bounded_amount_and_its_neighbour_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    thread::scope(|scope| {
        runtime.block_on(async {
            let ((good, good_driver, _none), (_link, good_other, good_incoming)) = pair().await;
            let neighbour = async { tokio::join!(good_driver.run(), good_other.run(), echo(good_incoming)) };
            let attacks = async {
                for (name, attack, expected) in HANDSHAKES.into_iter().chain(ATTACKS) {
                    let (mine, theirs) = UnixStream::pair().unwrap();
                    scope.spawn(move || attack(&mut Attacker(mine)));
                    let (call, (end, most)) =
                        tokio::join!(good.call(0, bytes("fine")), measured(suffer(name, theirs)));
                    assert_eq!(call.unwrap(), "fine", "{name}");
                    assert!(end.contains(expected), "{name}: {end}");
                    assert!(most < MOST, "{name}: {most} bytes were held");
                    assert_eq!(good.call(0, bytes("still fine")).await.unwrap(), "still fine", "{name}");
                }
            };
            alongside(neighbour, Box::pin(attacks)).await;
        });
    });
}

/// Lets an attack come, and says how the link ended.
async fn suffer(name: &str, stream: UnixStream) -> String {
    match connect(stream, victim()).await {
        Err(error) => error.to_string(),
        Ok((_link, driver, incoming)) => {
            let (end, ()) = tokio::join!(driver.run(), serve(incoming));
            assert!(matches!(end, LinkEnd::Protocol(_)), "{name}: {end:?}");
            end.to_string()
        }
    }
}

/// It grants what it may, asks for as much as it can get, and reads nothing.
#[tokio::test]
async fn a_peer_that_stops_reading_costs_a_bounded_amount() {
    let (mine, theirs) = UnixStream::pair().unwrap();
    let mut peer = Attacker(mine);
    peer.hello();
    for id in 1..=100 {
        peer.request(Kind::Open, id, 0);
    }
    let (_link, driver, mut incoming) = connect(theirs, victim()).await.unwrap();
    let before = Living::now().bytes;
    let fill = async {
        let mut dialogs = Vec::new();
        while dialogs.len() < 100 {
            let Some(Request::Open(mut dialog)) = incoming.recv().await else { panic!("not a dialog") };
            dialog.responder.started(Bytes::new()).unwrap();
            dialogs.push(dialog);
        }
        // Each has a window of 1 MiB; the queue of the link is what bounds them together.
        let mut sent = 0;
        for dialog in &mut dialogs {
            while dialog.sender.try_send(vec![7; 10_000]).is_ok() {
                sent += 1;
            }
        }
        (sent, Living::now().bytes - before)
    };
    let (sent, held) = alongside(driver.run(), fill).await;
    // 4 MiB wait for the socket at most, and each dialog has some bookkeeping.
    assert!(held < (4 << 20) + MOST, "{held} bytes are held after {sent} items");
}

/// The same for a side without a runtime; a second one is served meanwhile by another thread.
#[test]
fn an_attack_on_a_blocking_server_costs_a_bounded_amount_and_its_neighbour_nothing() {
    let (good, other) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut server = Server::accept(other, &config("neighbour")).unwrap();
            while let Some(call) = server.next().unwrap() {
                server.reply(call.id, &call.args).unwrap();
            }
        });
        let mut good = Attacker(good);
        good.hello();
        for (id, (name, attack, _)) in (1..).zip(HANDSHAKES.into_iter().chain(ATTACKS)) {
            let (mine, theirs) = UnixStream::pair().unwrap();
            // It refuses dialogs, so nobody gets to their items.
            if name.contains("credits") || name.contains("items") {
                continue;
            }
            // What the victim says is read and thrown away: it has no other work, so it may wait for that.
            let mut answers = mine.try_clone().unwrap();
            scope.spawn(move || drop(std::io::copy(&mut answers, &mut std::io::sink())));
            let attacker = scope.spawn(move || {
                let mut peer = Attacker(mine);
                attack(&mut peer);
                drop(peer.0.shutdown(std::net::Shutdown::Both));
            });
            let before = Living::now().bytes;
            let mut most = 0;
            if let Ok(mut server) = Server::accept(theirs, &victim()) {
                let end = loop {
                    let next = server.next();
                    most = most.max(Living::now().bytes - before);
                    match next {
                        Ok(Some(call)) => drop(server.reply(call.id, &call.args)),
                        Ok(None) => break None,
                        Err(end) => break Some(end),
                    }
                };
                // It takes one request at a time and answers it, so that a flood of them is only work.
                let is_flood = name.starts_with("a flood") || name.starts_with("pings");
                assert!(is_flood || matches!(end, Some(LinkEnd::Protocol(_))), "{name}: {end:?}");
            }
            attacker.join().unwrap();
            assert!(most < MOST, "{name}: {most} bytes were held");
            assert!(good.request(Kind::Call, id, 10), "{name}");
            good.read_until(Kind::Reply);
        }
        drop(good);
    });
}
