//! What the builder of a nursery, its variant without `Send` and its variant over other errors promise.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use triune_scope::{
    CancelScope, Cause, ChildError, ChildInfo, ChildKind, Error, FutureExt as _, Outcome, PanicError,
    PanicPolicy, Result, checkpoint, local_nursery, nursery, nursery_with, shield_unbounded, sleep,
};

async fn block() -> Result {
    std::future::pending::<()>().cancellable().await?;
    Ok(())
}

fn texts(error: &Error) -> Vec<String> {
    error.group().expect("a nursery fails with a group").iter().map(|m| m.error().to_string()).collect()
}

/// Nobody else wakes it: the handles are gone, and the service runs on.
#[tokio::test]
async fn the_end_of_the_last_parallel_child_ends_parallel_services() {
    let (begun, over) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let (begins, ends) = (Arc::clone(&begun), Arc::clone(&over));
    let open = nursery(async |n| {
        drop(n.daemon_task("service", async { Ok(std::future::pending::<()>().cancellable().await?) }));
        drop(n.spawn_task(async move {
            begins.notify_one();
            ends.notified().await;
            Ok(())
        }));
        Ok(())
    });
    let main = nursery(async |n| {
        let open = n.spawn_task(open);
        begun.notified().await;
        // It has nothing to do but wait for its children.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        over.notify_one();
        open.await
    });
    tokio::time::timeout(Duration::from_secs(20), main).await.expect("the service is ended").unwrap();
}

#[tokio::test]
async fn a_supervised_child_fails_alone_and_is_reported() {
    let survived = AtomicUsize::new(0);
    let error = nursery(async |n| {
        for name in ["one", "two"] {
            n.spawn(async move { Err::<(), _>(Error::msg(name)) });
        }
        n.daemon(async { Err(Error::msg("service")) });
        n.spawn(async {
            for _ in 0..5 {
                checkpoint().await?;
            }
            survived.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        checkpoint().await?;
        survived.fetch_add(1, Ordering::Relaxed);
        Ok(())
    })
    .supervise()
    .named("shop")
    .await
    .unwrap_err();
    assert_eq!(survived.into_inner(), 2);
    assert_eq!(texts(&error), ["one", "two", "service"]);
    let group = error.group().unwrap();
    assert_eq!(group.name(), Some("shop"));
    assert!(group.iter().all(|member| !member.is_secondary()), "nobody was cancelled");
}

#[tokio::test]
async fn an_error_of_a_supervised_body_cancels_the_children() {
    let error = nursery(async |n| {
        n.spawn(block());
        let failed = n.spawn_named("fetch", async { Err::<(), _>(Error::msg("no")) });
        failed.await
    })
    .supervise()
    .await
    .unwrap_err();
    assert_eq!(texts(&error), ["no"], "what the body heard of the child is the same failure");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_can_be_an_error_of_the_group() {
    let cleaned = AtomicBool::new(false);
    let error = nursery(async |n| {
        n.spawn_named("bad", async {
            checkpoint().await?;
            panic!("index out of bounds");
            #[expect(unreachable_code, reason = "it gives the block its type")]
            Ok(())
        });
        n.spawn(async {
            let cut = block().await;
            cleaned.store(true, Ordering::Relaxed);
            cut
        });
        block().await
    })
    .on_panic(PanicPolicy::AsError)
    .await
    .unwrap_err();
    assert!(cleaned.into_inner());
    assert!(error.is_panic());
    let group = error.group().unwrap();
    assert_eq!(group.len(), 1);
    assert_eq!(group.primary().task().name(), "bad");
    assert_eq!(group.downcast_all::<PanicError>()[0].message(), "index out of bounds");
}

#[tokio::test]
async fn a_supervised_panic_that_is_an_error_leaves_the_siblings_alone() {
    let error = nursery(async |n| {
        n.spawn_task(async {
            if true {
                panic!("bad request");
            }
            Ok(())
        });
        for _ in 0..10 {
            checkpoint().await?;
        }
        Ok(())
    })
    .supervise()
    .on_panic(PanicPolicy::AsError)
    .await
    .unwrap_err();
    assert!(error.is_panic());
}

#[tokio::test]
#[should_panic(expected = "bad request")]
async fn a_supervised_panic_goes_on_by_default() {
    let _unreached = nursery(async |n| {
        n.spawn(block());
        n.spawn(async {
            if true {
                panic!("bad request");
            }
            Ok(())
        });
        block().await
    })
    .supervise()
    .await;
}

// Trio N12, N13 with the body cut off
#[tokio::test]
async fn a_cancel_of_the_nursery_itself_can_be_no_error() {
    let cut = nursery(async |n| {
        n.cancel("enough");
        block().await?;
        Ok(1)
    });
    assert_eq!(cut.or_cancelled().await.unwrap(), None);

    let done = nursery(async |n| {
        n.spawn(block());
        n.cancel("enough");
        Ok(2)
    });
    assert_eq!(done.or_cancelled().await.unwrap(), Some(2));

    let failed = nursery(async |n| {
        n.cancel("enough");
        Err::<(), _>(Error::msg("no"))
    });
    assert_eq!(texts(&failed.or_cancelled().await.unwrap_err()), ["no"]);
}

#[tokio::test]
async fn a_cancel_from_around_is_not_absorbed() {
    let scope = CancelScope::new();
    let (outer, seen) = (scope.clone(), AtomicBool::new(false));
    let outcome = scope
        .run(async {
            let end = nursery(async |n| {
                outer.cancel("outer");
                n.cancel("inner");
                block().await
            })
            .or_cancelled()
            .await;
            seen.store(end.unwrap_err().is_cancelled(), Ordering::Relaxed);
        })
        .await;
    assert_eq!(outcome, Outcome::Done(()));
    assert!(seen.into_inner());
}

// Trio N30
#[tokio::test(start_paused = true)]
async fn a_nursery_ends_at_its_deadline() {
    let start = Instant::now();
    let cut = async || {
        let open = nursery(async |n| {
            n.spawn(block());
            block().await
        });
        open.timeout(Duration::from_secs(3)).await
    };
    let error = cut().await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 3);
    assert_eq!(error.as_cancelled().unwrap().reason().cause(), &Cause::Deadline);
    let done = nursery(async |n| {
        n.spawn(block());
        Ok(5)
    });
    assert_eq!(done.deadline(Instant::now() + Duration::from_secs(3)).or_cancelled().await.unwrap(), Some(5));
    assert_eq!(start.elapsed().as_secs(), 6);
}

// Trio D24
#[tokio::test(start_paused = true)]
async fn a_child_may_move_the_deadline_of_its_nursery() {
    let start = Instant::now();
    let open = nursery(async |n| {
        n.spawn_with(async move |n| {
            sleep(Duration::from_secs(1)).await?;
            n.scope().set_timeout(Duration::from_secs(5));
            block().await
        });
        block().await
    });
    assert!(open.timeout(Duration::from_secs(2)).or_cancelled().await.unwrap().is_none());
    assert_eq!(start.elapsed().as_secs(), 6);
}

// Trio D16 in the form of a nursery
#[tokio::test(start_paused = true)]
async fn a_shielded_nursery_works_on_until_its_grace_is_over() {
    let start = Instant::now();
    let scope = CancelScope::new();
    let (outer, log) = (scope.clone(), std::sync::Mutex::new(Vec::new()));
    let outcome = scope
        .run(async {
            nursery(async |n| {
                n.spawn(async {
                    sleep(Duration::from_secs(5)).await?;
                    log.lock().unwrap().push(("in time", start.elapsed().as_secs()));
                    let cut = block().await.unwrap_err();
                    log.lock().unwrap().push(("cut", start.elapsed().as_secs()));
                    assert_eq!(cut.as_cancelled().unwrap().reason().message(), "stop");
                    shield_unbounded(tokio::time::sleep(Duration::from_secs(1))).await;
                    Err::<(), _>(cut)
                });
                sleep(Duration::from_secs(2)).await?;
                outer.cancel("stop");
                std::future::pending::<()>().await;
                Ok(())
            })
            .shielded(Duration::from_secs(10))
            .await
        })
        .await;
    assert!(outcome.done().expect("held until its end").unwrap_err().is_cancelled());
    assert_eq!(log.into_inner().unwrap(), [("in time", 5), ("cut", 12)]);
    assert_eq!(start.elapsed().as_secs(), 13);
}

#[tokio::test(start_paused = true)]
async fn a_shielded_nursery_in_a_cancelled_scope_may_clean_up() {
    let scope = CancelScope::new();
    scope.cancel("stop");
    let outcome = scope
        .run(async {
            nursery(async |n| Ok(n.spawn(async { Ok(sleep(Duration::from_secs(5)).await?) }).await?))
                .shielded(Duration::from_secs(10))
                .await
        })
        .await;
    outcome.done().unwrap().unwrap();
}

#[tokio::test]
async fn the_children_of_a_local_nursery_need_not_be_send() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let sum = local_nursery(async |n| {
        let mut children = Vec::new();
        for i in 0..3 {
            let log = Rc::clone(&log);
            children.push(n.spawn_named("local", async move {
                checkpoint().await?;
                log.borrow_mut().push(i);
                Ok(Rc::new(i))
            }));
        }
        let log = Rc::clone(&log);
        n.daemon(async move {
            let end = block().await;
            log.borrow_mut().push(9);
            end
        });
        let nested = n.spawn_with(async |n| n.spawn_task(async { Ok(10) }).await);
        let mut sum = nested.await?;
        for child in children {
            sum += *child.await?;
        }
        Ok(sum)
    })
    .await
    .unwrap();
    assert_eq!((sum, &**log.borrow()), (13, &[0, 1, 2, 9][..]));
}

#[tokio::test]
async fn a_local_nursery_supervises_as_the_other() {
    let error = local_nursery(async |n| {
        n.spawn(block());
        n.spawn(async { Err::<(), _>(Error::msg("no")) });
        block().await
    })
    .named("local")
    .await
    .unwrap_err();
    assert_eq!(texts(&error), ["no"]);
    let none = local_nursery(async |n| {
        n.cancel("enough");
        block().await
    });
    assert!(none.or_cancelled().await.unwrap().is_none());
}

#[derive(Debug)]
enum AppError {
    Busy,
    Stopped(triune_scope::Cancelled),
    Io(std::io::Error),
    Triune(Error),
}

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Busy => "busy",
            Self::Stopped(_) => "stopped",
            Self::Io(_) => "i/o failed",
            Self::Triune(_) => "tasks failed",
        })
    }
}

impl std::error::Error for AppError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Busy => None,
            Self::Stopped(cancelled) => Some(cancelled),
            Self::Io(error) => Some(error),
            Self::Triune(error) => Some(error.as_std()),
        }
    }
}

impl From<triune_scope::Cancelled> for AppError {
    fn from(cancelled: triune_scope::Cancelled) -> Self {
        Self::Stopped(cancelled)
    }
}

impl From<std::io::Error> for AppError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Error> for AppError {
    fn from(error: Error) -> Self {
        Self::Triune(error)
    }
}

#[tokio::test]
async fn a_nursery_speaks_the_error_type_of_the_user() {
    let failed = nursery_with::<AppError, _, _, _>(async |n| {
        // Cancelled by the failure: no member.
        n.spawn(async { Ok(std::future::pending::<()>().cancellable().await?) });
        n.spawn(async { Ok(write().await?) });
        n.spawn_task(async { Err::<(), _>(AppError::Busy) }).await
    })
    .await;
    let Err(AppError::Triune(error)) = failed else { panic!("{failed:?}") };
    let mut leaves: Vec<String> =
        error.group().unwrap().downcast_all::<AppError>().iter().map(ToString::to_string).collect();
    leaves.sort();
    assert_eq!(leaves, ["busy", "i/o failed"]);

    let cut = nursery_with::<AppError, _, _, _>(async |n| {
        n.cancel("enough");
        std::future::pending::<()>().cancellable().await?;
        Ok(())
    });
    assert!(cut.or_cancelled().await.unwrap().is_none(), "the enum shows the cancel in its source");
}

#[tokio::test]
async fn a_thread_job_fails_with_the_error_type_of_the_user() {
    let failed = nursery_with::<AppError, _, _, _>(async |n| {
        let value = n.spawn_blocking(|_| Ok(5));
        assert_eq!(value.await?, 5);
        n.spawn_blocking(|_| Err::<(), _>(AppError::Busy));
        // Cancelled by the failure: no member.
        n.spawn_blocking(|b| {
            while b.check_cancelled().is_ok() {
                std::thread::yield_now();
            }
            Ok(b.check_cancelled()?)
        })
        .await
    });
    let Err(AppError::Triune(error)) = failed.await else { panic!("it fails") };
    let group = error.group().unwrap();
    assert_eq!(group.len(), 1, "{error:?}");
    assert!(matches!(group.downcast_all::<AppError>()[..], [AppError::Busy]));
}

#[tokio::test]
async fn a_local_nursery_has_services_and_threads_of_its_own() {
    let served = Arc::new(AtomicBool::new(false));
    let serving = Arc::clone(&served);
    let sum = local_nursery(async |n| {
        let service = n.daemon_task("service", async move {
            let end = block().await;
            serving.store(true, Ordering::Relaxed);
            end
        });
        assert_eq!(service.name(), "service");
        let kinds: Vec<ChildKind> = n.children().iter().map(ChildInfo::kind).collect();
        assert_eq!(kinds, [ChildKind::ParallelDaemon]);
        let (a, b) = (n.spawn_blocking(|_| Ok(2)), n.spawn(async { Ok(Rc::new(3)) }));
        Ok(a.await? + *b.await?)
    })
    .await
    .unwrap();
    assert_eq!(sum, 5);
    assert!(served.load(Ordering::Relaxed), "it was told, and waited for");
}

async fn write() -> std::io::Result<()> {
    Err(std::io::Error::other("disk"))
}

#[tokio::test]
async fn a_boxed_error_is_an_error_type_too() {
    type Boxed = Box<dyn std::error::Error + Send + Sync>;
    let failed = nursery_with::<Boxed, _, _, _>(async |n| {
        let child = n.spawn(async { Ok("x".parse::<u32>()?) });
        child.await
    })
    .await
    .unwrap_err();
    let failed = Error::from_boxed(failed);
    assert!(failed.is::<std::num::ParseIntError>());
    assert_eq!(failed.group().unwrap().len(), 1, "the body only heard of it");
    assert!(failed.downcast_ref::<ChildError>().is_none());
}
