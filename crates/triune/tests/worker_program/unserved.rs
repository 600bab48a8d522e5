//! Jobs that the other program does not serve, or serves with other types.

use triune::prelude::*;
use triune::worker;

use crate::jobs::add;
use crate::programs::{self, with};
use crate::support::process_number;

/// Only here: no other program has it.
#[triune::job]
pub(crate) fn local_only(x: u64) -> u64 {
    x
}

/// In the other program it takes and gives an `u32`.
#[triune::job]
pub(crate) fn differs(x: u64) -> u64 {
    x
}

#[test]
fn a_job_that_the_program_lacks_fails_and_no_other_does() {
    for program in [Some(programs::another()), programs::python()].into_iter().flatten() {
        let name = program.to_string();
        with(program, "lacking", async || {
            let pid = worker::run(process_number::with()).await?;
            let error = worker::run(local_only::with(7)).await.expect_err("it has no such job");
            assert!(error.is_refused(), "{error:?}");
            assert_eq!(worker::run(process_number::with()).await?, pid, "it has not cost the worker");
            let text = error.to_string();
            for part in [
                "the worker refused job `worker_program::unserved::local_only`",
                &name,
                "it serves (`",
                "serve it there",
            ] {
                assert!(text.contains(part), "{part} in {text}");
            }
            let mut results = worker::map([1, 2, 3].map(local_only::with));
            while let Some(result) = results.next().await {
                assert!(result.expect_err("none of them is there").is_refused());
            }
            drop(results);
            let statistics = worker::statistics();
            assert_eq!(worker::run(add::with(2, 2)).await?, 4);
            assert!(statistics.idle > 0 && statistics.dying == 0, "{statistics:?}");
            Ok(())
        });
    }
}

#[test]
fn other_types_are_refused_with_both_sides_and_the_first_difference() {
    with(programs::another(), "differing", async || {
        let error = worker::run(differs::with(7)).await.expect_err("its types are others");
        assert!(error.is_refused(), "{error:?}");
        let text = error.to_string();
        for part in [
            "jobs.worker_program::unserved::differs differs: `u64) -> u64` here, `u32) -> u32` there",
            "fingerprint",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(worker::run(add::with(1, 1)).await?, 2);
        Ok(())
    });
    with(programs::own(), "the same", async || {
        assert_eq!(worker::run(differs::with(7)).await?, 7);
        // A function of a library, named where it is called.
        assert_eq!(worker::run(job!(u64::isqrt(81))).await?, 9);
        Ok(())
    });
}
