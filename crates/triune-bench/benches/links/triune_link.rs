//! triune's link alone: the multiplexer with its frames and credits, without actors, codecs and supervision.

use std::time::{Duration, Instant};

use bytes::Bytes;
use triune_bench::{Bench, SMALL};
use triune_ipc::{Config, Driver, Incoming, Link, Request, connect};
use triune_process::{Boot, ROLES, Role};
use triune_wire::{BuildId, CancelCause, CancelMessage, Hello};

use crate::peer::{BULK, Direction, MIB, Other, Peer, UNDER_WAY, in_turn};

// Calls.
const ECHO: u32 = 0;
const LENGTH: u32 = 1;
// Dialogs.
const ITEMS: u32 = 0;
const SINK: u32 = 1;

pub(crate) struct Linked {
    link: Link,
    driver: Driver,
    small: Bytes,
    large: Bytes,
    other: Other,
}

fn config(role: &str) -> Config {
    Config::new(Hello::new(BuildId::new([1; 16]), role, role))
}

impl Linked {
    pub(crate) fn start(bench: Bench) -> Self {
        let (other, stream) = Other::start(bench, "bench-link");
        let (link, driver, _serves_nothing) =
            other.block_on(connect(stream, config("root"))).expect("the two sides shake hands");
        Self { link, driver, small: Bytes::from(vec![7; SMALL]), large: Bytes::from(vec![7; MIB]), other }
    }

    /// Moves the link while `work` goes on, in one task.
    fn run(&mut self, work: impl AsyncFnOnce(&Link, &Bytes, &Bytes)) -> bool {
        let Self { link, driver, small, large, other } = self;
        other.block_on(driver.drive_beside(work(link, small, large), |end| panic!("the link ended: {end}")));
        true
    }
}

impl Peer for Linked {
    fn name(&self) -> &'static str {
        "triune link"
    }

    fn calls(&mut self, times: usize, in_flight: usize) -> bool {
        self.run(async |link, small, _| {
            let call = async || {
                let answer = link.call(ECHO, small.clone()).await;
                assert_eq!(answer.expect("the other process lives").len(), SMALL);
            };
            in_turn(times, in_flight, call).await;
        })
    }

    fn stream(&mut self, size: usize, count: usize) -> bool {
        self.run(async |link, _, _| {
            let args = [size as u64, count as u64].map(u64::to_le_bytes).concat();
            let (mut dialog, sender, mut receiver) = link.open(ITEMS, Bytes::from(args));
            dialog.started().await.expect("the dialog starts");
            drop(sender);
            let mut received = 0;
            while receiver.recv().await.expect("the dialog goes on").is_some() {
                received += 1;
            }
            assert_eq!(received, count);
            dialog.ended().await.expect("the dialog ends well");
        })
    }

    fn large_calls(&mut self, times: usize) -> bool {
        self.run(async |link, _, large| {
            let call = async || {
                let answer = link.call(LENGTH, large.clone()).await.expect("the other process lives");
                assert_eq!(answer[..], (MIB as u64).to_le_bytes());
            };
            in_turn(times, 1, call).await;
        })
    }

    fn cancels(&mut self, times: usize, direction: Direction) -> Vec<Duration> {
        let mut took = Vec::new();
        self.run(async |link, _, _| {
            for _ in 0..times {
                took.push(cancel(link, direction).await);
            }
        });
        took
    }
}

/// Opens a dialog, waits until it is saturated, cancels it, and says how long that took.
async fn cancel(link: &Link, direction: Direction) -> Duration {
    let target = match direction {
        Direction::Against => ITEMS,
        Direction::Along => SINK,
    };
    let args = [BULK as u64, u64::MAX].map(u64::to_le_bytes).concat();
    let (mut dialog, mut sender, mut receiver) = link.open(target, Bytes::from(args));
    dialog.started().await.expect("the dialog starts");
    let item = Bytes::from(vec![7; BULK]);
    let mut moved = 0;
    let traffic = async {
        loop {
            let goes_on = match direction {
                Direction::Against => receiver.recv().await.is_ok_and(|item| item.is_some()),
                Direction::Along => sender.send(item.clone()).await.is_ok(),
            };
            if !goes_on {
                // The end is told by the dialog.
                return std::future::pending::<()>().await;
            }
            moved += 1;
            if moved == UNDER_WAY {
                return;
            }
        }
    };
    traffic.await;
    let begin = Instant::now();
    dialog.cancel(CancelMessage::new(CancelCause::Explicit, "enough"));
    let goes_on = async { while let Ok(Some(_)) = receiver.recv().await {} };
    let (end, ()) = tokio::join!(
        async {
            let end = dialog.ended().await;
            (end, begin.elapsed())
        },
        goes_on,
    );
    assert!(end.0.is_err(), "a dialog that was cancelled has no result");
    end.1
}

#[linkme::distributed_slice(ROLES)]
static LINK: Role = Role { name: "bench-link", main: other_side };

fn other_side(boot: Boot) -> u8 {
    let stream = boot.into_link();
    Bench::current_thread().block_on(async move {
        let connected = connect(stream, config("actor")).await;
        let (link, mut driver, incoming) = connected.expect("the two sides shake hands");
        driver.drive_beside(serve(incoming), |end| link.close(end)).await;
    });
    0
}

async fn serve(mut incoming: Incoming) {
    while let Some(request) = incoming.recv().await {
        match request {
            Request::Call(call) => {
                let len = (call.args.len() as u64).to_le_bytes();
                let answer = if call.target == ECHO { call.args } else { Bytes::copy_from_slice(&len) };
                call.responder.reply(answer);
            }
            Request::Open(dialog) if dialog.target == SINK => sink(dialog).await,
            Request::Open(dialog) => items(dialog).await,
            _ => return,
        }
    }
}

async fn items(mut dialog: triune_ipc::IncomingDialog) {
    let number = |at| u64::from_le_bytes(dialog.args[at..at + 8].try_into().expect("eight bytes"));
    let (size, count) = (number(0), number(8));
    dialog.responder.started(Bytes::new()).expect("the dialog starts once");
    let item = Bytes::from(vec![7; usize::try_from(size).expect("a size")]);
    for _ in 0..count {
        if dialog.sender.send(item.clone()).await.is_err() {
            return;
        }
    }
    drop(dialog.sender);
    dialog.responder.reply(Bytes::new());
}

async fn sink(mut dialog: triune_ipc::IncomingDialog) {
    dialog.responder.started(Bytes::new()).expect("the dialog starts once");
    while let Ok(Some(_)) = dialog.receiver.recv().await {}
}
