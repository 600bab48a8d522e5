//! The serving side without a runtime keeps the same promises.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[expect(dead_code, reason = "this file needs a part of it")]
mod common;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use common::{alongside, bytes, config};
use futures_util::FutureExt as _;
use triune_ipc::blocking::{Loan, Server};
use triune_ipc::{CallEnd, ConnectError, Heartbeat, Link, LinkEnd, ProtocolError, connect};
use triune_wire::{
    BuildId, CancelCause, CancelMessage, HEADER_LEN, Header, Hello, Kind, Message, Report, ReportKind,
    RequestHead,
};

/// Runs a server on a thread of its own while a caller talks to it.
fn with_server<S: Send, T>(
    serve: impl FnOnce(Server) -> S + Send,
    talk: impl AsyncFnOnce(Link) -> T,
) -> (S, T) {
    with_server_ahead(1, serve, talk)
}

/// The same, with a server that takes so many calls before it has answered the first.
fn with_server_ahead<S: Send, T>(
    calls: u32,
    serve: impl FnOnce(Server) -> S + Send,
    talk: impl AsyncFnOnce(Link) -> T,
) -> (S, T) {
    let (one, other) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(Server::accept_ahead(other, &config("worker"), calls).unwrap()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let said = runtime.block_on(async {
            let (link, driver, _none) = connect(one, config("pool")).await.unwrap();
            assert_eq!(link.peer().name, "worker");
            alongside(
                async {
                    driver.run().await;
                    std::future::pending::<()>().await
                },
                talk(link),
            )
            .await
        });
        drop(runtime);
        (server.join().unwrap(), said)
    })
}

fn echo(mut server: Server) -> Result<u32, LinkEnd> {
    let mut served = 0;
    while let Some(call) = server.next()? {
        served += 1;
        match call.target {
            0 => server.reply(call.id, &call.args)?,
            1 => server.fail(call.id, &Report::new(ReportKind::Panic, "boom"))?,
            // No answer at all.
            _ => {}
        }
    }
    Ok(served)
}

#[test]
fn calls_are_answered_one_after_the_other_until_goodbye() {
    let (served, ()) = with_server(echo, async |link| {
        let calls = (0..200_u32).map(|n| link.call(0, Bytes::copy_from_slice(&n.to_le_bytes())));
        for (n, call) in (0..200_u32).zip(calls.collect::<Vec<_>>()) {
            assert_eq!(call.await.unwrap(), &n.to_le_bytes()[..]);
        }
        let large: Bytes = (0..9_000_000_u32).map(|n| n as u8).collect();
        assert!(link.call(0, large.clone()).await.unwrap() == large);
        link.goodbye();
        assert!(matches!(link.ended().await, LinkEnd::Goodbye));
    });
    assert_eq!(served.unwrap(), 201);
}

/// Says what was lent before each call: by number the first byte of the file, or that it was recalled.
fn tell_loans(mut server: Server) -> Result<(), LinkEnd> {
    loop {
        let mut told = Vec::new();
        let call = server.next_taking(|loan| match loan {
            Loan::Lent { number, file } => {
                let mut byte = [0];
                std::fs::File::from(file.unwrap()).read_exact_at(&mut byte, 0).unwrap();
                told.extend([number as u8, byte[0]]);
            }
            Loan::Recalled { number } => told.extend([number as u8, b'-']),
            _ => unreachable!("there is nothing else"),
        })?;
        let Some(call) = call else { return Ok(()) };
        server.reply(call.id, &told)?;
    }
}

fn file_of(byte: u8) -> Arc<OwnedFd> {
    let mut file =
        std::fs::File::from(rustix::fs::memfd_create("lent", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
    file.write_all(&[byte]).unwrap();
    Arc::new(file.into())
}

#[test]
fn a_loan_is_there_before_the_call_that_is_made_after_it() {
    let (end, ()) = with_server_ahead(4, tell_loans, async |link| {
        link.lend(1, file_of(b'a'));
        link.lend(2, file_of(b'b'));
        assert_eq!(link.call(0, bytes("x")).await.unwrap(), "\u{1}a\u{2}b");
        assert_eq!(link.call(0, bytes("x")).await.unwrap(), "", "they are told once");
        link.recall(1);
        link.lend(1, file_of(b'c'));
        link.recall(2);
        // Neither before nor between the pieces of a long message is one lost.
        let long = link.call(0, Bytes::from(vec![0; 1_000_000]));
        link.lend(3, file_of(b'd'));
        let told = [&long.await.unwrap()[..], &link.call(0, bytes("x")).await.unwrap()].concat();
        // What is recalled is told when there is nothing better to do, or before the number is lent anew.
        let [mut told, mut expected] =
            [&told[..], b"\x01-\x01c\x02-\x03d"].map(|told| told.chunks(2).collect::<Vec<_>>());
        assert_eq!(told[..2], expected[..2]);
        told.sort_unstable();
        expected.sort_unstable();
        assert_eq!(told, expected);
        link.goodbye();
        link.ended().await;
    });
    end.unwrap();
}

#[test]
fn a_server_hears_of_loans_while_it_has_no_call() {
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let serve = move |mut server: Server| {
        let take = |loan| match loan {
            Loan::Lent { number, file: Some(_) } => heard.send(number).unwrap(),
            Loan::Recalled { number } => heard.send(10 * number).unwrap(),
            other => unreachable!("{other:?}"),
        };
        assert!(server.next_taking(take).unwrap().is_none(), "there is no call");
    };
    let ((), ()) = with_server(serve, async |link| {
        link.lend(1, file_of(b'a'));
        assert_eq!(hears.recv().await, Some(1));
        link.recall(1);
        assert_eq!(hears.recv().await, Some(10));
        link.goodbye();
        link.ended().await;
    });
}

#[test]
fn calls_that_come_early_wait_for_the_answers_of_those_before() {
    let number = |n: u8| Bytes::copy_from_slice(&[n]);
    // Answers three, and goes with the fourth in its hands.
    let serve = move |mut server: Server| {
        for _ in 0..3 {
            let call = server.next().unwrap().unwrap();
            server.reply(call.id, &call.args).unwrap();
        }
        server.next().unwrap().unwrap().args
    };
    let (fourth, ()) = with_server_ahead(8, serve, async |link| {
        let calls: Vec<_> = (0..8).map(|n| link.call(0, number(n))).collect();
        for (n, call) in (0..8).zip(calls) {
            match call.await {
                Ok(answer) => assert!(n < 3 && answer == number(n)),
                Err(end) => assert!(n >= 3 && matches!(end, CallEnd::Lost(_)), "{n}: {end:?}"),
            }
        }
    });
    assert_eq!(fourth, number(3));
}

#[test]
fn a_result_in_several_places_arrives_as_one_and_the_memory_of_large_arguments_is_used_again() {
    const CUTS: [usize; 6] = [0, 1, 70_000, 200_000, 200_000, 300_000];
    let serve = move |mut server: Server| {
        let mut places = Vec::new();
        while let Some(call) = server.next().unwrap() {
            places.push(call.args.as_ptr().addr());
            let cuts = CUTS.map(|cut| cut.min(call.args.len()));
            let parts = cuts.windows(2).map(|cut| &call.args[cut[0]..cut[1]]);
            server.reply_parts(call.id, parts.chain([&call.args[cuts[5]..]])).unwrap();
            server.reuse(call.args);
        }
        places
    };
    let (places, ()) = with_server(serve, async |link| {
        for len in [400_000_usize, 399_990, 10, 400_000, 65_536] {
            let args: Bytes = (0..len).map(|n| (n ^ (n >> 8)) as u8).collect();
            assert!(link.call(0, args.clone()).await.unwrap() == args, "{len}");
        }
        link.goodbye();
        link.ended().await;
    });
    // Each a little further on: by what goes before the arguments.
    assert!(places[1] - places[0] < 100 && places[3] - places[1] < 100, "{places:?}");
}

#[test]
fn a_call_without_an_answer_is_answered_by_the_next() {
    let (served, ()) = with_server(echo, async |link| {
        let kind = |end: CallEnd| match end {
            CallEnd::Failed(report) => report.kind,
            other => panic!("not a report: {other:?}"),
        };
        let (failed, dropped) = (link.call(1, Bytes::new()), link.call(2, Bytes::new()));
        let refused = link.open(0, Bytes::new()).0.ended().await;
        assert_eq!(kind(failed.await.unwrap_err()), ReportKind::Panic);
        assert_eq!(kind(dropped.await.unwrap_err()), ReportKind::Dropped);
        assert_eq!(kind(refused.unwrap_err()), ReportKind::Unknown);
        // Cancelling is up to whoever owns the process; here it is ignored.
        let call = link.call(0, bytes("fine"));
        call.cancel(CancelMessage::new(CancelCause::Explicit, "ignored"));
        assert_eq!(call.await.unwrap(), "fine");
        link.cancel_all(&CancelMessage::new(CancelCause::Shutdown, "stop"));
        assert!(matches!(link.ended().await, LinkEnd::Eof));
    });
    assert_eq!(served.unwrap(), 3);
}

#[test]
fn the_end_of_the_caller_is_the_end_of_the_loop() {
    let (served, ()) = with_server(echo, async |link| {
        link.call(0, Bytes::new()).await.unwrap();
        link.close(LinkEnd::Closed);
    });
    assert_eq!(served.unwrap(), 1);
}

#[test]
fn a_server_that_goes_away_ends_the_call() {
    let serve = |mut server: Server| drop(server.next());
    let ((), end) = with_server(serve, async |link| link.call(0, Bytes::new()).await.unwrap_err());
    assert!(matches!(end, CallEnd::Lost(LinkEnd::Eof)), "{end:?}");
}

#[test]
fn mismatches_and_silence_are_refused() {
    let (one, other) = UnixStream::pair().unwrap();
    let mut foreign = Hello::new(BuildId::new([8; 16]), "test", "foreign").to_bytes().unwrap();
    let mut frame = Vec::new();
    Header::new(Kind::Hello, 0).frame(&std::mem::take(&mut foreign), &mut frame);
    (&one).write_all(&frame).unwrap();
    let error = Server::accept(other, &config("worker")).unwrap_err().to_string();
    assert!(error.contains("this side: 07070707") && error.contains("other side: 08080808"), "{error}");
    // The other side has what it needs to find out, too.
    let mut said = Vec::new();
    (&one).read_to_end(&mut said).unwrap();
    assert_eq!(&said[16..20], b"TRIU");

    let (one, other) = UnixStream::pair().unwrap();
    (&one).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(matches!(Server::accept(other, &config("w")), Err(ConnectError::NotTriune { .. })));

    let (one, other) = UnixStream::pair().unwrap();
    drop(one);
    assert!(matches!(Server::accept(other, &config("w")), Err(ConnectError::Closed)));

    let (_silent, other) = UnixStream::pair().unwrap();
    let mut hasty = config("w");
    hasty.handshake_timeout = Duration::from_millis(1);
    assert!(matches!(Server::accept(other, &hasty), Err(ConnectError::Timeout { .. })));
}

/// What the server says after a handshake and these bytes.
fn after(bytes: &[u8]) -> LinkEnd {
    let (one, other) = UnixStream::pair().unwrap();
    let hello = config("raw").hello.to_bytes().unwrap();
    let mut frames = Vec::new();
    Header::new(Kind::Hello, 0).frame(&hello, &mut frames);
    frames.extend_from_slice(bytes);
    (&one).write_all(&frames).unwrap();
    one.shutdown(std::net::Shutdown::Write).unwrap();
    let mut server = Server::accept(other, &config("worker")).unwrap();
    loop {
        match server.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the server took it for a good end"),
            Err(end) => return end,
        }
    }
}

#[test]
fn a_peer_that_breaks_the_rules_is_refused() {
    let mut twice = Vec::new();
    Header::new(Kind::Call, 5).frame(&RequestHead::new(0).to_bytes().0[..5], &mut twice);
    Header::new(Kind::Call, 5).frame(&RequestHead::new(0).to_bytes().0[..5], &mut twice);
    let mut huge = Header::new(Kind::Call, 1);
    huge.len = u32::MAX;
    let mut cut = Header::new(Kind::Call, 1);
    cut.len = 50_000;
    let mut unasked = Vec::new();
    Header::new(Kind::Reply, 1).to_caller().frame(b"", &mut unasked);
    for (bytes, text) in [
        (&twice[..], "ids of requests must grow"),
        (&huge.to_bytes()[..], "larger than the limit"),
        (&cut.to_bytes()[..], "at least 50000 bytes are missing"),
        (&cut.to_bytes()[..7], "at least 9 bytes are missing"),
        (&unasked[..], "this side made no request"),
        (&Header::new(Kind::Recall, 1).to_bytes().repeat(1025)[..], "1024 loans before a call"),
    ] {
        match after(bytes) {
            LinkEnd::Protocol(error) => assert!(error.to_string().contains(text), "{error}"),
            other => panic!("not a protocol error: {other:?}"),
        }
    }
    assert!(matches!(after(&[0; 16]), LinkEnd::Protocol(e) if matches!(*e, ProtocolError::Frame(_))));
}

#[test]
fn a_server_that_spins_serves_as_before() {
    let (one, other) = UnixStream::pair().unwrap();
    let mut spinning = config("worker");
    spinning.spin = std::time::Duration::from_micros(200);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            let mut server = Server::accept(other, &spinning).unwrap();
            while let Some(call) = server.next().unwrap() {
                server.reply(call.id, &call.args).unwrap();
            }
        });
        runtime.block_on(async {
            let (link, driver, _incoming) = triune_ipc::connect(one, config("pool")).await.unwrap();
            let calls = async {
                for len in [0, 10, 70_000, 3_000_000] {
                    let sent = vec![7; len];
                    assert_eq!(link.call(0, sent.clone()).await.unwrap(), sent, "{len} bytes");
                }
                link.goodbye();
            };
            tokio::join!(driver.run(), calls);
        });
    });
}

/// One thread beats all the time while the other one writes results of every size.
#[test]
fn signs_of_life_come_between_frames_and_never_inside_of_one() {
    let serve = move |mut server: Server| {
        let pulse = server.pulse().unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|threads| {
            threads.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    pulse.beat();
                }
            });
            let served = echo(server);
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            served
        })
    };
    let (served, ()) = with_server(serve, async |link| {
        for len in [0, 1, 5_000, 65_000, 300_000, 3_000_000].into_iter().cycle().take(60) {
            let args: Bytes = (0..len).map(|n| (n ^ (n >> 8)) as u8).collect();
            assert!(link.call(0, args.clone()).await.unwrap() == args, "{len}");
        }
        link.goodbye();
        assert!(matches!(link.ended().await, LinkEnd::Goodbye));
    });
    assert_eq!(served.unwrap(), 60);
}

/// Neither a peer that reads nothing nor one that is gone can hold up whoever beats.
#[test]
fn a_sign_of_life_waits_for_nobody() {
    let (one, other) = UnixStream::pair().unwrap();
    let mut frame = Vec::new();
    Header::new(Kind::Hello, 0).frame(&config("raw").hello.to_bytes().unwrap(), &mut frame);
    (&one).write_all(&frame).unwrap();
    let mut server = Server::accept(other, &config("worker")).unwrap();
    let pulse = server.pulse().unwrap();
    // More than any socket holds.
    for _ in 0..200_000 {
        pulse.beat();
    }
    drop(one);
    pulse.beat();
    assert!(server.next().is_ok_and(|call| call.is_none()) || server.next().is_err());
}

/// A server with a call whose answer is larger than the socket holds, and the end of its peer, which reads nothing.
fn deaf_peer(config: &triune_ipc::Config) -> (UnixStream, Server, u64) {
    let (one, other) = UnixStream::pair().unwrap();
    let mut frames = Vec::new();
    Header::new(Kind::Hello, 0).frame(&common::config("raw").hello.to_bytes().unwrap(), &mut frames);
    let (head, len) = RequestHead::new(0).to_bytes();
    Header::new(Kind::Call, 1).frame(&head[..len], &mut frames);
    (&one).write_all(&frames).unwrap();
    let mut server = Server::accept(other, config).unwrap();
    let id = server.next().unwrap().unwrap().id;
    (one, server, id)
}

const LARGE: usize = 32 << 20;

#[test]
fn a_peer_that_stops_reading_is_waited_for_no_longer_than_it_was_said() {
    let mut hasty = config("worker");
    hasty.heartbeat = Some(Heartbeat::listening(Duration::from_millis(40)));
    let (_one, mut server, id) = deaf_peer(&hasty);
    let end = server.reply(id, &vec![7; LARGE]).unwrap_err();
    assert!(matches!(end, LinkEnd::Stalled { silent, .. } if silent >= Duration::from_millis(30)), "{end:?}");
}

#[test]
fn a_peer_that_stopped_reading_and_goes_away_is_a_typed_end() {
    let (one, mut server, id) = deaf_peer(&config("worker"));
    thread::scope(|threads| {
        let reply = threads.spawn(move || server.reply(id, &vec![7; LARGE]).unwrap_err());
        // It has written what the socket holds, and sleeps.
        let mut taken = vec![0; 4096];
        (&one).read_exact(&mut taken).unwrap();
        drop(one);
        let end = reply.join().unwrap();
        assert!(matches!(end, LinkEnd::Eof), "{end:?}");
    });
}

/// Leaves the answers of the target 0 for later, and tells their frames.
fn answer_later(mut server: Server, frames: &mpsc::Sender<Vec<u8>>) -> Result<u32, LinkEnd> {
    let mut served = 0;
    while let Some(call) = server.next()? {
        served += 1;
        if call.target == 0 {
            let frame = server.reply_later(call.id, [&call.args[..1], &call.args[1..]])?.unwrap().to_vec();
            assert!(server.reply_later(call.id, [&b"twice"[..]])?.is_none());
            frames.send(frame).unwrap();
        } else {
            server.reply(call.id, &call.args)?;
        }
    }
    Ok(served)
}

#[test]
fn what_is_left_for_later_goes_out_in_its_order_and_before_the_server_waits() {
    let (frames, told) = mpsc::channel();
    let (served, ()) = with_server_ahead(
        8,
        |server| answer_later(server, &frames),
        async |link| {
            let words = ["aa", "bb", "cc", "dd"].map(|word| Message::from(bytes(word)));
            for targets in [[0, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]] {
                let mut calls = link.call_all(targets.into_iter().zip(&words));
                for word in &words {
                    assert_eq!(Message::from(calls.next().await.unwrap().unwrap()), *word);
                }
            }
            link.goodbye();
        },
    );
    assert_eq!((served.unwrap(), told.try_iter().count()), (12, 9));
}

#[test]
fn an_answer_that_comes_another_way_too_counts_once() {
    let (frames, told) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let serve = move |mut server: Server| {
        let call = server.next()?.unwrap();
        frames.send(server.reply_later(call.id, [&call.args[..]])?.unwrap().to_vec()).unwrap();
        may_go_on.recv().unwrap();
        server.flush()?;
        assert_eq!(server.owed(), 0);
        echo(server)
    };
    let (served, ()) = with_server_ahead(2, serve, async |link| {
        let (mut one, two) = (link.call(0, bytes("one")), link.call(0, bytes("two")));
        let frame = told_by(&told).await;
        let mut unknown = frame.clone();
        unknown[HEADER_LEN - 1] ^= 1;
        link.recover([&b"no frame"[..], &unknown, &frame[..frame.len() - 1]]);
        assert!((&mut one).now_or_never().is_none(), "none of these was its answer");
        link.recover([&frame[..], &frame[..]]);
        assert_eq!(one.await.unwrap(), "one");
        go_on.send(()).unwrap();
        assert_eq!(two.await.unwrap(), "two");
        assert_eq!(link.call(0, bytes("three")).await.unwrap(), "three");
        link.goodbye();
    });
    assert_eq!(served.unwrap(), 2);
}

/// What another thread tells, while the driver of this one goes on.
async fn told_by(told: &mpsc::Receiver<Vec<u8>>) -> Vec<u8> {
    loop {
        match told.try_recv() {
            Ok(frame) => return frame,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
