//! triune as its users see it: calls of a portal, items of a context.

use bytes::Bytes;
use triune::prelude::*;
use triune_bench::{Bench, OpenActor, SMALL};

use crate::peer::{MIB, Peer, in_turn};

#[triune::endpoint]
async fn echo(payload: Bytes) -> Bytes {
    payload
}

#[triune::endpoint]
async fn length(payload: Bytes) -> u64 {
    payload.len() as u64
}

#[triune::endpoint]
async fn items(cx: Context<Started<()>, Out<Bytes>, In<()>>, size: usize, count: usize) -> Result {
    let mut dialog = cx.started(()).await?;
    let item = Bytes::from(vec![7; size]);
    for _ in 0..count {
        dialog.send(item.clone()).await?;
    }
    Ok(())
}

pub(crate) struct Actor {
    actor: OpenActor<Bench>,
    small: Bytes,
    large: Bytes,
}

impl Actor {
    pub(crate) fn start(bench: Bench) -> Self {
        let actor = OpenActor::new(bench);
        Self { actor, small: Bytes::from(vec![7; SMALL]), large: Bytes::from(vec![7; MIB]) }
    }
}

impl Peer for Actor {
    fn name(&self) -> &'static str {
        "triune actor"
    }

    fn calls(&mut self, times: usize, in_flight: usize) -> bool {
        let call = async || {
            let answer = self.actor.portal.call(echo::with(self.small.clone())).await;
            assert_eq!(answer.expect("the actor lives").len(), SMALL);
        };
        self.actor.bench().block_on(in_turn(times, in_flight, call));
        true
    }

    fn stream(&mut self, size: usize, count: usize) -> bool {
        let received = self.actor.bench().block_on(async {
            let block = async |(), mut dialog: triune::actor::Dialog<(), Bytes>| {
                let mut received = 0;
                while dialog.recv().await?.is_some() {
                    received += 1;
                }
                Ok(received)
            };
            self.actor.portal.context(items::with(size, count), block).await
        });
        assert_eq!(received.expect("the actor lives").0, count);
        true
    }

    fn large_calls(&mut self, times: usize) -> bool {
        let call = async || {
            let answer = self.actor.portal.call(length::with(self.large.clone())).await;
            assert_eq!(answer.expect("the actor lives"), MIB as u64);
        };
        self.actor.bench().block_on(in_turn(times, 1, call));
        true
    }
}
