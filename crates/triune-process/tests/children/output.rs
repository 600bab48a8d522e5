//! What a child writes: kept, passed on, or neither, and never more than the bound.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "in a test, a panic is the report, and stderr is read"
)]

use std::io::{Read, Write};
use std::process::{Command, Stdio as StdStdio};

use linkme::distributed_slice;
use triune_process::{Boot, Output, ROLES, Role, Spec, Stdio};
use triune_testing::LeakGuard;

use crate::support::{block_on, leak_checked, start_with};

#[distributed_slice(ROLES)]
static SPEAKER: Role = Role { name: "speaker", main: speaker };
#[distributed_slice(ROLES)]
static FLOOD: Role = Role { name: "flood", main: flood };

/// Writes to both streams, the last line without an end, and aborts.
fn speaker(_boot: Boot) -> u8 {
    let mut stdout = std::io::stdout();
    stdout.write_all(b"out one\nout two\n").unwrap();
    stdout.flush().unwrap();
    eprint!("err one\nerr two");
    std::process::abort()
}

/// Writes far more than any pipe or bound holds, without a single line's end.
fn flood(_boot: Boot) -> u8 {
    let mut stderr = std::io::stderr();
    for _ in 0..200 {
        stderr.write_all(&[b'x'; 10_000]).unwrap();
    }
    stderr.write_all("the end \u{fffd}".as_bytes()).unwrap();
    0
}

// Trio P04
#[test]
fn the_last_words_are_there_when_the_end_is_known() {
    leak_checked(async {
        for output in [Output::Forward, Output::Relay, Output::Capture] {
            for _ in 0..3 {
                let (speaker, _link) = start_with(Spec::new("speaker", "s").stdio(Stdio::all(output))).await;
                assert_eq!(speaker.wait().await.signal(), Some(libc::SIGABRT));
                assert_eq!(speaker.stderr_tail(), "err one\nerr two", "{output:?}");
                assert_eq!(speaker.stdout_tail(), "out one\nout two\n", "{output:?}");
                // And again, since nothing is taken away.
                assert_eq!(speaker.stderr_tail(), "err one\nerr two", "{output:?}");
            }
        }
    });
}

#[test]
fn nothing_is_kept_of_what_is_inherited_or_dropped() {
    leak_checked(async {
        let stdio = Stdio::new().stdout(Output::Null).stderr(Output::Null);
        let (speaker, _link) = start_with(Spec::new("speaker", "s").stdio(stdio)).await;
        speaker.wait().await;
        assert_eq!((speaker.stderr_tail(), speaker.stdout_tail()), (String::new(), String::new()));
    });
}

// tractor L13: 200 kB without a newline, and no deadlock
#[test]
fn a_flood_is_kept_to_its_bound_and_blocks_nobody() {
    leak_checked(async {
        let (flood, _link) = start_with(Spec::new("flood", "f").stdio(Stdio::all(Output::Capture))).await;
        assert!(flood.wait_gone().await.is_success());
        let tail = flood.stderr_tail();
        assert!(tail.ends_with("xxxthe end \u{fffd}"), "{tail}");
        assert_eq!(tail.len(), 16 * 1024);
    });
}

/// Not a test: a program with a child that speaks by the policy in its environment.
#[test]
#[ignore = "runs as a program of its own"]
fn a_program_whose_child_speaks() {
    let Ok(policy) = std::env::var("TEST_OUTPUT") else { return };
    let (role, output) = match policy.as_str() {
        "inherit" => ("speaker", Output::Inherit),
        "forward" => ("speaker", Output::Forward),
        "relay" => ("speaker", Output::Relay),
        "capture" => ("speaker", Output::Capture),
        "flood" => ("flood", Output::Relay),
        _ => ("speaker", Output::Null),
    };
    block_on(async {
        let (child, _link) = start_with(Spec::new(role, "/a/b").stdio(Stdio::all(output))).await;
        child.wait_gone().await;
    });
    triune_process::finish();
}

fn streams(policy: &str) -> (String, String) {
    #[expect(clippy::disallowed_methods, reason = "its streams are what the test looks at")]
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "output::a_program_whose_child_speaks", "--ignored", "--nocapture"]);
    let mut program = command
        .env("TEST_OUTPUT", policy)
        .stdout(StdStdio::piped())
        .stderr(StdStdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = String::new();
    program.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    let mut stdout = String::new();
    program.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert!(program.wait().unwrap().success());
    (stdout, stderr)
}

#[test]
fn what_is_passed_on_has_come_out_when_the_child_is_gone() {
    let guard = LeakGuard::new();
    for policy in ["inherit", "forward"] {
        let (stdout, stderr) = streams(policy);
        assert!(stdout.contains("out one\nout two\n"), "{policy}: {stdout}");
        assert_eq!(stderr, "err one\nerr two", "{policy}");
    }
    let (stdout, stderr) = streams("relay");
    assert!(stdout.contains("/a/b: out one\n/a/b: out two\n"), "{stdout}");
    assert_eq!(stderr, "/a/b: err one\n/a/b: err two\n");
    for policy in ["capture", "null"] {
        let (stdout, stderr) = streams(policy);
        assert!(!stdout.contains("out one") && stderr.is_empty(), "{policy}: {stdout} {stderr}");
    }
    guard.finish();
}

#[test]
fn a_line_that_is_too_long_is_relayed_in_pieces_and_whole() {
    let guard = LeakGuard::new();
    let (_, stderr) = streams("flood");
    let lines: Vec<&str> =
        stderr.lines().map(|line| line.strip_prefix("/a/b: ").expect("a prefix")).collect();
    assert_eq!(lines.iter().map(|line| line.matches('x').count()).sum::<usize>(), 2_000_000);
    assert!(lines.iter().all(|line| line.len() <= 8 * 1024));
    guard.finish();
}
