//! Jobs and their results.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use triune::prelude::*;
use triune::worker::{self, Part, RunError, job};
use triune_testing::ProcessInfo;

use super::support::{Gate, guarded, pass, process_number};

mod inner {
    //! Jobs in a module, with all that an attribute macro may stumble over.

    use serde::{Deserialize, Serialize};

    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub(crate) struct Order {
        pub(crate) name: String,
        pub(crate) lines: Vec<Option<(u8, String)>>,
    }

    /// Documented, hinted, and with patterns for arguments.
    #[triune::job]
    #[inline]
    #[must_use]
    pub(crate) fn change(mut order: Order, (first, second): (u8, u8), _: ()) -> Order {
        order.lines.push(Some((first + second, order.name.clone())));
        order
    }

    /// Its argument has its own name.
    #[triune::job]
    pub(super) fn echo(echo: Vec<u8>) -> Vec<u8> {
        echo
    }
}

// trio-parallel 1, 3
#[test]
fn a_job_runs_in_another_process_and_its_result_comes_back() {
    guarded("round trip", async || {
        let pid = worker::run(process_number::with()).await?;
        assert_ne!(pid, std::process::id());
        assert_eq!(worker::run(inner::echo::with(vec![])).await?, []);
        let large = vec![7; 300 << 10];
        assert_eq!(worker::run(inner::echo::with(large.clone())).await?, large);
        Ok(())
    });
}

// trio-parallel 3
#[test]
fn arguments_cross_by_value() {
    guarded("arguments", async || {
        let order = inner::Order { name: "ü".into(), lines: vec![None, Some((1, String::new()))] };
        let changed = worker::run(inner::change::with(order.clone(), (2, 3), ())).await?;
        assert_eq!(changed.lines, [None, Some((1, String::new())), Some((5, "ü".into()))]);
        assert_eq!(changed, inner::change(order, (2, 3), ()), "the function itself is still there");
        Ok(())
    });
}

#[test]
fn jobs_one_after_the_other_share_one_process() {
    guarded("reuse", async || {
        let first = worker::run(process_number::with()).await?;
        for _ in 0..10 {
            assert_eq!(worker::run(process_number::with()).await?, first);
        }
        let statistics = worker::statistics();
        assert_eq!((statistics.idle, statistics.busy, statistics.starting), (1, 0, 0));
        Ok(())
    });
}

// trio-parallel 14
#[test]
fn no_more_jobs_run_at_a_time_than_the_limit_and_they_start_in_order() {
    guarded("limit", async || {
        let gate = Gate::new()?;
        let limit = u32::try_from(worker::statistics().limit)?;
        nursery(async |n| {
            let jobs: Vec<_> =
                (0..limit + 3).map(|ticket| n.run_in_worker(pass::with(gate.path(), ticket))).collect();
            let mut inside = Vec::new();
            for _ in 0..limit {
                inside.push(gate.arrival().await?);
            }
            inside.sort_by_key(|arrival| arrival.ticket);
            assert!(inside.iter().map(|arrival| arrival.ticket).eq(0..limit));
            assert_eq!(worker::statistics().busy, limit as usize);
            for ticket in limit..limit + 3 {
                assert!(gate.is_quiet().await, "nobody gets in before somebody is out");
                inside.remove(0).open().await?;
                let next = gate.arrival().await?;
                assert_eq!(next.ticket, ticket, "first come, first served");
                inside.push(next);
            }
            for arrival in inside {
                arrival.open().await?;
            }
            let mut processes = Vec::new();
            for job in jobs {
                processes.push(job.await?);
            }
            processes.sort_unstable();
            processes.dedup();
            assert_eq!(processes.len(), limit as usize, "each waited for a process that was there");
            Ok(())
        })
        .await
    });
}

// trio-parallel 12
#[test]
fn the_worker_that_was_used_last_is_used_next() {
    guarded("last in, first out", async || {
        if worker::statistics().limit < 2 {
            return Ok(()); // One core, one worker.
        }
        let gate = Gate::new()?;
        nursery(async |n| {
            let one = n.run_in_worker(pass::with(gate.path(), 1));
            let early = gate.arrival().await?;
            let two = n.run_in_worker(pass::with(gate.path(), 2));
            let late = gate.arrival().await?;
            early.open().await?;
            let early = one.await?;
            late.open().await?;
            let late = two.await?;
            assert_ne!(early, late);
            assert_eq!(worker::run(process_number::with()).await?, late);
            Ok(())
        })
        .await
    });
}

#[triune::job]
fn fall(depth: u32) -> u32 {
    assert!(depth > 0, "fell on the ground");
    fall(depth - 1)
}

#[triune::job]
fn panic_with(text: String, quiet: bool) -> u8 {
    if quiet {
        std::panic::resume_unwind(Box::new(text));
    }
    std::panic::panic_any(7_u8)
}

#[test]
fn a_panic_is_an_error_with_its_message_and_place_and_the_worker_lives_on() {
    guarded("panic", async || {
        let before = worker::run(process_number::with()).await?;
        let error = worker::run(fall::with(3)).await.expect_err("it panics");
        assert!(error.is_panic() && !error.is_app());
        let RunError::Panic { failure, .. } = &error else { panic!("{error:?}") };
        assert_eq!(failure.message(), "fell on the ground");
        assert!(failure.location().is_some_and(|place| place.contains("run.rs:")), "{failure:?}");
        assert_eq!(failure.report().pid, Some(before));
        let text = error.to_string();
        assert!(text.starts_with("job `worker_processes::run::fall` panicked at "), "{text}");
        assert!(text.ends_with(": fell on the ground"), "{text}");

        let error = worker::run(panic_with::with("no hook".into(), true)).await.expect_err("it panics");
        assert!(error.to_string().ends_with("panicked: no hook"), "{error}");
        let error = worker::run(panic_with::with(String::new(), false)).await.expect_err("it panics");
        assert!(error.to_string().ends_with(": a panic without a text"), "{error}");
        assert_eq!(worker::run(process_number::with()).await?, before);
        Ok(())
    });
}

#[derive(Debug)]
struct Parse(std::num::ParseIntError);

impl fmt::Display for Parse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a number of apples")
    }
}

impl std::error::Error for Parse {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[triune::job]
fn typed(text: String) -> Result<u32, Parse> {
    text.parse().map_err(Parse)
}

#[triune::job]
fn io(path: String) -> std::io::Result<u64> {
    Ok(std::fs::metadata(path)?.len())
}

#[triune::job]
fn triune_error(fail: bool) -> triune::Result {
    if fail { Err(triune::Error::msg("too sour").context("tasting")) } else { Ok(()) }
}

#[triune::job]
fn boxed(text: String) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    Ok(text.parse::<u32>().map_err(Parse)?)
}

#[triune::job]
fn only_text() -> Result<(), String> {
    Err("sold out".to_owned())
}

fn chain(error: &RunError) -> Vec<String> {
    let error: &dyn std::error::Error = error;
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        texts.push(cause.to_string());
        next = cause.source();
    }
    texts
}

// trio-parallel 18. Errors of Rust do not know where they were made; panics do, and say it.
#[test]
fn a_job_that_returns_a_result_gives_its_value_or_its_error_with_the_causes() {
    guarded("results", async || {
        assert_eq!(worker::run(typed::with("12".into())).await?, 12);
        let error = worker::run(typed::with("x".into())).await.expect_err("not a number");
        assert!(error.is_app());
        let digit = "invalid digit found in string";
        assert_eq!(
            chain(&error),
            ["job `worker_processes::run::typed` failed: not a number of apples", digit]
        );
        assert!(error.report().is_some_and(|report| report.type_name.ends_with("Parse")), "{error:?}");

        assert!(worker::run(io::with("/dev/null".into())).await? < 1);
        assert!(worker::run(io::with("/no such file".into())).await.expect_err("no file").is_app());

        worker::run(triune_error::with(false)).await?;
        let error = worker::run(triune_error::with(true)).await.expect_err("it fails");
        assert_eq!(chain(&error)[0], "job `worker_processes::run::triune_error` failed: tasting");
        assert_eq!(chain(&error)[1], "too sour");

        let error = worker::run(boxed::with("x".into())).await.expect_err("not a number");
        assert_eq!(chain(&error)[1..], [digit]);
        let error = worker::run(only_text::with()).await.expect_err("it fails");
        assert_eq!(chain(&error), ["job `worker_processes::run::only_text` failed: sold out"]);
        Ok(())
    });
}

fn largest<T: Ord>(values: Vec<T>) -> Option<T> {
    values.into_iter().max()
}

#[test]
fn any_function_can_be_a_job_by_the_macro() {
    guarded("job!", async || {
        assert_eq!(worker::run(job!(u64::pow(3, 4))).await?, 81);
        assert_eq!(
            worker::run(job!(largest::<String>(vec!["a".into(), "c".into(), "b".into()]))).await?,
            Some("c".into())
        );
        assert_eq!(worker::run(job!(std::process::id())).await?, worker::run(process_number::with()).await?);
        let error = worker::run(job!(std::fs::read_to_string::<String>("/no such file".to_owned())))
            .await
            .expect_err("no file");
        assert!(error.is_app());
        assert!(error.job().contains("read_to_string"), "{error}");
        let map: BTreeMap<u8, String> = worker::run(job!(inner_map(3_u8, "x".to_owned(),))).await?;
        assert_eq!(map[&2], "xx");
        Ok(())
    });
}

fn inner_map(count: u8, text: String) -> BTreeMap<u8, String> {
    (0..count).map(|n| (n, text.repeat(n.into()))).collect()
}

/// Cannot be encoded, or not be decoded, by choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awkward {
    Fine,
    Unencodable,
    Undecodable,
}

impl Serialize for Awkward {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unencodable => Err(serde::ser::Error::custom("does not want to be encoded")),
            Self::Fine => serializer.serialize_u8(0),
            Self::Undecodable => serializer.serialize_u8(1),
        }
    }
}

impl<'de> Deserialize<'de> for Awkward {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(Self::Fine),
            _ => Err(serde::de::Error::custom("does not want to be decoded")),
        }
    }
}

#[triune::job]
fn awkward(_argument: Awkward, result: u8) -> Awkward {
    [Awkward::Fine, Awkward::Unencodable, Awkward::Undecodable][usize::from(result)]
}

// trio-parallel 7, 9
#[test]
fn what_cannot_be_encoded_or_decoded_is_a_typed_error() {
    guarded("codec", async || {
        let error = worker::run(awkward::with(Awkward::Unencodable, 0)).await.expect_err("arguments");
        assert!(matches!(error, RunError::Encode { part: Part::Arguments, .. }), "{error:?}");
        assert_eq!(
            worker::statistics().starting + worker::statistics().idle,
            0,
            "nothing was sent to anybody"
        );

        assert_eq!(worker::run(awkward::with(Awkward::Fine, 0)).await?, Awkward::Fine);
        let before = worker::run(process_number::with()).await?;
        let error = worker::run(awkward::with(Awkward::Unencodable, 0)).await.expect_err("arguments");
        assert!(matches!(error, RunError::Encode { part: Part::Arguments, .. }), "{error:?}");
        let error = worker::run(awkward::with(Awkward::Undecodable, 0)).await.expect_err("arguments");
        assert!(matches!(error, RunError::Decode { part: Part::Arguments, .. }), "{error:?}");
        let error = worker::run(awkward::with(Awkward::Fine, 1)).await.expect_err("result");
        assert!(matches!(error, RunError::Encode { part: Part::Result, .. }), "{error:?}");
        assert_eq!(worker::run(process_number::with()).await?, before, "the worker is as good as before");

        let nonsense = ProcessInfo::of(before).expect("it is idle");
        let error = worker::run(awkward::with(Awkward::Fine, 2)).await.expect_err("result");
        assert!(matches!(error, RunError::Decode { part: Part::Result, .. }), "{error:?}");
        assert!(nonsense.now().is_none(), "reaped before the caller hears of it");
        assert_ne!(
            worker::run(process_number::with()).await?,
            before,
            "a worker that sends nonsense is replaced"
        );
        Ok(())
    });
}

#[test]
fn a_run_can_have_a_name_of_its_own() {
    guarded("name", async || {
        let error = worker::run(typed::with("x".into())).name("third try").await.expect_err("not a number");
        assert_eq!(error.job(), "third try");
        assert_eq!(error.to_string(), "job `third try` failed: not a number of apples");
        Ok(())
    });
}

#[test]
fn two_hundred_jobs_at_once_all_get_their_own_result() {
    guarded("many", async || {
        nursery(async |n| {
            let jobs: Vec<_> = (0..200_u32).map(|x| n.run_in_worker(job!(u32::wrapping_mul(x, x)))).collect();
            for (x, job) in (0..).zip(jobs) {
                assert_eq!(job.await?, x * x);
            }
            Ok(())
        })
        .await
    });
}
