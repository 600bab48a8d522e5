//! Jobs as children of a nursery.

use triune::prelude::*;
use triune::worker::{RunError, statistics};
use triune::{local_nursery, nursery_with};

use super::support::{Gate, guarded, kill, pass, process_number, spin};

#[triune::job]
fn fail(gate: String) -> Result<(), String> {
    drop(std::os::unix::net::UnixStream::connect(gate));
    Err("no more ink".to_owned())
}

#[test]
fn a_failing_job_cancels_its_siblings_and_their_workers_are_reaped_before_the_nursery_returns() {
    guarded("sibling", async || {
        if statistics().limit < 2 {
            return Ok(()); // One core, one worker.
        }
        let gate = Gate::new()?;
        let mut sibling = None;
        let error = nursery(async |n| {
            let endless = n.run_in_worker(spin::with(gate.path()));
            sibling = Some(gate.arrival().await?);
            n.run_in_worker(fail::with("/nowhere".into()));
            endless.await
        })
        .await
        .expect_err("a child failed");
        assert!(sibling.expect("it had arrived").is_gone());
        let app = error.downcast_ref::<RunError>().expect("the error of the job is in the group");
        assert!(app.is_app() && app.to_string().ends_with("failed: no more ink"), "{app}");
        Ok(())
    });
}

type Boxed = Box<dyn std::error::Error + Send + Sync>;

#[test]
fn a_nursery_over_another_error_and_one_without_send_run_jobs_too() {
    guarded("other nurseries", async || {
        let failed = nursery_with::<Boxed, _, _, _>(async |n| {
            let job = n.run_in_worker(fail::with("/nowhere".into()));
            job.await.map_err(|_told_by_the_nursery| "unread".into())
        })
        .await
        .expect_err("a child failed");
        let failed = Error::from_boxed(failed);
        assert!(failed.downcast_ref::<RunError>().is_some_and(RunError::is_app), "{failed:?}");
        let gate = Gate::new()?;
        let number = local_nursery(async |n| {
            let job = n.run_in_worker(pass::with(gate.path(), 7));
            let arrival = gate.arrival().await?;
            let expected = arrival.process.pid;
            arrival.open().await?;
            Ok((job.await?, expected))
        });
        let (number, expected) = number.await?;
        assert_eq!(number, expected);
        Ok(())
    });
}

#[test]
fn a_cancelled_nursery_returns_when_its_workers_are_reaped() {
    guarded("nursery cancel", async || {
        let gate = Gate::new()?;
        let mut arrival = None;
        nursery(async |n| {
            n.run_in_worker(spin::with(gate.path()));
            arrival = Some(gate.arrival().await?);
            n.cancel("enough");
            Ok(())
        })
        .await?;
        assert!(arrival.expect("it had arrived").is_gone());
        Ok(())
    });
}

#[test]
fn the_death_of_a_worker_fails_the_nursery_with_a_typed_error() {
    guarded("nursery death", async || {
        let gate = Gate::new()?;
        let error = nursery(async |n| {
            let job = n.run_in_worker(spin::with(gate.path()));
            assert!(job.name().ends_with("::spin"), "a child is called as its function is: {}", job.name());
            kill(&gate.arrival().await?.process);
            job.await
        })
        .await
        .expect_err("the worker is dead");
        assert!(error.downcast_ref::<RunError>().is_some_and(RunError::is_worker_death), "{error:?}");
        Ok(())
    });
}

#[test]
fn jobs_borrow_nothing_and_their_results_are_awaited_in_any_order() {
    guarded("order", async || {
        let gate = Gate::new()?;
        nursery(async |n| {
            let first = n.run_in_worker(pass::with(gate.path(), 1));
            let arrival = gate.arrival().await?;
            let second = n.run_in_worker(process_number::with());
            if statistics().limit > 1 {
                assert_ne!(second.await?, arrival.process.pid);
            }
            arrival.open().await?;
            first.await?;
            Ok(())
        })
        .await
    });
}
