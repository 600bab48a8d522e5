//! Calls that are polled for a while and then by nobody, while they owe something to their caller: a process that starts, or one
//! that was killed, or that is being stopped. A cancel gets past them as soon as that is over.

use std::future::{Future, pending, poll_fn, ready};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use triune::CancelScope;
use triune::actor::Ladder;
use triune::prelude::*;
use triune_testing::LeakGuard;

use crate::support::{Bell, freeze, ring};

const LIMIT: Duration = Duration::from_secs(20);

#[triune::endpoint]
async fn wait(bell: PathBuf) -> Result {
    ring(&bell, &std::process::id().to_string());
    std::future::pending::<()>().cancellable().await?;
    Ok(())
}

/// Polls a future once and leaves it where it is. On another core its process may be gone already.
async fn strand<F: Future + ?Sized>(mut future: Pin<&mut F>) {
    tokio::select! {
        biased;
        _over = &mut future => {}
        () = ready(()) => {}
    }
}

/// Waits where only the drop of a cancelled scope ends it.
async fn ends<F: Future>(cancelled: &CancelScope, code: F) {
    let end = tokio::time::timeout(LIMIT, cancelled.run(code)).await;
    assert!(end.expect("the cancel got past what is stranded").is_cancelled());
}

/// Strands the start of an actor after so many polls, the last of them after the cancel.
async fn start_is_passed(polls: usize) {
    let guard = LeakGuard::new();
    let cancelled = CancelScope::new();
    nursery(async |n| {
        ends(&cancelled, async {
            let mut start = Box::pin(n.actor("late").start());
            let mut left = polls;
            poll_fn(|cx| {
                assert!(start.as_mut().poll(cx).is_pending());
                left -= 1;
                if left == 0 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            cancelled.cancel("now");
            strand(start.as_mut()).await;
            pending::<()>().await;
            drop(start);
        })
        .await;
        Ok(())
    })
    .await
    .unwrap();
    guard.settle().await;
}

#[triune::test]
async fn a_start_whose_process_is_being_started() {
    // The first is the checkpoint at its entry.
    start_is_passed(2).await;
}

#[triune::test]
async fn a_start_that_kills_its_process() {
    start_is_passed(3).await;
    start_is_passed(4).await;
}

/// It is frozen, so that the call waits for the last step of the ladder when it is left alone.
#[triune::test]
async fn an_actor_for_one_call_that_is_being_stopped() {
    let guard = LeakGuard::new();
    let (bell, cancelled) = (Bell::new(), CancelScope::new());
    let grace = Duration::from_millis(1);
    nursery(async |n| {
        ends(&cancelled, async {
            let actor = n.actor("once").ladder(Ladder::new(grace, Duration::from_millis(500)));
            let mut call = Box::pin(actor.run(wait::with(bell.path())));
            let mut begun = Box::pin(bell.next());
            let pid = poll_fn(|cx| {
                assert!(call.as_mut().poll(cx).is_pending());
                begun.as_mut().poll(cx)
            })
            .await;
            freeze(pid.parse().expect("it tells its number"));
            cancelled.cancel("now");
            let cancelled_at = Instant::now();
            while cancelled_at.elapsed() < 10 * grace {
                strand(call.as_mut()).await;
                tokio::task::yield_now().await;
            }
            pending::<()>().await;
            drop(call);
        })
        .await;
        Ok(())
    })
    .await
    .unwrap();
    drop(bell);
    guard.settle().await;
}
