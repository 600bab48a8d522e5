//! Actors of a program that does not send its children into their role: found out, named, and no fork bomb.
//!
//! There is no `#[triune::test]` in this file on purpose: it would bring the entry with it. A child is this test program once more, which
//! runs the tests again, and each of them sees that it is in a child.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::time::Duration;

use triune::actor::StartError;
use triune::prelude::*;
use triune_testing::LeakGuard;

/// What a child that missed its entry does: play dead, or begin again what its parent did.
const PLAY_DEAD: &str = "TRIUNE_TEST_PLAY_DEAD";

fn run(test: impl Future<Output = Result>) {
    let is_child = std::env::var_os("TRIUNE_CHILD").is_some();
    if is_child && std::env::var_os(PLAY_DEAD).is_some() {
        loop {
            std::thread::park();
        }
    }
    if !is_child {
        triune::init();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test).unwrap();
}

#[test]
fn a_child_that_misses_its_entry_is_an_error_with_the_remedy_and_no_fork_bomb() {
    run(async {
        let guard = LeakGuard::new();
        nursery(async |n| {
            let error = n.actor("lost").start().await.unwrap_err();
            assert!(error.is_entry_not_reached(), "{error:?}");
            let text = format!("{:#}", Error::from(error));
            assert!(text.contains("call triune::init() first thing in main"), "{text}");
            guard.check().expect("it is reaped");
            Ok(())
        })
        .await?;
        guard.settle().await;
        Ok(())
    });
}

#[test]
fn a_child_that_says_nothing_is_an_error_at_the_boot_deadline_and_gone() {
    run(async {
        let guard = LeakGuard::new();
        nursery(async |n| {
            let actor = n.actor("mute").env(PLAY_DEAD, "1").boot_deadline(Duration::from_millis(50));
            let error = actor.start().await.unwrap_err();
            let StartError::Process(error) = &error else { panic!("{error:?}") };
            assert!(matches!(error.kind(), triune::actor::StartErrorKind::Deadline(_)), "{error:?}");
            guard.check().expect("it is reaped");
            Ok(())
        })
        .await?;
        guard.settle().await;
        Ok(())
    });
}
