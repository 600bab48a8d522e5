//! remoc 0.20: calls of a remote trait, items of an mpsc channel; its default codec and configuration.

#![expect(
    clippy::disallowed_methods,
    reason = "remoc and its macro leave tasks to the user; they end with their runtime or process"
)]

use std::sync::Arc;

use bytes::Bytes;
use remoc::prelude::*;
use remoc::rtc::CallError;
use triune_bench::{Bench, SMALL};
use triune_process::{Boot, ROLES, Role};

use crate::peer::{MIB, Other, Peer, in_turn, to_tokio};

#[rtc::remote]
pub(crate) trait Echo {
    async fn echo(&self, payload: Bytes) -> Result<Bytes, CallError>;
    async fn length(&self, payload: Bytes) -> Result<u64, CallError>;
    async fn items(&self, size: u64, count: u64) -> Result<rch::mpsc::Receiver<Bytes>, CallError>;
}

struct Server;

impl Echo for Server {
    async fn echo(&self, payload: Bytes) -> Result<Bytes, CallError> {
        Ok(payload)
    }

    async fn length(&self, payload: Bytes) -> Result<u64, CallError> {
        Ok(payload.len() as u64)
    }

    async fn items(&self, size: u64, count: u64) -> Result<rch::mpsc::Receiver<Bytes>, CallError> {
        let (sender, receiver) = rch::mpsc::channel();
        let item = Bytes::from(vec![7; usize::try_from(size).expect("a size")]);
        tokio::runtime::Handle::current().spawn(async move {
            for _ in 0..count {
                if sender.send(item.clone()).await.is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}

pub(crate) struct Remoc {
    client: EchoClient,
    small: Bytes,
    large: Bytes,
    other: Other,
}

impl Remoc {
    pub(crate) fn start(bench: Bench) -> Self {
        let (other, link) = Other::start(bench, "bench-remoc");
        let client = other.block_on(async {
            let (reader, writer) = to_tokio(link).into_split();
            let connected = remoc::Connect::io(remoc::Cfg::default(), reader, writer).await;
            let (connection, _sender, mut receiver): (
                _,
                rch::base::Sender<()>,
                rch::base::Receiver<EchoClient>,
            ) = connected.expect("the two sides connect");
            other.spawn(async move {
                // It ends with the other process.
                let _lost = connection.await;
            });
            receiver.recv().await.expect("the other process lives").expect("it sends a client")
        });
        Self { client, small: Bytes::from(vec![7; SMALL]), large: Bytes::from(vec![7; MIB]), other }
    }
}

impl Peer for Remoc {
    fn name(&self) -> &'static str {
        "remoc"
    }

    fn calls(&mut self, times: usize, in_flight: usize) -> bool {
        let call = async || {
            let answer = self.client.echo(self.small.clone()).await;
            assert_eq!(answer.expect("the other process lives").len(), SMALL);
        };
        self.other.block_on(in_turn(times, in_flight, call));
        true
    }

    fn stream(&mut self, size: usize, count: usize) -> bool {
        let received = self.other.block_on(async {
            let items = self.client.items(size as u64, count as u64).await;
            let mut items = items.expect("the other process lives");
            let mut received = 0;
            while items.recv().await.expect("the channel goes on").is_some() {
                received += 1;
            }
            received
        });
        assert_eq!(received, count);
        true
    }

    fn large_calls(&mut self, times: usize) -> bool {
        let call = async || {
            let answer = self.client.length(self.large.clone()).await;
            assert_eq!(answer.expect("the other process lives"), MIB as u64);
        };
        self.other.block_on(in_turn(times, 1, call));
        true
    }
}

#[linkme::distributed_slice(ROLES)]
static REMOC: Role = Role { name: "bench-remoc", main: other_side };

fn other_side(boot: Boot) -> u8 {
    let link = boot.into_link();
    Bench::current_thread().block_on(async move {
        let (reader, writer) = to_tokio(link).into_split();
        let connected = remoc::Connect::io(remoc::Cfg::default(), reader, writer).await;
        let (connection, mut sender, _receiver): (_, rch::base::Sender<EchoClient>, rch::base::Receiver<()>) =
            connected.expect("the two sides connect");
        let (server, client) = EchoServerShared::new(Arc::new(Server));
        let serve = async {
            sender.send(client).await.expect("the benchmark lives");
            // It ends with the benchmark.
            let _lost = server.serve().await;
        };
        tokio::select! {
            _ = connection => {}
            () = serve => {}
        }
    });
    0
}
