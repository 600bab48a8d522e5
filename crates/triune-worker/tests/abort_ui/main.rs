//! A program that aborts on panic: the message of a job's panic is in the error all the same.
//!
//! Cargo builds tests to unwind, whatever a profile says, so this one builds a program of its own, with the profile `abort`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

#[test]
fn a_program_that_aborts_on_panic_recovers_the_message_of_a_job() {
    let build = ["build", "--locked", "--quiet", "--profile", "abort", "--package", "triune-worker"];
    #[expect(clippy::disallowed_methods, reason = "cargo is no process of ours")]
    let built = Command::new(env!("CARGO"))
        .args(build)
        .args(["--example", "aborts_on_panic"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo has built this test");
    assert!(built.success());
    #[expect(clippy::disallowed_methods, reason = "a root of its own, as a shell starts it")]
    let output = Command::new(program()).stdin(Stdio::null()).output().expect("it was just built");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", output.status);
    assert!(text.contains("out of ink"), "the worker's words are shown, too: {text}");
}

/// Beside the profile's folder that this test is in: `target/debug/deps/abort_ui-*` and `target/abort/examples/..`.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("this is a program");
    let target = test.ancestors().nth(3).expect("cargo builds tests three folders deep");
    target.join("abort/examples/aborts_on_panic")
}
