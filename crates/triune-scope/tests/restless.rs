//! Children that wake themselves, deep in nested nurseries: each is polled once per turn, others get theirs, and no wake
//! is lost on its way through the nurseries.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use triune_scope::{CancelScope, Result, nursery, sync};

const LIMIT: Duration = Duration::from_secs(20);

type Boxed = Pin<Box<dyn Future<Output = Result> + Send>>;

/// A nursery with one child, which is a nursery with one child, and so on around `inner`.
fn nest(depth: usize, inner: Boxed) -> Boxed {
    match depth {
        0 => inner,
        _ => Box::pin(nursery(async move |n| {
            n.spawn(nest(depth - 1, inner));
            Ok(())
        })),
    }
}

async fn ends<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("it ends")
}

/// Wakes itself at each of so many polls.
fn restless(mut times: usize, polls: &Arc<AtomicUsize>) -> Boxed {
    let polls = Arc::clone(polls);
    Box::pin(std::future::poll_fn(move |cx| {
        polls.fetch_add(1, Ordering::Relaxed);
        if times == 0 {
            return Poll::Ready(Ok(()));
        }
        times -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }))
}

/// Deeper than what tokio's budget allows in one poll of a task.
async fn deep_and_restless() {
    let polls = Arc::new(AtomicUsize::new(0));
    ends(nest(200, restless(1000, &polls))).await.expect("nothing fails");
    assert_eq!(polls.load(Ordering::Relaxed), 1001);
}

#[tokio::test]
async fn a_restless_child_two_hundred_nurseries_deep_gets_on_on_one_thread() {
    deep_and_restless().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restless_child_two_hundred_nurseries_deep_gets_on_on_two_threads() {
    deep_and_restless().await;
}

/// On one thread, so that it is the turns that are compared: of a sibling at the top, of one beside the restless child, and of
/// a task of its own.
#[tokio::test]
async fn a_restless_child_eight_nurseries_deep_starves_nobody() {
    const TURNS: usize = 1000;
    let (polls, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let forever = |polls: &Arc<AtomicUsize>| -> Boxed {
        let (polls, stop) = (Arc::clone(polls), Arc::clone(&stop));
        Box::pin(async move {
            while !stop.load(Ordering::Relaxed) {
                polls.fetch_add(1, Ordering::Relaxed);
                restless(1, &Arc::default()).await?;
            }
            Ok(())
        })
    };
    let beside = Arc::new(AtomicUsize::new(0));
    let pair: Boxed = {
        let (one, other) = (forever(&polls), forever(&beside));
        Box::pin(nursery(async move |n| {
            n.spawn(one);
            n.spawn(other);
            Ok(())
        }))
    };
    let (top, apart) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let open = nursery(async |n| {
        n.spawn(nest(8, pair));
        n.spawn_task(forever(&apart));
        while polls.load(Ordering::Relaxed) < TURNS {
            top.fetch_add(1, Ordering::Relaxed);
            restless(1, &Arc::default()).await?;
        }
        stop.store(true, Ordering::Relaxed);
        Ok(())
    });
    ends(open).await.unwrap();
    for (who, polls) in [("beside", &*beside), ("at the top", &top), ("apart", &*apart)] {
        let polls = polls.load(Ordering::Relaxed);
        assert!(polls >= TURNS / 2, "{who} had {polls} turns of {TURNS}");
    }
}

/// Each wake comes from a thread of its own time, while the nurseries above are being polled, about to be, or at rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_from_a_thread_is_lost_on_its_way_up() {
    const ROUNDS: usize = if cfg!(miri) { 20 } else { 500 };
    let (ask, asked) = std::sync::mpsc::channel::<(sync::Event, usize)>();
    #[expect(clippy::disallowed_methods, reason = "it stands for a thread that triune does not know")]
    let thread = std::thread::spawn(move || {
        for (event, delay) in asked {
            for _ in 0..delay {
                std::hint::spin_loop();
            }
            event.set();
        }
    });
    let ping = |rounds: usize| -> Boxed {
        let ask = ask.clone();
        Box::pin(async move {
            for round in 0..rounds {
                let event = sync::Event::new();
                ask.send((event.clone(), round * 13 % 400)).expect("the thread listens");
                // One limit for each: all of them may take long on a busy machine.
                ends(event.wait()).await?;
            }
            Ok(())
        })
    };
    let noise = CancelScope::new();
    let (polls, quiet) = (Arc::new(AtomicUsize::new(0)), noise.clone());
    let open = nursery(async |n| {
        let pings: Vec<_> = [1, 7, 30].map(|depth| n.spawn(nest(depth, ping(ROUNDS)))).into();
        // Polls the nursery at the top all the time.
        n.spawn(async {
            let _cut = noise.run(restless(usize::MAX, &polls)).await;
            Ok(())
        });
        for ping in pings {
            ping.await?;
        }
        quiet.cancel("done");
        Ok(())
    });
    open.await.unwrap();
    drop(ask);
    thread.join().expect("it does not panic");
}
