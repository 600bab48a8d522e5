//! Calls that are polled for a while and then by nobody, while they owe something to their caller: the end of a killed worker,
//! that of a job that must not be cancelled, that of a pool. A cancel gets past them as soon as that is over.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn, ready};
use std::pin::Pin;
use std::task::Poll;

use triune::CancelScope;
use triune::prelude::*;
use triune::worker::{self, scope};

use super::support::{Arrival, Gate, SOON, guarded, pass, pool_becomes, process_number, spin, workers};

/// Polls a future once and leaves it where it is. On another core its process may be gone already.
async fn strand<F: Future + ?Sized>(mut future: Pin<&mut F>) {
    tokio::select! {
        biased;
        _over = &mut future => {}
        () = ready(()) => {}
    }
}

/// Polls a call until its job is at the gate.
async fn until_arrival<F: Future + ?Sized>(mut call: Pin<&mut F>, gate: &Gate) -> Arrival {
    let mut arrival = Box::pin(gate.arrival());
    let arrived = poll_fn(|cx| {
        assert!(call.as_mut().poll(cx).is_pending());
        arrival.as_mut().poll(cx)
    });
    arrived.await.expect("it arrives")
}

/// Waits where only the drop of a cancelled scope ends it.
async fn ends<F: Future>(cancelled: &CancelScope, code: F) -> Result {
    let end = tokio::time::timeout(SOON, cancelled.run(code)).await;
    assert!(end.expect("the cancel got past what is stranded").is_cancelled());
    Ok(())
}

#[test]
fn a_call_that_has_killed_its_worker() {
    guarded("killed", async || {
        let (gate, cancelled) = (Gate::new()?, CancelScope::new());
        let end = ends(&cancelled, async {
            let mut call = Box::pin(worker::run(spin::with(gate.path())));
            let _arrival = until_arrival(call.as_mut(), &gate).await;
            cancelled.cancel("now");
            strand(call.as_mut()).await;
            pending::<()>().await;
            drop(call);
        });
        end.await?;
        pool_becomes(|pool| (pool.busy, pool.dying) == (0, 0)).await
    });
}

#[test]
fn an_uncancellable_call_whose_job_ends() {
    guarded("uncancellable", async || {
        let (gate, cancelled) = (Gate::new()?, CancelScope::new());
        let mut process = 0;
        let end = ends(&cancelled, async {
            let mut call = Box::pin(worker::run(pass::with(gate.path(), 0)).uncancellable());
            let arrival = until_arrival(call.as_mut(), &gate).await;
            process = arrival.process.pid;
            cancelled.cancel("now");
            strand(call.as_mut()).await;
            arrival.open().await.expect("it waits at the gate");
            pending::<()>().await;
            drop(call);
        });
        end.await?;
        pool_becomes(|pool| (pool.busy, pool.dying) == (0, 0)).await?;
        assert_eq!(worker::run(process_number::with()).await?, process, "the worker is as good as before");
        Ok(())
    });
}

/// Polls until what is watched for is there.
async fn until<F: Future + ?Sized>(mut future: Pin<&mut F>, is_so: impl Fn() -> bool) {
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        if is_so() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[test]
fn a_pool_that_waits_for_a_job_without_a_caller() {
    guarded("closing", async || {
        let (gate, cancelled) = (Gate::new()?, CancelScope::new());
        let arrived = Cell::new(None);
        let end = ends(&cancelled, async {
            let mut pool = Box::pin(scope(workers(), async |pool| {
                let mut call = Box::pin(pool.run(pass::with(gate.path(), 0)).uncancellable());
                arrived.set(Some(until_arrival(call.as_mut(), &gate).await));
                Ok(())
            }));
            until(pool.as_mut(), || {
                let arrival = arrived.take();
                let is_there = arrival.is_some();
                arrived.set(arrival);
                is_there
            })
            .await;
            cancelled.cancel("now");
            strand(pool.as_mut()).await;
            arrived.take().expect("it is there").open().await.expect("it waits at the gate");
            pending::<()>().await;
            drop(pool);
        });
        end.await
    });
}

/// The job is another task's, so only a pool that knows of the cancel ends it.
#[test]
fn a_pool_that_has_not_seen_the_cancel() {
    guarded("closing, spinning", async || {
        let (gate, cancelled) = (Gate::new()?, CancelScope::new());
        nursery(async |n| {
            let (lend, lent) = tokio::sync::oneshot::channel::<worker::Pool>();
            let path = gate.path();
            let call = n.spawn(async {
                let call = lent.await?.run(spin::with(path));
                Ok(call.await.expect_err("it does not end by itself"))
            });
            let closes = Cell::new(false);
            let end = ends(&cancelled, async {
                let mut pool = Box::pin(scope(workers(), async |pool| {
                    lend.send(pool).expect("it is waited for");
                    let _arrival = gate.arrival().await?;
                    closes.set(true);
                    Ok(())
                }));
                until(pool.as_mut(), || closes.get()).await;
                cancelled.cancel("now");
                pending::<()>().await;
                drop(pool);
            });
            end.await?;
            assert!(call.await?.is_closed());
            Ok(())
        })
        .await
    });
}
