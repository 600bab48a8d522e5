//! A panic cancels the siblings, lets them clean up, and goes on in the parent.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use triune_scope::{Cause, FutureExt as _, Result, nursery, shield_unbounded};

async fn caught<F: Future<Output = Result>>(nursery: F) -> String {
    let payload =
        AssertUnwindSafe(nursery).catch_unwind().await.expect_err("the panic goes on in the parent");
    match payload.downcast::<&'static str>() {
        Ok(text) => (*text).to_owned(),
        Err(payload) => *payload.downcast::<String>().expect("a panic's payload is text"),
    }
}

// Trio N34
#[tokio::test]
async fn a_panic_is_resumed_after_the_siblings_have_cleaned_up() {
    let cleaned = AtomicBool::new(false);
    let message = caught(nursery(async |n| {
        n.spawn(async {
            let cut = std::future::pending::<()>().cancellable().await.unwrap_err();
            assert_eq!(cut.reason().cause(), &Cause::Panic);
            shield_unbounded(tokio::task::yield_now()).await;
            cleaned.store(true, Ordering::Relaxed);
            Err::<(), _>(cut.into())
        });
        n.spawn::<(), _>(async { panic!("out of ideas") });
        Ok(())
    }))
    .await;
    assert_eq!(message, "out of ideas");
    assert!(cleaned.into_inner());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_parallel_child_or_in_the_body_is_resumed_too() {
    let parallel = caught(nursery(async |n| {
        n.spawn_task(async {
            if true {
                panic!("in a task");
            }
            Ok(())
        });
        Ok(())
    }));
    assert_eq!(parallel.await, "in a task");
    let ended = AtomicBool::new(false);
    let body = caught(nursery(async |n| {
        n.spawn(async {
            let end = std::future::pending::<()>().cancellable().await;
            ended.store(true, Ordering::Relaxed);
            Ok(end?)
        });
        tokio::task::yield_now().await;
        panic!("in the body");
    }));
    assert_eq!(body.await, "in the body");
    assert!(ended.into_inner());
}

#[tokio::test]
async fn a_panicking_destructor_of_a_child_is_a_panic_of_the_child() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    let message = caught(nursery(async |n| {
        n.spawn(async {
            let _bomb = Bomb;
            std::future::pending::<()>().await;
            Ok(())
        });
        n.cancel("now");
        Ok(())
    }))
    .await;
    assert_eq!(message, "in a destructor");
}

#[tokio::test]
async fn a_destructor_may_start_a_sibling() {
    let ran = AtomicBool::new(false);
    nursery(async |n| {
        let ran = &ran;
        n.spawn_with(async move |n| {
            struct Heir<F: FnMut()>(F);
            impl<F: FnMut()> Drop for Heir<F> {
                fn drop(&mut self) {
                    (self.0)();
                }
            }
            let _heir = Heir(move || {
                n.spawn(async move {
                    ran.store(true, Ordering::Relaxed);
                    Ok(())
                });
            });
            std::future::pending::<()>().await;
            Ok(())
        });
        n.cancel("now");
        Ok(())
    })
    .await
    .unwrap();
    assert!(ran.into_inner());
}

#[test]
fn a_parallel_child_without_a_runtime_is_refused_with_the_remedy() {
    let waker = futures_util::task::noop_waker();
    let mut nursery = Box::pin(nursery(async |n| {
        n.spawn_task(async { Ok(()) });
        Ok(())
    }));
    let polled =
        catch_unwind(AssertUnwindSafe(|| nursery.as_mut().poll(&mut std::task::Context::from_waker(&waker))));
    let message = *polled.unwrap_err().downcast::<&'static str>().unwrap();
    assert!(message.contains("inside"), "{message}");
}
