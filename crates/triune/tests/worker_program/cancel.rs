//! Cancels, drops and times: what they do to a job in another program, and to its process.

use std::time::Duration;

use triune::prelude::*;
use triune::worker;
use triune::{CancelScope, Outcome};

use crate::programs::with_each;
use crate::support::{Gate, gone_soon, pass, pool_becomes, process_number, spin};

#[test]
fn a_cancelled_call_returns_when_its_process_is_dead_and_reaped() {
    with_each("cancel", async || {
        let gate = Gate::new()?;
        let scope = CancelScope::new();
        let arrival = nursery(async |n| {
            let call = n.spawn(async { Ok(scope.run(worker::run(spin::with(gate.path()))).await) });
            let arrival = gate.arrival().await?;
            scope.cancel("not needed any more");
            // The call hears of it, or the scope alone.
            if let Outcome::Done(result) = call.await? {
                assert!(result.expect_err("it was cancelled").is_cancelled());
            }
            assert!(arrival.is_gone());
            Ok(arrival)
        })
        .await?;
        let statistics = worker::statistics();
        assert_eq!((statistics.busy, statistics.dying, statistics.idle), (0, 0, 0));
        assert_ne!(worker::run(process_number::with()).await?, arrival.process.pid);
        Ok(())
    });
}

#[test]
fn a_call_that_is_dropped_or_takes_too_long_kills() {
    with_each("drop", async || {
        let gate = Gate::new()?;
        let mut call = Box::pin(worker::run(spin::with(gate.path())));
        let arrival = tokio::select! {
            end = &mut call => panic!("it spins: {end:?}"),
            arrival = gate.arrival() => arrival?,
        };
        drop(call);
        gone_soon(&arrival.process);
        pool_becomes(|pool| (pool.busy, pool.dying) == (0, 0)).await?;

        let error = worker::run(spin::with(gate.path())).timeout(Duration::from_millis(1)).await;
        assert!(error.expect_err("it spins").is_timeout());
        // It has arrived, or was killed before.
        let statistics = worker::statistics();
        assert_eq!((statistics.busy, statistics.dying), (0, 0));
        Ok(())
    });
}

#[test]
fn an_uncancellable_job_runs_to_its_end() {
    with_each("uncancellable", async || {
        let gate = Gate::new()?;
        let scope = CancelScope::new();
        nursery(async |n| {
            let run = worker::run(pass::with(gate.path(), 0)).uncancellable();
            let call = n.spawn(async { Ok(scope.run(run).await) });
            let arrival = gate.arrival().await?;
            scope.cancel("in vain");
            let pid = arrival.process.pid;
            arrival.open().await?;
            let Outcome::Done(result) = call.await? else { panic!("it was not cancelled") };
            assert_eq!(result?, pid);
            Ok(())
        })
        .await
    });
}
