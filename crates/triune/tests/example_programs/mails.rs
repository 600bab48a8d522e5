//! The list of mails: what Python reads, a file that is none, and Python that is not there.

use std::process::Command;

use super::program::example;
use super::run::{refuses, run};

const MAIL: &str = "From: Ada <ada@example.org>\nDate: Tue, 10 Dec 1815 12:00:00 +0000\nSubject: =?utf-8?q?caf=C3=A9?=\n\nhello\n";

fn has_python() -> bool {
    #[expect(clippy::disallowed_methods, reason = "asked beside the tree")]
    let python = Command::new("python3").args(["-c", "import msgpack"]).output();
    let there = python.is_ok_and(|output| output.status.success());
    if !there {
        triune_testing::skip("the example mails", "there is no python3 with msgpack here");
    }
    there
}

#[test]
fn mails_are_listed_and_what_is_none_costs_one_line() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().expect("there is room");
    std::fs::write(folder.path().join("a.eml"), MAIL).expect("there is room");
    std::fs::write(folder.path().join("b.eml"), "nothing of the kind").expect("there is room");
    std::fs::write(folder.path().join("c.txt"), "no mail by its name").expect("there is room");
    let ran = run("mails", &[folder.path().to_str().expect("the path is text")]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.output, ran.errors);
    let lines: Vec<&str> = ran.output.lines().collect();
    let expected = [
        "a.eml: 1815-12-10 ada@example.org: café []",
        "b.eml: job `summary` failed: it has no date, so it is no mail",
        "2 mails, 1 failed",
    ];
    assert_eq!(lines, expected, "{}", ran.errors);
}

#[test]
fn without_python_the_error_names_it() {
    let folder = tempfile::tempdir().expect("there is room");
    std::fs::write(folder.path().join("a.eml"), MAIL).expect("there is room");
    #[expect(clippy::disallowed_methods, reason = "the program is tested as a user starts it")]
    let output =
        Command::new(example("mails")).arg(folder.path()).env("PATH", "/").output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("no folder of the `PATH` in its environment has a `python3`; install it"),
        "{errors}"
    );
}

#[test]
fn a_folder_that_is_not_there_is_refused() {
    refuses("mails", &["/no/such/folder"], "cannot list the folder");
}
