//! `#[triune::test(start_paused = true)]`: time jumps when nothing can run.

use std::time::Duration;

use triune::prelude::*;
use triune::{move_on_after, sleep};

#[triune::test(start_paused = true)]
async fn an_hour_passes_at_once() -> Result {
    let (real, virtual_) = (std::time::Instant::now(), tokio::time::Instant::now());
    nursery(async |n| {
        n.spawn(async { Ok(sleep(Duration::from_secs(3600)).await?) });
        assert!(move_on_after(Duration::from_secs(1800), sleep(Duration::from_secs(9999))).await.is_none());
        assert_eq!(virtual_.elapsed(), Duration::from_secs(1800));
        Ok(())
    })
    .await?;
    assert_eq!(virtual_.elapsed(), Duration::from_secs(3600));
    assert!(real.elapsed() < Duration::from_secs(60));
    Ok(())
}

#[triune::test(start_paused = false, flavor = "current_thread")]
async fn without_it_the_clock_runs() {
    let (real, tokios) = (std::time::Instant::now(), tokio::time::Instant::now());
    sleep(Duration::from_millis(5)).await.unwrap();
    assert!(tokios.elapsed() <= real.elapsed() && real.elapsed() >= Duration::from_millis(5));
}
