//! Sleeping.

use std::time::Duration;

use futures_util::poll;
use tokio::time::Instant;
use triune_scope::{CancelScope, checkpoint, nursery, sleep, sleep_forever, sleep_until};

// Trio D22
#[tokio::test(start_paused = true)]
async fn a_sleep_that_is_over_is_one_checkpoint() {
    let start = Instant::now();
    let mut zero = Box::pin(sleep(Duration::ZERO));
    let mut past = Box::pin(sleep_until(start));
    assert!(poll!(&mut zero).is_pending() && poll!(&mut past).is_pending(), "the others get their turn");
    assert!(zero.await.is_ok() && past.await.is_ok());
    assert_eq!(start.elapsed(), Duration::ZERO);
    let scope = CancelScope::new();
    scope.cancel("now");
    let seen = scope.run(async { (sleep(Duration::ZERO).await.is_err(), sleep_until(start).await.is_err()) });
    assert_eq!(seen.await.done(), Some((true, true)));
}

#[tokio::test(start_paused = true)]
async fn sleep_until_wakes_at_its_time() {
    let start = Instant::now();
    sleep_until(start + Duration::from_secs(7)).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn sleep_forever_ends_with_its_scope() {
    nursery(async |n| {
        n.spawn(async {
            sleep_forever().await?;
            Ok(())
        });
        checkpoint().await?;
        n.cancel("enough");
        Ok(())
    })
    .await
    .unwrap();
}
