//! The commit rule of waits outside of this crate.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn, ready};
use std::task::Poll;

use super::{checkpoint_if_cancelled, primitive};
use crate::{CancelScope, join};

#[tokio::test]
async fn in_a_cancelled_scope_the_wait_is_not_polled() {
    let scope = CancelScope::new();
    scope.cancel("enough");
    let polled = Cell::new(false);
    let wait = poll_fn(|_| {
        polled.set(true);
        Poll::Ready(())
    });
    let seen = scope.run(async { primitive("test", wait).await }).await.done().unwrap();
    assert_eq!(seen.unwrap_err().reason().message(), "enough");
    assert!(!polled.get());
}

#[tokio::test]
async fn a_cancel_ends_the_wait_and_leaves_nothing_in_the_scope() {
    let scope = CancelScope::new();
    let wait = scope.run(async { primitive("test", pending::<()>()).await.is_err() });
    let (ended, ()) = join((async { Ok(wait.await.done()) }, async {
        scope.cancel("enough");
        Ok(())
    }))
    .await
    .unwrap();
    assert_eq!(ended, Some(true));
}

#[tokio::test]
async fn what_the_wait_has_got_wins_over_a_cancel_that_comes_later() {
    let scope = CancelScope::new();
    let mut polls = 0;
    let wait = poll_fn(|_| {
        polls += 1;
        scope.cancel("at the same time");
        if polls == 1 { Poll::Pending } else { Poll::Ready(7) }
    });
    let seen = scope.run(async { primitive("test", wait).await.ok() }).await.done().unwrap();
    // The first poll is pending in a scope that is cancelled meanwhile: nothing was got.
    assert_eq!(seen, None);
    let scope = CancelScope::new();
    let seen = scope.run(async { primitive("test", ready(7)).await.ok() }).await;
    assert_eq!(seen.done(), Some(Some(7)));
}

/// Code that swallows cancels cannot spin: every delivery after the first yields.
#[tokio::test]
async fn every_further_delivery_yields_first() {
    let scope = CancelScope::new();
    scope.cancel("enough");
    let mut polls = 0;
    let mut swallow = std::pin::pin!(scope.run(async {
        for _ in 0..5 {
            assert!(primitive("test", ready(())).await.is_err());
            assert!(checkpoint_if_cancelled().await.is_err());
        }
    }));
    poll_fn(|cx| {
        polls += 1;
        swallow.as_mut().poll(cx).map(drop)
    })
    .await;
    assert_eq!(polls, 10);
}

#[tokio::test]
async fn where_nothing_is_cancelled_it_goes_on_at_once() {
    let mut polls = 0;
    let mut wait = std::pin::pin!(async { checkpoint_if_cancelled().await.and(Ok(7)) });
    let seen = poll_fn(|cx| {
        polls += 1;
        wait.as_mut().poll(cx)
    });
    assert_eq!(seen.await.unwrap(), 7);
    assert_eq!(polls, 1);
}

/// Waits that are always served at once let the siblings of their task run.
#[tokio::test]
async fn a_task_that_never_waits_uses_up_its_budget() {
    let mut polls = 0;
    let mut busy = std::pin::pin!(async {
        for _ in 0..10_000 {
            primitive("test", ready(())).await.unwrap();
        }
    });
    poll_fn(|cx| {
        polls += 1;
        busy.as_mut().poll(cx)
    })
    .await;
    assert!(polls > 10, "{polls} polls for 10 000 waits");
}
