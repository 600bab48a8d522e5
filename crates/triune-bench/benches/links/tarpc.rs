//! tarpc 0.38: calls over its serde transport with bincode, handlers spawned, as in its own example. It has no streams.

use bytes::Bytes;
use futures_util::StreamExt as _;
use tarpc::server::{BaseChannel, Channel as _};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::tokio_util::codec::LengthDelimitedCodec;
use tarpc::{client, context, serde_transport};
use triune_bench::{Bench, SMALL};
use triune_process::{Boot, ROLES, Role};

use crate::peer::{MIB, Other, Peer, in_turn, to_tokio};

#[tarpc::service]
pub(crate) trait Echo {
    async fn echo(payload: Bytes) -> Bytes;
    async fn length(payload: Bytes) -> u64;
}

#[derive(Clone)]
struct Server;

impl Echo for Server {
    async fn echo(self, _: context::Context, payload: Bytes) -> Bytes {
        payload
    }

    async fn length(self, _: context::Context, payload: Bytes) -> u64 {
        payload.len() as u64
    }
}

pub(crate) struct Tarpc {
    client: EchoClient,
    small: Bytes,
    large: Bytes,
    other: Other,
}

impl Tarpc {
    pub(crate) fn start(bench: Bench) -> Self {
        let (other, link) = Other::start(bench, "bench-tarpc");
        let client = other.block_on(async {
            let framed = LengthDelimitedCodec::builder().new_framed(to_tokio(link));
            let transport = serde_transport::new(framed, Bincode::default());
            EchoClient::new(client::Config::default(), transport).spawn()
        });
        Self { client, small: Bytes::from(vec![7; SMALL]), large: Bytes::from(vec![7; MIB]), other }
    }
}

impl Peer for Tarpc {
    fn name(&self) -> &'static str {
        "tarpc"
    }

    fn calls(&mut self, times: usize, in_flight: usize) -> bool {
        let call = async || {
            let answer = self.client.echo(context::current(), self.small.clone()).await;
            assert_eq!(answer.expect("the other process lives").len(), SMALL);
        };
        self.other.block_on(in_turn(times, in_flight, call));
        true
    }

    fn stream(&mut self, _size: usize, _count: usize) -> bool {
        false
    }

    fn large_calls(&mut self, times: usize) -> bool {
        let call = async || {
            let answer = self.client.length(context::current(), self.large.clone()).await;
            assert_eq!(answer.expect("the other process lives"), MIB as u64);
        };
        self.other.block_on(in_turn(times, 1, call));
        true
    }
}

#[linkme::distributed_slice(ROLES)]
static TARPC: Role = Role { name: "bench-tarpc", main: other_side };

fn other_side(boot: Boot) -> u8 {
    let link = boot.into_link();
    Bench::current_thread().block_on(async move {
        let framed = LengthDelimitedCodec::builder().new_framed(to_tokio(link));
        let server = BaseChannel::with_defaults(serde_transport::new(framed, Bincode::default()));
        #[expect(
            clippy::disallowed_methods,
            reason = "tarpc leaves its handlers to the user; the process ends with its link"
        )]
        let spawn = async |handler| drop(tokio::runtime::Handle::current().spawn(handler));
        server.execute(Server.serve()).for_each(spawn).await;
    });
    0
}
