//! Another language speaks the protocol: a Python program that was written from `docs/protocol.md` alone shakes
//! hands, calls, streams and cancels.
//!
//! It needs `python3` with `msgpack`. Without them the test says so and passes on a developer's machine; where
//! `CI` is set it fails.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use triune_ipc::{Config, Incoming, IncomingCall, IncomingDialog, Request, connect};
use triune_ipc::{RecvError, TypedReceiver, TypedSender};
use triune_wire::{BuildId, Codec, Hello, Interface, MsgPack, Payload, Report, ReportKind};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/client.py");

const EXPECTED: &str = "\
peer calc
add True
echo True
refused Protocol
started True
sum 499500 True
rest [] total 30
first 0 1
more True
cancelled True Cancelled enough (by python/main)
after 42
";

#[expect(
    clippy::disallowed_methods,
    reason = "another language is another program, and no child of triune's"
)]
fn python() -> Command {
    Command::new("python3")
}

/// Why the program cannot run here.
fn missing() -> Option<String> {
    match python().args(["-c", "import msgpack"]).stderr(Stdio::piped()).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    }
}

fn config() -> Config {
    let mut hello = Hello::new(BuildId::new([7; 16]), "server", "calc");
    hello.interfaces = vec![
        Interface::new::<MsgPack>("calc")
            .with("add", "call add(a: int, b: int) -> int")
            .with("echo", "call echo(data: bytes) -> bytes")
            .with("count", "dialog count(to: int) -> int, started text, out int, in int"),
    ];
    Config::new(hello)
}

fn encoded<T: serde::Serialize>(value: &T) -> Bytes {
    MsgPack::to_bytes(value).expect("numbers and texts can be encoded")
}

fn answer(call: IncomingCall) {
    let result = match call.target {
        0 => MsgPack::decode::<(i64, i64)>(&call.args).map(|(a, b)| encoded(&(a + b))),
        1 => MsgPack::decode_shared::<(Payload,)>(&call.args).map(|(data,)| encoded(&data)),
        _ => return call.responder.fail(Report::new(ReportKind::Unknown, "no such method")),
    };
    match result {
        Ok(value) => call.responder.reply(value),
        Err(error) => call.responder.fail(Report::new(ReportKind::Protocol, error.to_string())),
    }
}

/// Counts up, for ever if it is asked to; then sums up what comes in.
async fn count(mut dialog: IncomingDialog) {
    let (to,) = MsgPack::decode::<(i64,)>(&dialog.args).expect("the client sends a number");
    dialog.responder.started(encoded(&"counting")).expect("the client waits");
    let mut sender = TypedSender::<i64, MsgPack>::new(dialog.sender);
    let mut receiver = TypedReceiver::<i64, MsgPack>::new(dialog.receiver);
    let work = async {
        for n in (0..).take_while(|n| to < 0 || *n < to) {
            if sender.send(&n).await.is_err() {
                // Cancelled: that is told below.
                std::future::pending::<()>().await;
            }
        }
        sender.end();
        let mut total = 0;
        while let Some(n) = receiver.recv().await? {
            total += n;
        }
        Ok::<_, RecvError>(total)
    };
    let result = match select(Box::pin(work), dialog.responder.cancelled()).await {
        Either::Left((total, _)) => Ok(total.expect("the client sends numbers and ends")),
        Either::Right((message, _)) => Err(message),
    };
    match result {
        Ok(total) => dialog.responder.reply(encoded(&total)),
        Err(why) => dialog.responder.fail(Report::new(ReportKind::Cancelled, why.to_string())),
    }
}

async fn serve(mut incoming: Incoming) {
    while let Some(request) = incoming.recv().await {
        match request {
            Request::Call(call) => answer(call),
            Request::Open(dialog) => count(dialog).await,
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_python_program_shakes_hands_calls_streams_and_cancels() {
    if let Some(why) = missing() {
        assert!(std::env::var_os("CI").is_none(), "python3 with msgpack is needed in CI: {why}");
        println!("skipped, install python3 and msgpack (`pip install msgpack`): {why}");
        return;
    }
    let (mine, theirs) = UnixStream::pair().unwrap();
    let child = python()
        .arg(PROGRAM)
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut config = config();
    config.handshake_timeout = Duration::from_secs(60);
    let (_link, driver, incoming) = connect(mine, config).await.unwrap();
    // It ends by itself: with a goodbye, or with a traceback and the end of its link.
    let (end, ()) = tokio::join!(driver.run(), serve(incoming));
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), EXPECTED, "{end}\n{errors}");
    assert!(output.status.success(), "{errors}");
    assert!(matches!(end, triune_ipc::LinkEnd::Goodbye), "{end}");
}

#[test]
fn the_program_is_short_enough_to_be_read() {
    let program = std::fs::read_to_string(PROGRAM).unwrap();
    let imports: Vec<&str> = program.lines().filter(|line| line.starts_with("import ")).collect();
    assert_eq!(imports, ["import os", "import socket", "import struct", "import msgpack"]);
    assert!(program.lines().count() <= 100, "{} lines", program.lines().count());
}
