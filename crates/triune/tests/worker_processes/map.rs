//! Many jobs as a stream of results.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::future::{Future, poll_fn};
use std::io::Write as _;
use std::pin::pin;

use triune::sync::CapacityLimiter;
use triune::worker;

use super::support::{Gate, guarded, pass, process_number, spin, wait_at, workers};

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
        worker::scope(workers(), async |pool| {
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
        let workers = workers().limiter(&CapacityLimiter::new(2));
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
        worker::scope(workers(), async |pool| {
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

/// Notes its number in the file; every fiftieth takes its worker along.
#[triune::job]
fn note_or_die(path: String, number: u32) -> u32 {
    let file = OpenOptions::new().append(true).open(path);
    file.and_then(|mut file| file.write_all(&number.to_le_bytes())).expect("the file is there");
    if number % 50 == 49 {
        std::process::abort();
    }
    number
}

#[test]
fn of_jobs_that_were_sent_together_only_the_one_that_kills_its_worker_is_lost() {
    guarded("batch death", async || {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("notes");
        for ordered in [true, false] {
            File::create(&path)?;
            let text = path.to_str().expect("the path of a temporary folder is text").to_owned();
            let limits = worker::Limits::new().core_size(0);
            worker::scope(workers().limits(limits), async |pool| {
                let results = pool.map((0..1000).map(|number| note_or_die::with(text.clone(), number)));
                let results = results.in_flight(64);
                let mut results = if ordered { results } else { results.unordered() };
                let mut good = BTreeSet::new();
                let mut lost = 0;
                while let Some(result) = results.next().await {
                    match result {
                        Ok(number) => {
                            assert!(!ordered || number == u32::try_from(good.len() + lost)?);
                            assert!(good.insert(number));
                        }
                        Err(error) => {
                            assert!(error.is_worker_death(), "{error:?}");
                            lost += 1;
                        }
                    }
                }
                let expected: BTreeSet<u32> = (0..1000).filter(|number| number % 50 != 49).collect();
                assert_eq!((good, lost), (expected, 20));
                Ok(())
            })
            .await?;
            let notes = std::fs::read(&path)?;
            let ran: BTreeSet<&[u8]> = notes.chunks_exact(4).collect();
            assert_eq!((ran.len(), notes.len()), (1000, 4000), "each ran once");
        }
        Ok(())
    });
}

/// Notes its number, and waits at the gate if it has the chosen one.
#[triune::job]
fn note_or_wait(path: String, gate: String, number: u32, waits: u32) -> u32 {
    let file = OpenOptions::new().append(true).open(path);
    file.and_then(|mut file| file.write_all(&number.to_le_bytes())).expect("the file is there");
    if number == waits {
        wait_at(&gate, number);
    }
    number
}

#[test]
fn jobs_behind_one_that_is_cancelled_never_begin() {
    guarded("batch cancel", async || {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("notes");
        let text = path.to_str().expect("the path of a temporary folder is text").to_owned();
        for round in 0..10 {
            File::create(&path)?;
            let gate = Gate::new()?;
            // Well behind the first ones, which show that they are quick.
            let waits = 300 + round;
            worker::scope(workers().limiter(&CapacityLimiter::new(1)), async |pool| {
                let jobs =
                    (0..1000).map(|number| note_or_wait::with(text.clone(), gate.path(), number, waits));
                let mut results = pool.map(jobs).in_flight(64);
                let arrival = {
                    let mut arrival = pin!(gate.arrival());
                    poll_fn(|cx| {
                        while let std::task::Poll::Ready(Some(result)) =
                            futures_util::Stream::poll_next(std::pin::Pin::new(&mut results), cx)
                        {
                            assert!(result.is_ok_and(|number| number < waits));
                        }
                        arrival.as_mut().poll(cx)
                    })
                    .await?
                };
                let mut arrival = arrival;
                drop(results);
                arrival.closed().await?;
                let next = pool.run(process_number::with()).await?;
                assert_ne!(next, arrival.process.pid);
                Ok(())
            })
            .await?;
            assert_eq!(std::fs::read(&path)?.len(), 4 * (waits as usize + 1), "in their order, and no more");
        }
        Ok(())
    });
}

/// The last ones wait until two of them have come.
#[triune::job]
fn meet(gate: String, number: u32) -> u32 {
    if number >= 100 {
        wait_at(&gate, number);
    }
    number
}

#[test]
fn one_at_a_time_jobs_may_wait_for_each_other() {
    guarded("batch of one", async || {
        let gate = Gate::new()?;
        worker::scope(workers().limiter(&CapacityLimiter::new(2)), async |pool| {
            let jobs = (0..120).map(|number| meet::with(gate.path(), number));
            let mut results = pool.map(jobs).batch(1).in_flight(64);
            let all = async {
                let mut count = 0;
                while let Some(result) = results.next().await {
                    assert_eq!(result?, count);
                    count += 1;
                }
                Ok(count)
            };
            let pairs = async {
                for _ in 0..10 {
                    let (one, other) = (gate.arrival().await?, gate.arrival().await?);
                    one.open().await?;
                    other.open().await?;
                }
                Ok::<_, triune::Error>(())
            };
            let (count, ()) = tokio::try_join!(all, pairs)?;
            assert_eq!(count, 120);
            Ok(())
        })
        .await
    });
}

/// Waits at the gate if it has the chosen number.
#[triune::job]
fn pass_if(gate: String, number: u32, waits: u32) -> u32 {
    if number == waits {
        wait_at(&gate, number);
    }
    number
}

#[test]
fn results_of_a_batch_are_there_before_a_slow_job_behind_them_is_done() {
    guarded("batch with a slow job", async || {
        let gate = Gate::new()?;
        worker::scope(workers().limiter(&CapacityLimiter::new(1)), async |pool| {
            for ordered in [true, false] {
                // Well behind the first ones, which show that they are quick, and at each place of a batch.
                for slow in 200..216 {
                    let jobs = (0..300).map(|number| pass_if::with(gate.path(), number, slow));
                    let results = pool.map(jobs).in_flight(64);
                    let mut results = if ordered { results } else { results.unordered() };
                    let mut good = BTreeSet::new();
                    let arrival = {
                        let mut arrival = pin!(gate.arrival());
                        loop {
                            tokio::select! {
                                result = results.next() => good.insert(result.expect("there are more")?),
                                arrival = &mut arrival => break arrival?,
                            };
                        }
                    };
                    while good.len() < slow as usize {
                        assert!(good.insert(results.next().await.expect("there are more")?));
                    }
                    assert!(good.iter().copied().eq(0..slow), "{good:?}");
                    arrival.open().await?;
                    while let Some(result) = results.next().await {
                        assert!(good.insert(result?));
                    }
                    assert!(good.into_iter().eq(0..300));
                }
            }
            Ok(())
        })
        .await
    });
}
