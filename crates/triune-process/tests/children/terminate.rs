//! The ladder: each child goes by the first step that it heeds.

use std::time::Duration;

use triune_process::{Exit, Ladder};
use triune_testing::{ProcessInfo, wait_until};

use crate::support::{SOON, leak_checked, start_ready};

/// Longer than any test runs: a step that waits for it would hang.
const NEVER: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(20);

#[test]
fn a_cooperative_child_ends_within_the_first_grace() {
    leak_checked(async {
        let (echo, link) = start_ready("echo", "echo").await;
        drop(link);
        assert_eq!(echo.terminate(&Ladder::new(NEVER, NEVER), "test").await, Exit::Code(0));
    });
}

#[test]
fn a_deaf_child_ends_on_sigterm() {
    leak_checked(async {
        let (echo, _link) = start_ready("echo", "echo").await;
        let exit = echo.terminate(&Ladder::new(SHORT, NEVER), "test").await;
        assert_eq!(exit.signal(), Some(libc::SIGTERM));
    });
}

// Trio P08
#[test]
fn a_stubborn_child_ends_on_sigkill() {
    leak_checked(async {
        let (stubborn, _link) = start_ready("stubborn", "stubborn").await;
        let exit = stubborn.terminate(&Ladder::new(SHORT, SHORT), "test").await;
        assert_eq!(exit.signal(), Some(libc::SIGKILL));
    });
}

#[test]
fn a_stopped_child_ends_on_sigkill() {
    leak_checked(async {
        let (echo, _link) = start_ready("echo", "echo").await;
        assert!(echo.signal(libc::SIGSTOP).unwrap());
        // Not before it has stopped: of two pending signals the lower number is taken first.
        let pid = echo.pid();
        assert!(wait_until(SOON, || ProcessInfo::of(pid).is_some_and(|info| info.state == 'T')));
        let exit = echo.terminate(&Ladder::new(Duration::ZERO, SHORT), "test").await;
        assert_eq!(exit.signal(), Some(libc::SIGKILL));
    });
}

#[test]
fn a_ladder_without_graces_kills_at_once() {
    leak_checked(async {
        let (stubborn, _link) = start_ready("stubborn", "stubborn").await;
        let exit = stubborn.terminate(&Ladder::new(Duration::ZERO, Duration::ZERO), "test").await;
        assert_eq!(exit.signal(), Some(libc::SIGKILL));
    });
}

#[test]
fn terminating_a_child_that_has_ended_says_how_it_did() {
    leak_checked(async {
        let (echo, link) = start_ready("echo", "echo").await;
        drop(link);
        echo.wait().await;
        assert_eq!(echo.terminate(&Ladder::default(), "test").await, Exit::Code(0));
    });
}

#[test]
fn several_may_terminate_one_child() {
    leak_checked(async {
        let (stubborn, _link) = start_ready("stubborn", "stubborn").await;
        let (short, long) = (Ladder::new(SHORT, SHORT), Ladder::new(NEVER, NEVER));
        let (one, two) =
            tokio::join!(stubborn.terminate(&short, "first"), stubborn.terminate(&long, "second"));
        assert_eq!(one, two);
        assert_eq!(one.signal(), Some(libc::SIGKILL));
    });
}
