//! Panics of requests, caught.

use std::future::{pending, ready};

use super::*;

#[tokio::test]
async fn a_panic_is_caught_with_its_message_and_place() {
    // The hook is the process's; the other tests here do not panic.
    install_hook();
    let caught = catch(async { panic!("number {}", 7) }).await.map(|(): ()| ()).unwrap_err();
    assert_eq!(caught.message, "number 7");
    assert!(caught.place.location.unwrap().contains("tests.rs:"));

    // One that the code caught itself does not lend its place to a later one.
    let caught = catch(async {
        assert!(catch_unwind(|| panic!("handled")).is_err());
        std::panic::resume_unwind(Box::new("elsewhere"));
    });
    let caught = caught.await.map(|(): ()| ()).unwrap_err();
    assert_eq!((caught.message.as_str(), caught.place), ("elsewhere", Place::default()));
}

#[tokio::test]
async fn values_and_waits_pass_through() {
    assert_eq!(catch(ready(3)).await.unwrap(), 3);
    let mut parked = Box::pin(catch(pending::<()>()));
    assert!(std::future::poll_fn(|cx| Poll::Ready(parked.as_mut().poll(cx))).await.is_pending());
    assert!(!IN_REQUEST.get());
}
