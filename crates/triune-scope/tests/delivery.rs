//! The delivery matrix: a cancel gets through the combinators of others to every soft await beneath, and it ends.
//!
//! Each cell runs three times: cancelled before it is entered, from inside one of its own polls, and from a thread
//! while it waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_concurrency::future::{Join as _, Race as _};
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use triune_scope::{
    CancelScope, Cancelled, FutureExt as _, Outcome, is_cancelled, nursery, shield_unbounded,
};

async fn forever() {
    std::future::pending::<()>().await;
}

#[derive(Clone, Default)]
struct Counts(Arc<(AtomicUsize, AtomicUsize)>);

impl Counts {
    fn began(&self) -> usize {
        self.0.0.load(Ordering::Acquire)
    }

    fn unwound(&self) -> usize {
        self.0.1.load(Ordering::Acquire)
    }

    /// A leaf in two parts: waits where only a drop ends it, and is cleaned up after from outside.
    async fn begin(self) {
        self.0.0.fetch_add(1, Ordering::Release);
        forever().await;
    }

    async fn clean_up(self) {
        tokio::task::yield_now().await;
        self.0.1.fetch_add(1, Ordering::Release);
    }

    /// Waits softly, and cleans up with an await when it is cancelled.
    async fn leaf(self) {
        self.0.0.fetch_add(1, Ordering::Release);
        let end: Result<(), Cancelled> = forever().cancellable().await;
        assert!(end.is_err());
        shield_unbounded(tokio::task::yield_now()).await;
        self.0.1.fetch_add(1, Ordering::Release);
    }
}

/// Cancels what `make` made in three ways; each time `leaves` must have unwound softly.
async fn all_ways<F>(leaves: usize, make: impl Fn(Counts) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let limit = Duration::from_secs(if cfg!(miri) { 600 } else { 20 });
    let check = |how: &str, counts: &Counts| assert_eq!(counts.unwound(), leaves, "cancelled {how}");

    let (scope, counts) = (CancelScope::new(), Counts::default());
    scope.cancel("before");
    let _outcome = tokio::time::timeout(limit, scope.run(make(counts.clone()))).await.expect("it ends");
    check("before it is entered", &counts);

    let (scope, counts) = (CancelScope::new(), Counts::default());
    let canceller = scope.clone();
    let within = scope.run({
        let (made, counts) = (make(counts.clone()), counts.clone());
        async move {
            tokio::join!(made, async {
                while counts.began() < leaves {
                    tokio::task::yield_now().await;
                }
                canceller.cancel("within");
            });
        }
    });
    let _outcome = tokio::time::timeout(limit, within).await.expect("it ends");
    check("from within", &counts);

    for round in 0..if cfg!(miri) { 2 } else { 50u32 } {
        let (scope, counts) = (CancelScope::new(), Counts::default());
        let (canceller, seen) = (scope.clone(), counts.clone());
        #[expect(clippy::disallowed_methods, reason = "it stands for a thread that triune does not know")]
        let thread = std::thread::Builder::new().spawn(move || {
            while seen.began() < leaves {
                std::thread::yield_now();
            }
            for _ in 0..(round * 37) % 500 {
                std::hint::spin_loop();
            }
            canceller.cancel("thread");
        });
        let task = make(counts.clone());
        let ended = nursery(async |n| n.spawn_task(async move { Ok(scope.run(task).await) }).await);
        let ended = tokio::time::timeout(limit, ended).await.expect("it ends");
        let _outcome = ended.expect("nothing fails");
        thread.expect("a thread").join().expect("the thread does not panic");
        check("from a thread", &counts);
    }
}

/// Every row of the matrix on both kinds of runtime.
macro_rules! matrix {
    ($($(#[$attribute:meta])* $row:ident)*) => {
        mod on_one_thread {
            $(#[tokio::test]
            $(#[$attribute])*
            async fn $row() {
                super::$row().await;
            })*
        }

        mod on_two_threads {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $(#[$attribute])*
            async fn $row() {
                super::$row().await;
            })*
        }
    };
}

matrix! {
    through_join
    through_select
    through_futures_unordered
    through_futures_buffered
    #[cfg_attr(miri, ignore = "its join takes a shared reference to futures that refer to themselves")]
    through_futures_concurrency
    through_shared
    through_timeout
    through_scopes_nurseries_and_limits
}

async fn through_join() {
    all_ways(3, |counts| async move {
        tokio::join!(counts.clone().leaf(), forever(), counts.clone().leaf(), async {
            tokio::join!(forever(), counts.clone().leaf());
        });
    })
    .await;
}

async fn through_select() {
    all_ways(2, |counts| async move {
        let (mut one, mut two) = (Box::pin(counts.clone().leaf()), Box::pin(counts.leaf()));
        let (mut first, mut second) = (false, false);
        while !(first && second) {
            tokio::select! {
                () = &mut one, if !first => first = true,
                () = forever() => unreachable!(),
                () = &mut two, if !second => second = true,
            }
        }
    })
    .await;
}

async fn through_futures_unordered() {
    all_ways(40, |counts| async move {
        let inner = |counts: Counts| async move {
            let mut set: FuturesUnordered<_> = (0..10).map(|_| counts.clone().leaf().boxed()).collect();
            set.push(forever().boxed());
            while set.next().await.is_some() {}
        };
        let mut outer: FuturesUnordered<_> = (0..4).map(|_| inner(counts.clone())).collect();
        while outer.next().await.is_some() {}
    })
    .await;
}

async fn through_futures_buffered() {
    all_ways(40, |counts| async move {
        let inner = |counts: Counts| async move {
            let mut set: futures_buffered::FuturesUnordered<_> =
                (0..10).map(|_| counts.clone().leaf().boxed()).collect();
            set.push(forever().boxed());
            while set.next().await.is_some() {}
        };
        let mut outer: futures_buffered::FuturesUnordered<_> =
            (0..4).map(|_| inner(counts.clone()).boxed()).collect();
        while outer.next().await.is_some() {}
    })
    .await;
}

async fn through_futures_concurrency() {
    all_ways(12, |counts| async move {
        let joined: Vec<_> = (0..10).map(|_| counts.clone().leaf()).collect();
        let pair = (counts.clone().leaf(), forever(), counts.clone().leaf()).join();
        (joined.join(), pair, forever()).join().await;
    })
    .await;
    all_ways(1, |counts| async move { (counts.leaf(), forever()).race().await }).await;
}

async fn through_shared() {
    all_ways(1, |counts| async move {
        let shared = counts.leaf().shared();
        tokio::join!(shared.clone(), forever(), shared.clone(), shared);
    })
    .await;
}

async fn through_timeout() {
    all_ways(2, |counts| async move {
        let limit = Duration::from_secs(5000);
        let inner = tokio::time::timeout(limit, counts.clone().leaf());
        let outer = tokio::time::timeout(limit, async { tokio::join!(inner, counts.leaf(), forever()) });
        drop(outer.await);
    })
    .await;
}

async fn through_scopes_nurseries_and_limits() {
    all_ways(6, |counts| async move {
        let leaf = || counts.clone().leaf();
        let limit = Duration::from_secs(5000);
        let inner = nursery(async |n| {
            let mine = counts.clone();
            n.spawn(async move {
                mine.leaf().await;
                Ok(())
            });
            let mine = counts.clone();
            n.spawn_task(async move {
                mine.leaf().await;
                Ok(())
            });
            leaf().await;
            Ok(())
        });
        let scopes = CancelScope::new().run(CancelScope::new().run(leaf()));
        let limits = triune_scope::move_on_after(limit, triune_scope::fail_after(limit, leaf()));
        let cleaned = counts.clone().begin().finally(counts.clone().clean_up());
        let (_inner, _scopes, _limits, _cleaned) = tokio::join!(inner, scopes, limits, cleaned);
    })
    .await;
}

#[tokio::test]
async fn through_a_local_set() {
    let counts = Counts::default();
    let scope = CancelScope::new();
    let canceller = scope.clone();
    let local = tokio::task::LocalSet::new();
    #[expect(clippy::disallowed_methods, reason = "a stranger to every scope")]
    let stranger = local.spawn_local(async move {
        tokio::task::yield_now().await;
        canceller.cancel("from a stranger");
        tokio::task::yield_now().await;
        is_cancelled()
    });
    let leaf = counts.clone().leaf();
    let ended = scope.run(local.run_until(async { (leaf.await, stranger.await.unwrap()) }));
    assert_eq!(ended.await, Outcome::Done(((), false)), "the stranger is not in the scope");
    assert_eq!(counts.unwound(), 1);
}

#[tokio::test]
async fn a_shared_future_does_not_carry_the_cancel_of_one_poller_to_another_if_detached() {
    let (ready, value) = tokio::sync::oneshot::channel();
    let shared = async { value.cancellable().await.map(Result::unwrap) }.detached().shared();
    let scope = CancelScope::new();
    let canceller = scope.clone();
    let ended = scope.run(async {
        tokio::join!(shared.clone(), async {
            tokio::task::yield_now().await;
            canceller.cancel("one of the pollers");
        })
    });
    assert!(ended.await.is_cancelled(), "for this poller it is a foreign await");
    ready.send(3).unwrap();
    assert_eq!(shared.await.unwrap(), 3);
}

#[tokio::test]
async fn a_bound_future_obeys_its_own_scope_and_not_the_one_around_it() {
    let (bound_to, around) = (CancelScope::new(), CancelScope::new());
    let (cancel_bound, cancel_around) = (bound_to.clone(), around.clone());
    let counts = Counts::default();
    let ended = around.run(async {
        let leaf = counts.clone().leaf().bind(&bound_to);
        tokio::join!(leaf, async {
            tokio::task::yield_now().await;
            assert!(async { is_cancelled() }.bind(&cancel_bound).await.is_ok_and(|seen| !seen));
            cancel_bound.cancel("the one it is bound to");
            assert!(!is_cancelled());
        })
    });
    assert_eq!(ended.await, Outcome::Done((Ok(()), ())));
    assert_eq!((counts.unwound(), cancel_around.cancel_called()), (1, false));
    let late = forever().bind(&cancel_bound).await.unwrap_err();
    assert_eq!(late.reason().message(), "the one it is bound to");
}

// Trio C42
#[tokio::test]
#[cfg_attr(miri, ignore = "what writes to a socket does not know its socket pairs")]
async fn a_cancelled_read_of_a_foreign_socket_loses_no_bytes() {
    let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
    let scope = CancelScope::new();
    let canceller = scope.clone();
    let ended = scope.run(async {
        let read = async {
            ours.readable().cancellable().await?.unwrap();
            Ok::<_, Cancelled>(())
        };
        tokio::join!(read, async {
            tokio::task::yield_now().await;
            canceller.cancel("now");
        })
        .0
    });
    assert!(ended.await.done().unwrap().is_err());
    theirs.writable().await.unwrap();
    assert_eq!(theirs.try_write(b"later").unwrap(), 5);
    ours.readable().await.unwrap();
    let mut buffer = [0; 8];
    assert_eq!(ours.try_read(&mut buffer).unwrap(), 5);
    assert_eq!(&buffer[..5], b"later");
}
