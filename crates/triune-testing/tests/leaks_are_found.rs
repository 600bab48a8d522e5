//! The guard finds what a test leaves behind, and only that.

#![expect(
    clippy::disallowed_methods,
    reason = "the guard must find processes that were started without triune"
)]

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use triune_testing::{LeakGuard, ProcessInfo, processes_of_tree, wait_gone, wait_until};

const SOON: Duration = Duration::from_secs(5);

fn sleeper() -> Child {
    Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().expect("sleep exists")
}

fn end(mut child: Child) {
    child.kill().expect("it is our child");
    child.wait().expect("nobody else reaps it");
}

#[test]
fn a_clean_test_passes() {
    let guard = LeakGuard::new();
    end(sleeper());
    drop(File::open("/dev/null").unwrap());
    guard.finish();
}

#[test]
fn a_running_child_is_a_leak_with_its_command() {
    let guard = LeakGuard::new();
    let child = sleeper();
    // Between fork and exec it still has our own command line.
    assert!(wait_until(SOON, || guard.check().is_err_and(|leak| leak.to_string().contains("sleep 1000"))));
    let leak = guard.check().unwrap_err();
    assert_eq!(leak.processes().len(), 1);
    assert_eq!(leak.processes()[0].pid, child.id());
    assert_eq!(leak.processes()[0].parent, std::process::id());
    end(child);
    guard.finish();
}

#[test]
fn an_unreaped_child_is_a_leak() {
    let guard = LeakGuard::new();
    let mut child = sleeper();
    child.kill().unwrap();
    let is_zombie = || ProcessInfo::of(child.id()).is_some_and(|process| process.state == 'Z');
    assert!(wait_until(SOON, is_zombie));
    assert_eq!(guard.check().unwrap_err().processes()[0].state, 'Z');
    child.wait().unwrap();
    guard.finish();
}

#[test]
fn a_descriptor_is_a_leak_with_its_target() {
    let guard = LeakGuard::new();
    let file = File::open("/dev/zero").unwrap();
    let leak = guard.check().unwrap_err();
    assert_eq!(leak.descriptors().values().collect::<Vec<_>>(), ["/dev/zero"]);
    assert!(leak.processes().is_empty());
    drop(file);
    guard.finish();
}

#[test]
fn what_was_there_before_is_not_a_leak() {
    let first = LeakGuard::new();
    let child = sleeper();
    let file = File::open("/dev/zero").unwrap();
    let leaked = std::panic::catch_unwind(|| first.deadline(Duration::ZERO).finish()).unwrap_err();
    let message = leaked.downcast_ref::<String>().unwrap();
    assert!(message.starts_with("the test has leaked: 1 processes, 1 descriptors"), "{message}");
    let guard = LeakGuard::new();
    assert!(guard.check().is_ok());
    guard.finish();
    end(child);
    drop(file);
}

#[test]
fn an_escaped_grandchild_is_found_by_its_cookie() {
    let guard = LeakGuard::new();
    let own = ProcessInfo::of(std::process::id()).unwrap();
    let cookie = format!("{}-{}-test", own.pid, own.start);
    // A shell that starts a process in a session of its own, and ends: the process is then no descendant of ours.
    let status = Command::new("sh")
        .args(["-c", "setsid sleep 1000 </dev/null >/dev/null 2>&1 &"])
        .env("TRIUNE_TREE", cookie)
        .status()
        .unwrap();
    assert!(status.success());
    let found = || processes_of_tree().into_iter().find(|process| process.command == "sleep 1000");
    assert!(wait_until(SOON, || found().is_some_and(|stray| stray.parent != own.pid)));
    let stray = found().unwrap();
    assert_eq!(guard.check().unwrap_err().processes()[0].pid, stray.pid);
    let killed = Command::new("kill").args(["-KILL", &stray.pid.to_string()]).status().unwrap();
    assert!(killed.success());
    wait_gone(&[stray], SOON).unwrap();
    guard.finish();
}

#[test]
fn processes_of_another_tree_are_not_ours() {
    let guard = LeakGuard::new();
    let mut sleeper = Command::new("sleep");
    sleeper.arg("1000").env("TRIUNE_TREE", "1-1-test").stdin(Stdio::null()).process_group(0);
    let child = sleeper.spawn().unwrap();
    // It is found by descent all the same, since it is our child.
    assert_eq!(processes_of_tree().len(), 1);
    end(child);
    guard.finish();
}

#[test]
fn waiting_for_a_process_that_stays_says_which() {
    let guard = LeakGuard::new();
    let child = sleeper();
    let process = ProcessInfo::of(child.id()).unwrap();
    let error = wait_gone(std::slice::from_ref(&process), Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains(&format!("process {}", process.pid)), "{error}");
    end(child);
    wait_gone(&[process], Duration::ZERO).unwrap();
    guard.finish();
}

#[test]
fn settling_lets_the_tasks_of_the_runtime_tidy_up() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // The runtime's own descriptors are there already.
        let guard = LeakGuard::new();
        let file = File::open("/dev/zero").unwrap();
        let tidy = tokio::spawn(async move { drop(file) });
        // Nothing else gives the task its turn.
        guard.settle().await;
        assert!(tidy.is_finished());
    });
}
