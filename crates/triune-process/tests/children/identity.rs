//! Who is a child and who is not: the environment is inherited by everybody below one.

#![expect(
    clippy::disallowed_methods,
    reason = "these processes are started as a foreign program would start them"
)]

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use triune_process::exit_code;
use triune_testing::LeakGuard;

/// This binary, told to list its tests, which is what it does if it takes itself for a root.
fn listing(marker: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.arg("--list").env("TRIUNE_CHILD", marker).env("TRIUNE_NAME", "x").stdin(Stdio::null());
    command
}

fn own_marker(role: &str) -> String {
    format!("1:{role}:{}:0", std::process::id())
}

#[test]
fn a_foreign_process_below_a_child_is_a_root_of_its_own() {
    let guard = LeakGuard::new();
    for marker in [own_marker("exit"), "1:exit:1:0".to_owned(), "garbage".to_owned()] {
        let output = listing(&marker).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("a_foreign_process_below_a_child_is_a_root_of_its_own: test"), "{text}");
    }
    guard.finish();
}

#[test]
fn a_child_whose_parent_has_gone_before_the_entry_ends_there() {
    let guard = LeakGuard::new();
    let output = listing("1:exit:1:0").arg0("triune:x").output().unwrap();
    assert_eq!(output.status.code(), Some(exit_code::PARENT_GONE.into()), "{output:?}");
    assert!(output.stdout.is_empty());
    guard.finish();
}

#[test]
fn a_child_of_another_version_says_so_and_ends() {
    let guard = LeakGuard::new();
    let output = listing("2:exit").arg0("triune:x").output().unwrap();
    assert_eq!(output.status.code(), Some(exit_code::BOOT_FAILED.into()), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("another version of triune"));
    guard.finish();
}

#[test]
fn a_child_without_its_link_says_so_and_ends() {
    let guard = LeakGuard::new();
    let output = listing(&own_marker("exit")).arg0("triune:x").output().unwrap();
    assert_eq!(output.status.code(), Some(exit_code::BOOT_FAILED.into()), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("is not its link"));
    guard.finish();
}
