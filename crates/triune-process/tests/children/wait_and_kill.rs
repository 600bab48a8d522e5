//! A child's end: seen by all who wait, decoded, and never left in the process table.

#![expect(clippy::disallowed_methods, reason = "stands for what a user's code may do")]

use std::io::{Read, Write as _};

use crate::support::{SOON, block_on, leak_checked, read_pid, start, start_ready};
use tokio::task::JoinSet;
use triune_process::{Containment, Exit, exit_code, kill_all, set_containment};
use triune_testing::{LeakGuard, ProcessInfo, eventually, wait_gone, wait_until};

fn killed_by(signal: i32) -> Exit {
    Exit::Signal { signal, core_dumped: false }
}

// Trio P01
#[test]
fn exit_codes_and_signals_are_decoded() {
    leak_checked(async {
        assert_eq!(start("exit", "0").await.0.wait().await, Exit::Code(0));
        assert_eq!(start("exit", "3").await.0.wait().await, Exit::Code(3));
        assert_eq!(start("panic", "panic").await.0.wait().await, Exit::Code(exit_code::PANIC.into()));
        assert_eq!(start("abort", "abort").await.0.wait().await.signal(), Some(libc::SIGABRT));
        let (echo, _link) = start_ready("echo", "echo").await;
        assert!(echo.signal(libc::SIGUSR1).unwrap());
        assert_eq!(echo.wait().await, killed_by(libc::SIGUSR1));
    });
}

#[test]
fn a_role_that_does_not_exist_ends_the_boot() {
    leak_checked(async {
        let (process, _link) = start("nobody-plays-this", "x").await;
        assert_eq!(process.wait().await, Exit::Code(exit_code::BOOT_FAILED.into()));
    });
}

// Trio P02
#[test]
fn every_waiter_gets_the_same_exit_also_afterwards() {
    leak_checked(async {
        let (echo, link) = start_ready("echo", "echo").await;
        let mut given_up = JoinSet::new();
        for _ in 0..3 {
            let echo = echo.clone();
            given_up.spawn(async move { echo.wait().await });
        }
        tokio::task::yield_now().await;
        given_up.shutdown().await;
        let mut waiters = JoinSet::new();
        for _ in 0..20 {
            let echo = echo.clone();
            waiters.spawn(async move { echo.wait().await });
        }
        tokio::task::yield_now().await;
        assert_eq!(echo.try_exit(), None);
        drop(link);
        assert_eq!(waiters.join_all().await, [Exit::Code(0); 20]);
        assert_eq!(echo.wait().await, Exit::Code(0));
        assert_eq!(echo.try_exit(), Some(Exit::Code(0)));
    });
}

#[test]
fn waiting_for_a_child_that_has_long_ended_returns_at_once() {
    leak_checked(async {
        let (process, mut link) = start("exit", "7").await;
        assert_eq!(link.read(&mut [0]).unwrap(), 0);
        let pid = process.pid();
        assert!(wait_until(SOON, || ProcessInfo::of(pid).is_none_or(|info| info.state == 'Z')));
        assert_eq!(process.wait().await, Exit::Code(7));
    });
}

#[test]
fn killing_twice_and_after_the_end_does_nothing_more() {
    leak_checked(async {
        let (echo, _link) = start_ready("echo", "echo").await;
        echo.kill();
        echo.kill();
        assert_eq!(echo.wait().await, killed_by(libc::SIGKILL));
        echo.kill();
        assert!(!echo.signal(libc::SIGTERM).unwrap());
        assert_eq!(echo.wait().await, killed_by(libc::SIGKILL));
    });
}

#[test]
fn an_unknown_signal_is_refused() {
    leak_checked(async {
        let (echo, _link) = start_ready("echo", "echo").await;
        assert_eq!(echo.signal(4711).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
        assert_eq!(echo.try_exit(), None);
    });
}

#[test]
fn a_stopped_child_is_killed_too() {
    leak_checked(async {
        let (echo, _link) = start_ready("echo", "echo").await;
        assert!(echo.signal(libc::SIGSTOP).unwrap());
        let pid = echo.pid();
        assert!(wait_until(SOON, || ProcessInfo::of(pid).is_some_and(|info| info.state == 'T')));
        assert_eq!(echo.try_exit(), None);
        echo.kill();
        assert_eq!(echo.wait().await, killed_by(libc::SIGKILL));
    });
}

#[test]
fn a_child_takes_what_it_left_in_its_group_with_it() {
    leak_checked(async {
        let (process, mut link) = start("background", "background").await;
        let left = read_pid(&mut link);
        link.write_all(b"s").unwrap();
        assert_eq!(process.wait().await, Exit::Code(0));
        wait_gone(&[left], SOON).unwrap();
    });
}

#[test]
fn dropping_the_last_handle_kills_and_reaps() {
    leak_checked(async {
        let (busy, _link) = start_ready("busy", "busy").await;
        let clone = busy.clone();
        let info = ProcessInfo::of(busy.pid()).unwrap();
        drop(busy);
        assert_eq!(clone.try_exit(), None);
        drop(clone);
        // The reaping is a system task, which needs turns.
        assert!(eventually(SOON, || info.now().is_none()).await);
    });
}

#[test]
fn a_run_that_closes_has_reaped_what_was_dropped() {
    let guard = LeakGuard::new();
    block_on(async {
        let (busy, _link) = start_ready("busy", "busy").await;
        let info = ProcessInfo::of(busy.pid()).unwrap();
        drop(busy);
        triune_scope::Run::current().close().await;
        assert_eq!(info.now(), None);
    });
    guard.finish();
}

#[test]
fn a_handle_dropped_outside_of_any_runtime_reaps_all_the_same() {
    let guard = LeakGuard::new();
    let (busy, link) = block_on(start_ready("busy", "busy"));
    let info = ProcessInfo::of(busy.pid()).unwrap();
    drop(busy);
    drop(link);
    wait_gone(&[info], SOON).unwrap();
    guard.finish();
}

#[test]
fn a_runtime_that_ends_with_unreaped_children_leaves_none() {
    let guard = LeakGuard::new();
    block_on(async {
        let (busy, link) = start_ready("busy", "busy").await;
        drop(busy);
        let (held, held_link) = start_ready("busy", "busy").await;
        // Owned by a task that the runtime drops when it goes.
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { held.wait().await });
        tokio::task::yield_now().await;
        tasks.detach_all();
        drop((link, held_link));
    });
    guard.finish();
}

#[test]
fn a_child_can_be_waited_for_in_another_runtime() {
    let guard = LeakGuard::new();
    let (echo, link) = block_on(start_ready("echo", "echo"));
    block_on(async {
        let mut waiters = JoinSet::new();
        for _ in 0..2 {
            let echo = echo.clone();
            waiters.spawn(async move { echo.wait().await });
        }
        tokio::task::yield_now().await;
        drop(link);
        assert_eq!(waiters.join_all().await, [Exit::Code(0); 2]);
    });
    drop(echo);
    guard.finish();
}

#[test]
fn killing_all_kills_every_child() {
    leak_checked(async {
        let (one, _link) = start_ready("busy", "one").await;
        let (two, _link) = start_ready("echo", "two").await;
        kill_all();
        assert_eq!(one.wait().await, killed_by(libc::SIGKILL));
        assert_eq!(two.wait().await, killed_by(libc::SIGKILL));
        kill_all();
    });
}

// Trio P01, P07
#[test]
fn a_status_that_somebody_else_took_is_unknown_and_no_hang() {
    if let Some(level) = std::env::var_os("TEST_IGNORES_SIGCHLD") {
        let guarded = level == "tree";
        set_containment(if guarded { Containment::Tree } else { Containment::Cooperative }).unwrap();
        return leak_checked(async move {
            let (echo, _link) = start_ready("echo", "echo").await;
            echo.kill();
            // The guardian does not ignore it.
            assert_eq!(echo.wait().await, if guarded { killed_by(libc::SIGKILL) } else { Exit::Unknown });
            let (dropped, _link) = start_ready("echo", "echo").await;
            drop(dropped);
        });
    }
    // Once more, in a process that ignores SIGCHLD: there the system reaps the children itself.
    let guard = LeakGuard::new();
    for level in ["cooperative", "tree"] {
        #[expect(clippy::disallowed_methods, reason = "the signal must be ignored before this binary starts")]
        let mut env = std::process::Command::new("env");
        let this = "wait_and_kill::a_status_that_somebody_else_took_is_unknown_and_no_hang";
        let variable = format!("TEST_IGNORES_SIGCHLD={level}");
        env.arg("--ignore-signal=CHLD").arg(variable).arg(std::env::current_exe().unwrap());
        let output = env.args(["--exact", this]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{level}: {text}");
    }
    guard.finish();
}

// Trio P10
#[test]
fn two_hundred_children_leave_no_zombie_and_no_descriptor() {
    leak_checked(async {
        for round in 0..10 {
            let mut children = Vec::new();
            for _ in 0..20 {
                children.push(start("exit", "0").await);
            }
            // Half of them are waited for, half are dropped in whatever state they are.
            for (process, _link) in children.drain(..10) {
                assert!(process.wait().await.is_success(), "round {round}");
            }
        }
    });
}
