//! Limits of programs in whatever language: they are put on before the program is executed.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use triune::worker::{
    self, ConfigError, DeathCause, Enforce, Enforcement, Limit, Limits, LimitsError, RunError, Shared,
    StartErrorKind, Workers,
};
use triune_testing::skip;

use crate::jobs::{add, burn, eat, read_file, total};
use crate::programs::{self, with, with_each};
use crate::support::{Gate, guarded_once, spin, workers};

#[test]
fn a_program_is_held_to_its_memory_and_the_report_says_so() {
    with_each("memory", async || {
        let limits = Limits::new().core_size(0);
        worker::scope(workers().memory_max(256 << 20).limits(limits), async |pool| {
            assert_eq!(pool.run(add::with(1, 1)).await?, 2);
            let error = pool.run(eat::with(1024)).await.expect_err("it is too much");
            match &error {
                RunError::App { failure, .. } => assert_eq!(failure.report().type_name, "MemoryError"),
                error => assert_eq!(error.death_cause(), Some(DeathCause::OutOfMemory), "{error:?}"),
            }
            assert_eq!(pool.run(add::with(1, 1)).await?, 2);
            let report = pool.limits_report().expect("it was said");
            assert_eq!(report.get(Limit::Memory), Some(Enforcement::Enforced));
            Ok(())
        })
        .await
    });
}

#[test]
fn a_program_is_held_to_its_processor_time() {
    for (program, per_job) in [(Some(programs::another()), true), (programs::python(), false)] {
        let Some(program) = program else { continue };
        guarded_once(&program.into(), "processor time", async || {
            let gate = Gate::new()?;
            let limits = Limits::new().core_size(0).cpu_time(Duration::from_secs(1));
            worker::scope(workers().limits(limits), async |pool| {
                if per_job {
                    // One of triune's has it anew for each job: the three would be too much together.
                    let first = pool.run(burn::with(700)).await?;
                    assert_eq!(pool.run(burn::with(700)).await?, first);
                    assert_eq!(pool.run(burn::with(700)).await?, first);
                }
                let error = pool.run(spin::with(gate.path())).await.expect_err("it spins");
                assert_eq!(error.death_cause(), Some(DeathCause::CpuLimit), "{error:?}");
                Ok(())
            })
            .await
        });
    }
}

/// What the programs read to begin.
fn with_what_programs_need(limits: Limits) -> Limits {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let own = std::env::current_exe().expect("a test has an executable");
    let target = own.ancestors().nth(2).expect("it lies in `deps` of its profile").to_owned();
    let mut paths: Vec<PathBuf> =
        ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", sources].map(PathBuf::from).into();
    paths.push(target);
    paths.extend(programs::python_folders());
    paths.retain(|path| path.exists());
    paths.into_iter().fold(limits, Limits::read_only)
}

#[test]
fn a_program_reaches_only_the_paths_of_its_pool() {
    with_each("paths", async || {
        let folder = tempfile::tempdir()?;
        let text = |name: &str| folder.path().join(name).to_str().expect("the path is text").to_owned();
        std::fs::create_dir(text("allowed"))?;
        std::fs::write(text("allowed/file"), "words")?;
        std::fs::write(text("secret"), "key")?;
        let allowed = Limits::new().read_only(text("allowed")).enforce(Enforce::BestEffort);
        worker::scope(workers().limits(with_what_programs_need(allowed.clone())), async |pool| {
            assert_eq!(pool.run(read_file::with(text("allowed/file"))).await?, "words");
            let report = pool.limits_report().expect("it was said");
            if report.get(Limit::Paths) == Some(Enforcement::Unsupported) {
                skip("the paths of programs", "this kernel has no Landlock");
                return Ok(());
            }
            let error = pool.run(read_file::with(text("secret"))).await.expect_err("it is out of reach");
            assert!(error.is_app() && error.to_string().contains("ermission denied"), "{error}");
            assert_eq!(pool.run(read_file::with(text("allowed/file"))).await?, "words", "it lives on");
            Ok(())
        })
        .await?;
        // The program itself must be within reach.
        worker::scope(workers().limits(allowed), async |pool| {
            let error = pool.run(add::with(1, 1)).await;
            let Err(RunError::Start { error, .. }) = error else {
                assert!(
                    pool.limits_report().and_then(|report| report.get(Limit::Paths))
                        == Some(Enforcement::Unsupported)
                );
                return Ok(());
            };
            assert!(matches!(error.kind(), StartErrorKind::Execute(_)), "{error:?}");
            assert!(
                error.to_string().contains("those that it reads to begin with `Limits::read_only`"),
                "{error}"
            );
            Ok(())
        })
        .await
    });
}

#[test]
fn shared_memory_is_within_reach_of_a_program_without_its_path() {
    with(programs::another(), "shared", async || {
        let shared = Shared::new(&[1_u64, 2, 3])?;
        let limits = with_what_programs_need(Limits::new().enforce(Enforce::BestEffort));
        worker::scope(workers().limits(limits), async |pool| {
            assert_eq!(pool.run(total::with(shared.clone())).await?, 6);
            Ok(())
        })
        .await
    });
}

#[test]
fn a_limit_that_does_not_hold_is_the_error_of_every_job() {
    with(programs::another(), "unsupported", async || {
        worker::scope(workers().limits(Limits::new().read_only("/no/such/folder")), async |pool| {
            let error = pool.run(add::with(1, 1)).await.expect_err("it cannot be limited");
            let RunError::Start { error, .. } = &error else { panic!("{error:?}") };
            assert!(error.to_string().contains("cannot be limited as is required"), "{error}");
            let cause =
                error.source().and_then(|cause| cause.downcast_ref::<LimitsError>()).expect("it says which");
            assert!(cause.to_string().contains("/no/such/folder"), "{cause}");
            Ok(())
        })
        .await
    });
}

#[test]
fn what_another_program_cannot_be_asked_is_told_before_it_is_started() {
    let workers = Workers::new().kind(programs::own()).limits(Limits::new().no_programs());
    let error = worker::configure_default(workers).expect_err("it would keep itself from being executed");
    assert_eq!(error, ConfigError::ProgramWithoutPrograms);
    assert!(error.to_string().contains("leave it out"), "{error}");
    let workers = Workers::new().kind(programs::own()).stall_timeout(Duration::from_secs(10));
    let error = worker::configure_default(workers).expect_err("nobody would give signs");
    assert_eq!(error, ConfigError::ProgramWithoutSigns);
}
