//! A child does not outlive its parent, however busy it is.

use std::time::Duration;

use crate::support::{PARENT_GONE, leak_checked, read_pid, start, start_ready};
use triune_process::Exit;
use triune_testing::{ProcessInfo, wait_gone};

/// What DESIGN.md promises.
const LIMIT: Duration = Duration::from_secs(1);

#[test]
fn a_busy_child_of_a_killed_parent_is_gone_within_a_second() {
    leak_checked(async {
        let (parent, mut link) = start("parent", "parent").await;
        let grandchild = read_pid(&mut link);
        assert!(parent.signal(libc::SIGKILL).unwrap());
        parent.wait().await;
        wait_gone(&[grandchild], LIMIT).unwrap();
    });
}

#[test]
fn a_busy_child_of_a_stopped_and_killed_parent_is_gone_within_a_second() {
    leak_checked(async {
        let (parent, mut link) = start("parent", "parent").await;
        let grandchild = read_pid(&mut link);
        assert!(parent.signal(libc::SIGSTOP).unwrap());
        parent.kill();
        parent.wait().await;
        wait_gone(&[grandchild], LIMIT).unwrap();
    });
}

#[test]
fn a_busy_child_ends_when_its_link_is_closed() {
    leak_checked(async {
        let (busy, link) = start_ready("busy", "busy").await;
        let info = ProcessInfo::of(busy.pid()).unwrap();
        assert_eq!(info.now().map(|now| now.pid), Some(busy.pid()));
        drop(link);
        assert_eq!(busy.wait().await, Exit::Code(PARENT_GONE));
    });
}

#[test]
fn a_half_closed_link_is_not_an_end() {
    leak_checked(async {
        let (busy, link) = start_ready("busy", "busy").await;
        link.shutdown(std::net::Shutdown::Write).unwrap();
        // An echo beside it shows that the system had time to tell.
        let (echo, echo_link) = start_ready("echo", "echo").await;
        drop(echo_link);
        assert!(echo.wait().await.is_success());
        assert_eq!(busy.try_exit(), None);
        drop(link);
        assert_eq!(busy.wait().await, Exit::Code(PARENT_GONE));
    });
}
