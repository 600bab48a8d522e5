//! Many jobs as a stream of results.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;

use triune::sync::CapacityLimiter;
use triune::worker::{self, Workers};

use super::support::{Gate, guarded, pass, process_number, spin};

#[triune::job]
fn echo(number: u64) -> u64 {
    number
}

#[triune::job]
fn odd(number: u64) -> std::result::Result<u64, String> {
    if number % 2 == 1 { Ok(number) } else { Err(format!("{number} is even")) }
}

#[test]
fn results_come_in_the_order_of_the_jobs() {
    guarded("ordered", async || {
        let numbers: Vec<u64> = (0..200).collect();
        let echoed = worker::map(numbers.iter().map(|number| echo::with(*number))).collect().await?;
        assert_eq!(echoed, numbers);
        worker::scope(Workers::new(), async |pool| {
            let mut echoed =
                pool.map(numbers.iter().map(|number| echo::with(*number))).unordered().collect().await?;
            echoed.sort_unstable();
            assert_eq!(echoed, numbers);
            assert!(pool.statistics().started >= 1);
            Ok(())
        })
        .await
    });
}

#[test]
fn unordered_results_do_not_wait_for_a_slow_job() {
    guarded("unordered", async || {
        let gate = Gate::new()?;
        let workers = Workers::new().limiter(&CapacityLimiter::new(2));
        worker::scope(workers, async |pool| {
            let jobs = [pass::with(gate.path(), 1), process_number::with(), process_number::with()];
            let mut results = pool.map(jobs).unordered();
            let quick = results.next().await.expect("there are three")?;
            assert_eq!(results.next().await.expect("there are three")?, quick);
            // Jobs go on only while the stream is polled; the slow one may not have been sent yet.
            let slow = tokio::select! {
                arrival = gate.arrival() => arrival?,
                result = results.next() => panic!("the gate is closed: {result:?}"),
            };
            let pid = slow.process.pid;
            assert_ne!(quick, pid);
            slow.open().await?;
            assert_eq!(results.next().await.expect("there are three")?, pid);
            assert!(results.next().await.is_none());
            assert!(results.next().await.is_none(), "also when it is asked again");
            Ok(())
        })
        .await
    });
}

#[test]
fn no_more_jobs_are_taken_than_may_be_under_way() {
    guarded("in flight", async || {
        for ordered in [true, false] {
            let taken = Cell::new(0_usize);
            let jobs = (0..50).map(|number| {
                taken.set(taken.get() + 1);
                echo::with(number)
            });
            let results = worker::map(jobs).in_flight(3);
            let mut results = if ordered { results.ordered() } else { results.unordered() };
            assert_eq!(taken.get(), 0, "nothing happens before it is polled");
            for given in 0..50 {
                results.next().await.expect("there are fifty")?;
                assert!(taken.get() <= given + 3, "{} taken, {given} given", taken.get());
            }
            assert!(results.next().await.is_none());
        }
        Ok(())
    });
}

#[test]
fn a_failed_job_is_one_result_and_ends_a_collection() {
    guarded("failed", async || {
        let mut results = worker::map((0..4).map(odd::with));
        let mut good = 0;
        while let Some(result) = results.next().await {
            match result {
                Ok(_) => good += 1,
                Err(error) => assert!(error.is_app()),
            }
        }
        assert_eq!(good, 2);
        let error = worker::map((0..4).map(odd::with)).collect().await.expect_err("zero is even");
        assert!(error.to_string().contains("0 is even"), "{error}");
        Ok(())
    });
}

#[test]
fn dropping_the_stream_kills_what_runs() {
    guarded("dropped", async || {
        let gate = Gate::new()?;
        worker::scope(Workers::new(), async |pool| {
            let mut results = pool.map([spin::with(gate.path())]);
            let mut arrival = {
                let mut next = pin!(results.next());
                let mut wait = pin!(gate.arrival());
                poll_fn(|cx| {
                    assert!(next.as_mut().poll(cx).is_pending());
                    wait.as_mut().poll(cx)
                })
                .await?
            };
            assert!(!arrival.is_gone(), "giving up one wait loses nothing");
            drop(results);
            arrival.closed().await
        })
        .await
    });
}

#[test]
fn a_slow_consumer_stops_the_supply() {
    guarded("slow consumer", async || {
        let taken = Cell::new(0_usize);
        let jobs = std::iter::repeat_with(|| {
            taken.set(taken.get() + 1);
            echo::with(1)
        });
        let mut endless = worker::map(jobs).in_flight(4);
        assert_eq!(endless.next().await.expect("it never ends")?, 1);
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert_eq!(taken.get(), 4, "nobody has asked for more");
        Ok(())
    });
}
