//! The policies of a pool, with workers that are another program.

use std::time::Duration;

use triune::sync::CapacityLimiter;
use triune::worker::{self, InitError, Job, RunError, after_jobs};

use crate::jobs::{fail, has_state, load, loaded};
use crate::programs::with_each;
use crate::support::{pool_becomes, process_number, workers};
use crate::unserved::local_only;

#[test]
fn the_init_job_is_called_by_its_name_before_all_others() {
    with_each("init", async || {
        worker::scope(workers().init(load::with(7)), async |pool| {
            assert_eq!(pool.run(loaded::with()).await?, 7);
            Ok(())
        })
        .await?;
        let error = worker::scope(workers().init(fail::with("no model".to_owned())), async |pool| {
            Ok(pool.run(loaded::with()).await)
        })
        .await?
        .expect_err("it was not initialised");
        assert!(
            matches!(&error, RunError::Init { error: InitError::Failed(failure), .. } if failure.message() == "no model")
        );
        Ok(())
    });
}

#[test]
fn an_init_job_that_the_program_lacks_is_told_as_that() {
    for program in [Some(crate::programs::another()), crate::programs::python()].into_iter().flatten() {
        crate::programs::with(program, "no init", async || {
            let error = worker::scope(workers().init(local_only::with(1)), async |pool| {
                Ok(pool.run(loaded::with()).await)
            })
            .await?
            .expect_err("it was not initialised");
            assert!(error.is_init(), "{error:?}");
            let RunError::Init { error, .. } = &error else { panic!("{error:?}") };
            assert!(
                error.to_string().contains("there is no job `worker_program::unserved::local_only`"),
                "{error}"
            );
            Ok(())
        });
    }
}

#[test]
fn workers_retire_and_leave_when_they_are_idle() {
    with_each("retire", async || {
        worker::scope(workers().retire(after_jobs(2)), async |pool| {
            let mut pids = Vec::new();
            for _ in 0..4 {
                pids.push(pool.run(process_number::with()).await?);
            }
            assert!(pids[0] == pids[1] && pids[2] == pids[3] && pids[1] != pids[2], "{pids:?}");
            Ok(())
        })
        .await?;
        // By a job that is asked after each: it says yes as soon as there is a state.
        let one = CapacityLimiter::new(1);
        worker::scope(workers().retire(has_state::with()).limiter(&one), async |pool| {
            let first = pool.run(process_number::with()).await?;
            assert_eq!(pool.run(process_number::with()).await?, first);
            pool.run(load::with(1)).await?;
            assert_ne!(pool.run(process_number::with()).await?, first);
            Ok(())
        })
        .await?;
        worker::scope(workers().idle_timeout(Duration::from_millis(1)), async |pool| {
            pool.run(process_number::with()).await?;
            pool_becomes(|pool| (pool.idle, pool.busy, pool.dying) == (0, 0, 0)).await
        })
        .await
    });
}

#[test]
fn warm_programs_are_there_before_the_jobs() {
    with_each("warm", async || {
        worker::scope(workers().warm(2), async |_pool| pool_becomes(|pool| pool.idle == 2).await).await
    });
}

#[test]
fn a_job_without_a_function_can_be_no_step_of_other_workers() {
    let error = worker::configure_default(worker::Workers::new().init(Job::<()>::named("load", ())));
    // Outside of a runtime it would panic, but the configuration is checked before.
    assert!(matches!(error, Err(worker::ConfigError::OtherImage { option: "init", .. })), "{error:?}");
}
