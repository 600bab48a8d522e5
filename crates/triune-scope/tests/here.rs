//! Children whose first poll is where they are started are children like others.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use triune_scope::__primitive::start_here;
use triune_scope::{
    Error, FutureExt, Nursery, PanicError, PanicPolicy, Result, checkpoint, current_task, is_cancelled,
    nursery, tree,
};

fn names(n: &Nursery<'_>) -> Vec<String> {
    n.children().iter().map(|child| child.name().to_owned()).collect()
}

#[tokio::test]
async fn what_ends_at_once_is_in_the_tree_meanwhile_and_gone_afterwards() -> Result {
    nursery(async |n| {
        let seen = Arc::new(AtomicBool::new(false));
        for _ in 0..3 {
            seen.store(false, Ordering::Relaxed);
            let (seen, nursery) = (Arc::clone(&seen), n.clone());
            let body = current_task().map(|task| task.id());
            start_here(&n, async move {
                let this = current_task().expect("it is a task");
                assert_ne!(Some(this.id()), body);
                let children = nursery.children();
                assert_eq!(children.len(), 1);
                assert_eq!(children[0].id(), this.id());
                assert!(format!("{}", tree()).contains(&this.to_string()));
                seen.store(true, Ordering::Relaxed);
                Ok(())
            });
        }
        assert!(seen.load(Ordering::Relaxed), "it was polled where it was started");
        assert_eq!(names(&n), Vec::<String>::new());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_parks_is_polled_by_the_nursery_and_waited_for() -> Result {
    let ended = AtomicUsize::new(0);
    nursery(async |n| {
        for _ in 0..10 {
            start_here(&n, async {
                for _ in 0..3 {
                    checkpoint().await?;
                    tokio::task::yield_now().await;
                }
                ended.fetch_add(1, Ordering::Relaxed);
                Ok(())
            });
        }
        assert_eq!((names(&n).len(), ended.load(Ordering::Relaxed)), (10, 0));
        Ok(())
    })
    .await?;
    assert_eq!(ended.into_inner(), 10);
    Ok(())
}

/// Nobody polls it yet who could be told of the wake.
#[tokio::test]
async fn a_wake_during_the_first_poll_is_not_lost() -> Result {
    nursery(async |n| {
        let mut polls = 0;
        start_here(&n, async move {
            poll_fn(|cx| {
                polls += 1;
                if polls == 1 {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
            Ok(())
        });
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_failure_cancels_the_others_and_is_in_the_group() {
    let error = nursery(async |n| {
        n.spawn(async { Ok(pending::<()>().cancellable().await?) });
        checkpoint().await?;
        start_here(&n, async { Err(Error::msg("no luck")) });
        pending::<()>().cancellable().await?;
        Ok(())
    })
    .await
    .unwrap_err();
    assert!(format!("{error:#}").contains("no luck"), "{error:#}");
}

#[tokio::test]
async fn a_panic_is_caught_and_goes_on_in_the_nursery() {
    let opened = nursery(async |n| {
        start_here(&n, async { if true { panic!("one bad request") } else { Ok(()) } });
        // The one that has started it goes on.
        pending::<()>().cancellable().await?;
        Ok(())
    });
    let error = opened.on_panic(PanicPolicy::AsError).await.unwrap_err();
    assert_eq!(error.downcast_ref::<PanicError>().unwrap().message(), "one bad request");
}

#[tokio::test]
async fn a_nursery_under_supervision_goes_on_after_a_failure() {
    let served = Cell::new(0);
    let opened = triune_scope::local_nursery(async |_| {
        let error = nursery(async |n| {
            start_here(&n, async { Err(Error::msg("one")) });
            checkpoint().await?;
            served.set(served.get() + 1);
            Ok(())
        })
        .supervise()
        .await
        .unwrap_err();
        assert!(format!("{error:#}").contains("one"));
        Ok(())
    });
    opened.await.unwrap();
    assert_eq!(served.get(), 1);
}

#[tokio::test]
async fn in_a_cancelled_nursery_it_sees_the_cancel() -> Result {
    let seen = AtomicBool::new(false);
    let end = nursery(async |n| {
        n.cancel("enough");
        start_here(&n, async {
            seen.store(is_cancelled(), Ordering::Relaxed);
            Ok(())
        });
        Ok(())
    });
    let _cancelled = end.or_cancelled().await?;
    assert!(seen.into_inner());
    Ok(())
}

#[tokio::test]
async fn a_cancel_during_the_first_poll_reaches_what_parks_in_it() -> Result {
    nursery(async |n| {
        let (nursery, mut is_first) = (n.clone(), true);
        start_here(&n, async move {
            let cancel = poll_fn(|_| {
                if std::mem::take(&mut is_first) {
                    let nursery = nursery.clone();
                    // As if it came from anywhere: the poll is under way.
                    std::thread::scope(|s| drop(s.spawn(|| nursery.cancel("from elsewhere")).join()));
                }
                Poll::<()>::Pending
            });
            Ok(cancel.cancellable().await?)
        });
        Ok(())
    })
    .or_cancelled()
    .await
    .map(drop)
}

#[tokio::test]
async fn what_has_parked_is_dropped_with_its_nursery() {
    let alive = Arc::new(());
    let kept = Arc::clone(&alive);
    let open = nursery(async |n| {
        start_here(&n, async move {
            let _kept = kept;
            pending().await
        });
        pending::<()>().await;
        Ok(())
    });
    let polled = tokio::time::timeout(std::time::Duration::ZERO, open).await;
    assert!(polled.is_err());
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// From a child, which the set of the nursery polls, it is a `spawn`.
#[tokio::test]
async fn a_child_may_start_some_too() -> Result {
    let ended = AtomicUsize::new(0);
    let ended = &ended;
    nursery(async |n| {
        for _ in 0..3 {
            n.spawn_with(async move |n| {
                start_here(&n, async {
                    ended.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                });
                Ok(())
            });
        }
        Ok(())
    })
    .await?;
    assert_eq!(ended.load(Ordering::Relaxed), 3);
    Ok(())
}

/// The type of the children asks for `Send`, the body does not.
#[tokio::test]
async fn the_body_may_keep_what_is_not_send() -> Result {
    nursery(async |n| {
        let kept = Rc::new(1);
        start_here(&n, async { Ok(()) });
        assert_eq!(*kept, 1);
        Ok(())
    })
    .await
}
