//! The two ends, their drivers and their users on threads of their own: no wake-up is lost.

#![expect(clippy::disallowed_methods, reason = "the crate knows no nursery; each test waits for its sets")]

#[expect(dead_code, reason = "this file needs a part of it")]
mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{echo, pair_with};
use futures_util::future::join_all;
use tokio::task::JoinSet;
use triune_ipc::{Link, Request, Responder};
use triune_wire::{CancelCause, CancelMessage, Limits};

/// Far longer than the test takes, also on a machine with much else to do.
const HANG: Duration = Duration::from_secs(60);

async fn talk(link: Link, seed: u32) {
    for round in 0..150_u32 {
        let value = Bytes::copy_from_slice(&(seed * 1_000 + round).to_le_bytes());
        let calls = (0..8).map(|_| link.call(0, value.clone())).collect::<Vec<_>>();
        // Some are given up before, some after they were sent, some are cancelled and awaited.
        let (mut kept, mut cancelled) = (Vec::new(), Vec::new());
        for (n, call) in calls.into_iter().enumerate() {
            match n {
                0 => drop(call),
                1 => {
                    call.cancel(CancelMessage::new(CancelCause::Explicit, "enough"));
                    cancelled.push(call);
                }
                _ => kept.push(call),
            }
        }
        for answer in join_all(kept).await {
            assert_eq!(answer.expect("it was not cancelled"), value);
        }
        // With an answer or without: they end.
        join_all(cancelled).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_and_cancels_from_many_threads_all_end() {
    let mut limits = Limits::default();
    limits.max_in_flight = 16;
    let ((link, driver, _none), (_other, other_driver, incoming)) = pair_with(limits).await;
    let mut drivers = JoinSet::new();
    drivers.spawn(async move { drop(driver.run().await) });
    drivers.spawn(async move { drop(other_driver.run().await) });
    drivers.spawn(echo(incoming));
    let mut talkers = JoinSet::new();
    for seed in 0..6 {
        talkers.spawn(talk(link.clone(), seed));
    }
    tokio::time::timeout(HANG, talkers.join_all()).await.expect("a call hangs");
    link.goodbye();
    tokio::time::timeout(HANG, drivers.join_all()).await.expect("a driver hangs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn items_from_many_threads_all_arrive() {
    let ((link, driver, _none), (_other, other_driver, mut incoming)) = pair_with(Limits::default()).await;
    let mut drivers = JoinSet::new();
    drivers.spawn(async move { drop(driver.run().await) });
    drivers.spawn(async move { drop(other_driver.run().await) });
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut handlers = JoinSet::new();
        for _ in 0..4 {
            let Some(Request::Open(mut dialog)) = incoming.recv().await else { panic!("not a dialog") };
            handlers.spawn(async move {
                dialog.responder.started(Bytes::new()).unwrap();
                while let Some(item) = dialog.receiver.recv().await.unwrap() {
                    dialog.sender.send(item).await.unwrap();
                }
                dialog.sender.end();
                Responder::reply(dialog.responder, Bytes::new());
            });
        }
        handlers.join_all().await;
    });
    for _ in 0..4 {
        let (mut dialog, mut sender, mut receiver) = link.open(0, Bytes::new());
        tasks.spawn(async move {
            for n in 0..3_000_u32 {
                sender.send(Bytes::copy_from_slice(&n.to_le_bytes())).await.unwrap();
            }
        });
        tasks.spawn(async move {
            for n in 0..3_000_u32 {
                assert_eq!(receiver.recv().await.unwrap().unwrap(), &n.to_le_bytes()[..]);
            }
            assert_eq!(receiver.recv().await.unwrap(), None);
            dialog.ended().await.unwrap();
        });
    }
    tokio::time::timeout(HANG, tasks.join_all()).await.expect("a dialog hangs");
    drop(link);
    drivers.shutdown().await;
}
