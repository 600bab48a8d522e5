//! `race`, `join` and `as_completed`: who loses is cancelled, and has cleaned up before they return.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use triune_scope::{
    CancelScope, Cause, Error, FutureExt as _, Result, as_completed, checkpoint, join, nursery, race,
    shield_unbounded, sleep,
};

async fn seconds(seconds: u64) -> Result<u64> {
    sleep(Duration::from_secs(seconds)).await?;
    Ok(seconds)
}

async fn block<T>() -> Result<T> {
    std::future::pending::<()>().cancellable().await?;
    unreachable!("it never ends by itself")
}

/// Blocks, then cleans up for so long.
async fn loser(clean_up: u64, log: &Mutex<Vec<u64>>) -> Result<u64> {
    let cut = std::future::pending::<()>().cancellable().await.expect_err("it never ends by itself");
    assert_eq!(cut.reason().cause(), &Cause::Finished);
    shield_unbounded(seconds(clean_up)).await?;
    log.lock().expect("no panic").push(clean_up);
    Err(cut.into())
}

#[tokio::test(start_paused = true)]
async fn the_losers_of_a_race_have_cleaned_up_when_it_returns() {
    let (begin, log) = (Instant::now(), Mutex::new(Vec::new()));
    let first = race((loser(3, &log), seconds(1), loser(2, &log))).await.unwrap();
    assert_eq!((first, begin.elapsed().as_secs()), (1, 4));
    assert_eq!(log.into_inner().unwrap(), [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_race_takes_vectors_and_arrays() {
    assert_eq!(race(vec![seconds(3), seconds(1), seconds(2)]).await.unwrap(), 1);
    assert_eq!(race([seconds(3), seconds(2)]).await.unwrap(), 2);
    let nothing = race(Vec::<std::future::Ready<Result>>::new()).await.unwrap_err();
    assert!(nothing.to_string().contains("nothing to race"));
    let eight = (block(), block(), block(), block(), block(), block(), block(), seconds(8));
    assert_eq!(race(eight).await.unwrap(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_fails_first_fails_the_race() {
    let log = Mutex::new(Vec::new());
    let error = race((seconds(5), async {
        seconds(1).await?;
        Err(Error::msg("no route"))
    }))
    .await
    .unwrap_err();
    assert_eq!(error.group().unwrap().len(), 1);
    assert_eq!(error.group().unwrap().primary().error().to_string(), "no route");

    let late = race((seconds(1), async {
        let _cut = loser(1, &log).await;
        Err(Error::msg("clean-up failed"))
    }));
    let late = late.await.unwrap_err();
    assert_eq!(late.group().unwrap().primary().error().to_string(), "clean-up failed", "no error is lost");
}

#[tokio::test]
#[should_panic(expected = "bad branch")]
async fn a_panic_of_a_branch_goes_on_in_the_caller() {
    let _unreached = race((block::<()>(), async { panic!("bad branch") })).await;
}

#[tokio::test(start_paused = true)]
async fn join_gives_all_values_in_the_order_of_the_branches() {
    let text = String::from("text");
    let (a, b, c) = join((seconds(2), async { Ok(text.as_str()) }, async { Ok(()) })).await.unwrap();
    assert_eq!((a, b, c), (2, "text", ()));
    assert_eq!(join(vec![seconds(3), seconds(1), seconds(2)]).await.unwrap(), [3, 1, 2]);
    assert_eq!(join([seconds(2), seconds(1)]).await.unwrap(), [2, 1]);
    assert!(join(Vec::<std::future::Ready<Result>>::new()).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_of_a_join_cancels_the_others_which_clean_up() {
    let (begin, cleaned) = (Instant::now(), AtomicUsize::new(0));
    let error = join((
        async {
            let cut = block::<()>().await;
            shield_unbounded(tokio::time::sleep(Duration::from_secs(2))).await;
            cleaned.fetch_add(1, Ordering::Relaxed);
            cut
        },
        async {
            seconds(1).await?;
            Err::<u8, _>(Error::msg("no"))
        },
    ))
    .await
    .unwrap_err();
    assert_eq!((begin.elapsed().as_secs(), cleaned.into_inner()), (3, 1));
    assert_eq!(error.group().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn values_come_in_the_order_of_their_ends() {
    let futures = [3, 1, 2].map(seconds);
    let order = as_completed(futures, async |mut done| {
        let mut order = Vec::new();
        while let Some(value) = done.next().await? {
            order.push(value);
        }
        Ok(order)
    });
    assert_eq!(order.await.unwrap(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_has_enough_ends_the_rest() {
    let (begin, log) = (Instant::now(), Mutex::new(Vec::new()));
    let race = |number| {
        let log = &log;
        async move { if number == 0 { seconds(1).await } else { loser(number, log).await } }
    };
    let first = as_completed((0..3).map(race), async |mut done| Ok(done.next().await?));
    assert_eq!(first.await.unwrap(), Some(1));
    assert_eq!(begin.elapsed().as_secs(), 3);
    assert_eq!(log.into_inner().unwrap(), [1, 2]);
}

#[tokio::test]
async fn a_failure_wakes_the_body_and_fails_the_whole() {
    let futures = [false, true].map(async |fails| if fails { Err(Error::msg("no")) } else { block().await });
    let error = as_completed(futures, async |mut done| {
        while let Some(()) = done.next().await? {}
        Ok(())
    })
    .await
    .unwrap_err();
    assert_eq!(error.group().unwrap().len(), 1);
}

#[tokio::test]
async fn a_cancel_from_around_ends_all_of_them() {
    let cut = AtomicUsize::new(0);
    let branch = || async {
        let end = block::<()>().await;
        cut.fetch_add(1, Ordering::Relaxed);
        end
    };
    let scope = CancelScope::new();
    let ends = scope.run(async {
        scope.cancel("enough");
        [
            race([branch(), branch()]).await.is_err_and(|error| error.is_cancelled()),
            join((branch(), branch())).await.is_err_and(|error| error.is_cancelled()),
            join(vec![branch(), branch()]).await.is_err_and(|error| error.is_cancelled()),
            as_completed([branch(), branch()], async |mut done| Ok(done.next().await?)).await.is_err(),
        ]
    });
    assert_eq!(ends.await.done().expect("everything unwound"), [true; 4]);
    assert_eq!(cut.into_inner(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn combinators_are_send_if_their_branches_are_and_borrow() {
    fn send<F: Future + Send>(future: F) -> F {
        future
    }
    let words = [String::from("a"), String::from("bb")];
    let length = |word: &'static str| async move { Ok(word.len()) };
    nursery(async |n| {
        n.spawn_task(async move {
            checkpoint().await?;
            race((length("a"), length("a"))).await?;
            join((length("a"), async { Ok("x") })).await?;
            join(vec![length("a")]).await
        });
        Ok(())
    })
    .await
    .unwrap();
    let lengths = words.iter().map(|word| async move { Ok(word.len()) });
    assert_eq!(send(join(lengths.collect::<Vec<_>>())).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn branches_need_not_be_send() {
    let count = Rc::new(Cell::new(0));
    let add = |number| {
        let count = Rc::clone(&count);
        async move {
            checkpoint().await?;
            count.set(count.get() + number);
            Ok(())
        }
    };
    join((add(1), add(2))).await.unwrap();
    join(vec![add(4)]).await.unwrap();
    assert_eq!(count.get(), 7);
}
