//! What goes to another program and comes back: values, errors, panics.

use triune::prelude::*;
use triune::worker::{self, Job, RunError, Shared, WorkerKind};

use crate::jobs::{Shape, Sum, add, concat, describe, echo, fail, open_descriptors, panics, total};
use crate::programs::{self, with, with_each};
use crate::support::{process_number, workers};

#[test]
fn values_cross_by_their_names_and_large_ones_in_pieces() {
    with_each("values", async || {
        assert_eq!(worker::run(add::with(2, -3)).await?, -1);
        let many = vec!["one".to_owned(), "three".to_owned()];
        assert_eq!(worker::run(concat::with(many)).await?, Sum { total: 8, first: "one".to_owned() });
        let circle = Shape::Circle { radius: 0.5 };
        let polygon = Shape::Polygon { points: vec![(1, -1)], label: None };
        for shape in [circle, polygon] {
            assert_eq!(worker::run(describe::with(shape.clone())).await?, shape);
        }
        let data: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        assert_eq!(&worker::run(echo::with(data.clone().into())).await?[..], &data[..]);
        Ok(())
    });
}

#[test]
fn many_jobs_become_one_stream() {
    with_each("map", async || {
        let pid = nursery(async |n| Ok(n.run_in_worker(process_number::with()).await?)).await?;
        assert_ne!(pid, std::process::id());
        let sums = worker::map((0..300).map(|n| add::with(n, n))).collect().await?;
        assert_eq!(sums, (0..300).map(|n| 2 * n).collect::<Vec<i64>>());
        let statistics = worker::statistics();
        assert!(statistics.idle <= statistics.limit, "{statistics:?}");
        Ok(())
    });
}

#[test]
fn an_error_has_its_type_and_its_words_and_the_worker_lives_on() {
    with_each("errors", async || {
        let pid = worker::run(process_number::with()).await?;
        let error = worker::run(fail::with("no such colour".to_owned())).await.expect_err("it fails");
        assert!(error.is_app(), "{error:?}");
        assert_eq!(error.to_string(), "job `worker_program::jobs::fail` failed: no such colour");
        let report = error.report().expect("it was reported");
        assert!(report.type_name.ends_with("ValueError"), "{report:?}");
        assert_eq!(report.pid, Some(pid));
        let error = worker::run(panics::with("enough".to_owned())).await.expect_err("it panics");
        assert!(error.is_panic(), "{error:?}");
        let report = error.report().expect("it was reported");
        assert_eq!(report.message, "enough");
        assert!(report.location.is_some(), "{report:?}");
        assert_eq!(worker::run(process_number::with()).await?, pid);
        Ok(())
    });
}

#[test]
fn a_job_that_only_python_has_is_called_by_its_name() {
    let Some(python) = programs::python() else { return };
    with(python, "named", async || {
        let job = Job::<Vec<i64>>::named("only in python", (3, 1, 2));
        assert_eq!(worker::run(job.clone()).await?, [1, 2, 3]);
        assert_eq!(worker::map([job.clone(), job.clone()]).collect().await?.concat(), [1, 2, 3, 1, 2, 3]);
        let error =
            worker::run(Job::<String>::named("only in python", (1,))).await.expect_err("a list is no text");
        assert!(matches!(error, RunError::Decode { .. }), "{error:?}");
        // Without that program there is no such function.
        let error =
            worker::scope(workers().kind(WorkerKind::Spawn), async |pool| Ok(pool.run(job).await)).await?;
        let error = error.expect_err("nobody has it");
        assert!(error.is_refused(), "{error:?}");
        assert!(error.to_string().contains("`WorkerKind::Program`, in a program that has it"), "{error}");
        Ok(())
    });
}

#[test]
fn arguments_are_encoded_for_whoever_reads_them() {
    with(programs::another(), "both", async || {
        for size in [10, 200_000] {
            let many = vec!["x".repeat(size), "y".to_owned()];
            let job = concat::with(many.clone());
            for kind in [WorkerKind::Spawn, programs::another().into(), WorkerKind::Spawn] {
                let job = job.clone();
                let sum = worker::scope(workers().kind(kind), async |pool| Ok(pool.run(job).await?)).await?;
                assert_eq!((sum.total, sum.first.len()), (size + 1, size));
            }
        }
        Ok(())
    });
}

#[test]
fn shared_memory_is_lent_to_another_program_too() {
    with(programs::another(), "shared", async || {
        let numbers: Vec<u64> = (0..100_000).collect();
        let shared = Shared::new(&numbers)?;
        let totals = worker::map((0..20).map(|_| total::with(shared.clone()))).collect().await?;
        assert_eq!(totals, [numbers.iter().sum::<u64>(); 20]);
        Ok(())
    });
}

#[test]
fn no_descriptor_leaks_into_the_program() {
    let Some(python) = programs::python() else { return };
    with(python, "descriptors", async || {
        let leaked = rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 50).expect("there is room");
        rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).expect("it is open");
        // The last one is that by which it looks.
        assert_eq!(worker::run(open_descriptors::with()).await?, [0, 1, 2, 3, 4]);
        Ok(())
    });
}
