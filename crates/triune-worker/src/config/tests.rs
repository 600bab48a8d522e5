//! What a configuration refuses, and what each worker draws from it.

use std::time::Duration;

use super::{ConfigError, Retire, Workers, after_age, after_jobs, when_rss_above};

fn refused(workers: Workers) -> ConfigError {
    workers.settle().expect_err("it cannot work")
}

// trio-parallel 65
#[test]
fn a_worker_that_could_do_no_job_is_refused() {
    assert_eq!(refused(Workers::new().retire(after_jobs(0))), ConfigError::RetiresBeforeItsFirstJob);
    let error = refused(Workers::new().retire(after_jobs(5).jitter(5)));
    assert_eq!(error, ConfigError::JitterTooLarge { jobs: 5, jitter: 5 });
    assert!(error.to_string().contains("below 5"));
}

#[test]
fn the_jitter_only_shortens_and_reaches_all_values() {
    let settings = Workers::new().retire(after_jobs(10).jitter(3)).settle().expect("it is sound");
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        seen.insert(settings.allowance().jobs);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [7, 8, 9, 10]);
}

#[test]
fn of_two_limits_of_a_kind_the_stricter_one_stays() {
    let retire: Retire = after_jobs(10) | when_rss_above(100) | after_jobs(3) | when_rss_above(7);
    let settings =
        Workers::new().retire(retire).retire(after_age(Duration::ZERO)).settle().expect("it is sound");
    assert_eq!(settings.allowance().jobs, 3);
    assert_eq!(settings.rss_limit, Some(7));
    assert!(settings.allowance().is_used_up(0), "it is older than no time at all");
}

// trio-parallel 43
#[test]
fn a_timeout_without_end_is_none() {
    let settings = Workers::new().idle_timeout(Duration::MAX).grace_period(Duration::MAX).settle();
    assert_eq!(settings.expect("it is sound").idle_timeout, None);
}
