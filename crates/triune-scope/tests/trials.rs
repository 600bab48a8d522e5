//! Children that end in their first poll, one after the other on the same node: nobody takes one for another.

use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use tokio::task::yield_now;
use triune_scope::{Error, Result, current_task, nursery, tree};

fn own_name() -> String {
    current_task().expect("this is a child").name().to_owned()
}

#[tokio::test]
async fn a_waker_that_is_kept_does_not_reach_the_child_that_comes_after() {
    let (kept, polls) = (Mutex::new(None::<Waker>), AtomicUsize::new(0));
    nursery(async |n| {
        n.spawn(poll_fn(|cx| {
            *kept.lock().unwrap() = Some(cx.waker().clone());
            Poll::Ready(Ok(()))
        }));
        n.spawn(poll_fn(|_| {
            polls.fetch_add(1, Ordering::Relaxed);
            Poll::<Result>::Pending
        }));
        yield_now().await;
        let waker = kept.lock().unwrap().take().expect("the first child has run");
        waker.wake();
        yield_now().await;
        n.cancel("seen");
        Ok(())
    })
    .await
    .expect("a cancel of its own is no error");
    // Once at its start, and once more for the cancel.
    assert_eq!(polls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn each_child_is_itself_in_its_first_poll_and_in_its_error() {
    let seen = Mutex::new(Vec::new());
    let look = || {
        let name = own_name();
        let shown = tree().tasks().iter().any(|task| task.info.name() == name && task.polls == 0);
        seen.lock().unwrap().push((name, shown));
    };
    let failed = nursery(async |n| {
        for name in ["one", "two"] {
            n.spawn_named(name, async {
                look();
                Ok(())
            });
        }
        n.spawn_named("three", async {
            look();
            Err::<(), _>(Error::msg("broken"))
        });
        Ok(())
    })
    .await
    .unwrap_err();
    let expected = ["one", "two", "three"].map(|name| (name.to_owned(), true));
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(failed.group().unwrap().primary().task().name(), "three");
}

#[tokio::test]
async fn children_that_park_and_children_that_do_not_keep_their_names() {
    let ended = Mutex::new(Vec::new());
    let seen = &ended;
    let names = || {
        let mut names: Vec<_> = tree().tasks().iter().map(|task| task.info.name().to_owned()).collect();
        names.sort();
        names
    };
    let shown = nursery(async |n| {
        for name in ["ends 1", "parks 1", "parks 2", "ends 2", "ends 3", "parks 3"] {
            n.spawn_named(name, async move {
                if name.starts_with("parks") {
                    yield_now().await;
                    yield_now().await;
                }
                seen.lock().unwrap().push(own_name());
                Ok(())
            });
        }
        yield_now().await;
        Ok(names())
    })
    .await
    .expect("no child fails");
    assert_eq!(shown, ["parks 1", "parks 2", "parks 3"]);
    let mut ended = ended.into_inner().unwrap();
    ended.sort();
    assert_eq!(ended, ["ends 1", "ends 2", "ends 3", "parks 1", "parks 2", "parks 3"]);
}
