//! A hold suspends the ladder, and lets it go on with what was left.

use std::time::Duration;

use triune_process::{Ladder, hold, is_held};
use triune_testing::LeakGuard;

use crate::support::{leak_checked, start_ready};

const SHORT: Duration = Duration::from_millis(10);

#[test]
fn nobody_is_ended_while_a_hold_is_in_force() {
    leak_checked(async {
        let (stubborn, _link) = start_ready("stubborn", "stubborn").await;
        let (first, second) = (hold("a test looks at it"), hold("and another one"));
        assert!(is_held());
        let ladder = Ladder::new(SHORT, Duration::ZERO);
        let ending = stubborn.terminate(&ladder, "test");
        let release = async {
            // Many times the graces, in the only clock that they know.
            assert!(tokio::time::timeout(SHORT * 20, stubborn.wait()).await.is_err(), "it is held");
            drop(first);
            assert!(
                tokio::time::timeout(SHORT * 5, stubborn.wait()).await.is_err(),
                "it is held by another one"
            );
            drop(second);
            assert!(!is_held());
        };
        let (exit, ()) = tokio::join!(ending, release);
        assert_eq!(exit.signal(), Some(libc::SIGKILL));
    });
}

#[test]
fn a_child_that_ends_by_itself_needs_no_release() {
    leak_checked(async {
        let (echo, link) = start_ready("echo", "echo").await;
        let hold = hold("a test looks at it");
        drop(link);
        assert!(echo.terminate(&Ladder::new(SHORT, SHORT), "test").await.is_success());
        drop(hold);
    });
}

#[test]
fn time_that_was_held_does_not_count() {
    let guard = LeakGuard::new();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        // The clock is the runtime's, which moves only when nothing else is to be done: so the wait is all of the grace.
        let begun = tokio::time::Instant::now();
        let held = hold("a test looks at it");
        let (_, ()) = tokio::join!(
            async {
                tokio::time::advance(Duration::from_secs(60)).await;
                drop(held);
            },
            triune_process::__private::grace(Duration::from_secs(5)),
        );
        assert_eq!(begun.elapsed(), Duration::from_secs(65));
    });
    drop(runtime);
    guard.finish();
}
