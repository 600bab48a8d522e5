//! triune as its users see it: calls of a portal, items of a context. Large byte strings are `Payload`s, which are not copied.

use std::cell::Cell;
use std::time::{Duration, Instant};

use bytes::Bytes;
use triune::prelude::*;
use triune::wire::Payload;
use triune_bench::{Bench, OpenActor, SMALL};

use crate::peer::{BULK, Direction, MIB, Peer, UNDER_WAY, in_turn};

#[triune::endpoint]
async fn echo(payload: Bytes) -> Bytes {
    payload
}

#[triune::endpoint]
async fn length(payload: Payload) -> u64 {
    payload.len() as u64
}

#[triune::endpoint]
async fn items(cx: Context<Started<()>, Out<Payload>, In<()>>, size: usize, count: usize) -> Result {
    let mut dialog = cx.started(()).await?;
    let item = Payload::from(vec![7; size]);
    for _ in 0..count {
        dialog.send(item.clone()).await?;
    }
    Ok(())
}

/// Sends for ever.
#[triune::endpoint]
async fn flood(cx: Context<Started<()>, Out<Payload>, In<()>>) -> Result {
    let mut dialog = cx.started(()).await?;
    let item = Payload::from(vec![7; BULK]);
    loop {
        dialog.send(item.clone()).await?;
    }
}

/// Receives for ever.
#[triune::endpoint]
async fn sink(cx: Context<Started<()>, Out<()>, In<Payload>>) -> Result {
    let mut dialog = cx.started(()).await?;
    while dialog.recv().await?.is_some() {}
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
            let block = async |(), mut dialog: triune::actor::Dialog<(), Payload>| {
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
            let answer = self.actor.portal.call(length::with(Payload::from(self.large.clone()))).await;
            assert_eq!(answer.expect("the actor lives"), MIB as u64);
        };
        self.actor.bench().block_on(in_turn(times, 1, call));
        true
    }

    fn cancels(&mut self, times: usize, direction: Direction) -> Vec<Duration> {
        let portal = &self.actor.portal;
        let one = async || {
            let begin = Cell::new(Instant::now());
            let enough = |begin: &Cell<Instant>| {
                begin.set(Instant::now());
                Err::<(), _>(triune::Error::msg("enough"))
            };
            let end = match direction {
                Direction::Against => {
                    let block = async |(), mut dialog: triune::actor::Dialog<(), Payload>| {
                        for _ in 0..UNDER_WAY {
                            dialog.recv().await?;
                        }
                        enough(&begin)
                    };
                    portal.context(flood::with(), block).await
                }
                Direction::Along => {
                    let item = Payload::from(vec![7; BULK]);
                    let block = async |(), mut dialog: triune::actor::Dialog<Payload, ()>| {
                        for _ in 0..UNDER_WAY {
                            dialog.send(item.clone()).await?;
                        }
                        enough(&begin)
                    };
                    portal.context(sink::with(), block).await
                }
            };
            assert!(end.is_err(), "the block fails");
            begin.get().elapsed()
        };
        self.actor.bench().block_on(async {
            let mut took = Vec::new();
            for _ in 0..times {
                took.push(one().await);
            }
            took
        })
    }
}
