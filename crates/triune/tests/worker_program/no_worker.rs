//! Programs that are no workers: the error says what they did instead, and what to do.

use std::error::Error as _;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use triune::Result;
use triune::worker::{self, Program, RunError, StartError, StartErrorKind};
use triune_testing::LeakGuard;

use crate::jobs::add;
use crate::programs::{interpreter, with};
use crate::support::workers;

/// The error of a job whose workers are such a program; its cause.
async fn start_error(limit: Duration) -> Result<StartError> {
    worker::scope(workers().boot_deadline(limit), async |pool| {
        let error = pool.run(add::with(1, 1)).await.expect_err("it is no worker");
        assert!(error.is_start(), "{error:?}");
        let RunError::Start { error, .. } = error else { unreachable!("as it says") };
        Ok(error)
    })
    .await
}

const PATIENT: Duration = Duration::from_secs(60);

fn shell(script: &str) -> Program {
    Program::new("sh").args(["-c", script])
}

#[test]
fn one_that_ends_is_told_with_its_status_and_its_last_words() {
    with(shell("echo no such option >&2; exit 3"), "ends", async || {
        let error = start_error(PATIENT).await?;
        let text = error.to_string();
        let end =
            "ended while it started: exit code 3, and wrote last \"no such option\"; a Rust program calls";
        assert!(text.contains("`sh -c echo no such option >&2; exit 3`") && text.contains(end), "{text}");
        assert_eq!(error.stderr_tail().trim_end(), "no such option");
        Ok(())
    });
    with(Program::new("true"), "ends well", async || {
        let text = start_error(PATIENT).await?.to_string();
        assert!(
            text.contains("which is `true`, ended while it started: exit code 0; a Rust program"),
            "{text}"
        );
        Ok(())
    });
    // It reads its standard input, which is empty: the link is not there to be taken for a file.
    with(Program::new("cat"), "reads", async || {
        let text = start_error(PATIENT).await?.to_string();
        assert!(text.contains("which is `cat`, ended while it started: exit code 0"), "{text}");
        Ok(())
    });
}

#[test]
fn one_that_says_nothing_is_killed_at_its_deadline() {
    with(Program::new("sleep").arg("1000"), "sleeps", async || {
        let text = start_error(Duration::from_millis(200)).await?.to_string();
        assert!(
            text.contains("which is `sleep 1000`, did not say hello within 200ms; a Rust program"),
            "{text}"
        );
        assert!(text.ends_with("or raise the boot deadline"), "{text}");
        Ok(())
    });
}

#[test]
fn one_that_says_something_else_is_refused() {
    with(shell("echo HTTP/1.1 400 Bad Request >&3; exec sleep 1000"), "talks", async || {
        let error = start_error(PATIENT).await?;
        assert!(error.to_string().contains("was refused at the handshake"), "{error}");
        let cause = error.source().expect("it has one").to_string();
        assert!(cause.contains("other side: \"HTTP/1.1 400 Bad"), "{cause}");
        Ok(())
    });
}

#[test]
fn one_that_is_not_there_or_not_executable_is_an_error_of_the_system() {
    let folder = tempfile::tempdir().expect("there is room");
    let file = |name: &str, mode, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("there is room");
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
        path.into_os_string()
    };
    let here = std::env::current_dir().expect("there is one").join("no-such-worker");
    let here = format!("there is no `{}`, or not the interpreter", here.display());
    let whatever = file("whatever", 0o700, "exit 0");
    for (program, kind, advice) in [
        // Its folder is none of those in which it is looked for.
        (Program::new("./no-such-worker").current_dir("/usr"), io::ErrorKind::NotFound, &here[..]),
        (
            Program::new("no-such-worker"),
            io::ErrorKind::NotFound,
            "in its environment has a `no-such-worker`; install it",
        ),
        (
            Program::new("whatever").env("PATH", "/"),
            io::ErrorKind::NotFound,
            "set `PATH` with `Program::env`",
        ),
        (Program::new("/"), io::ErrorKind::PermissionDenied, "make `/` a file that may be executed"),
        (Program::new(file("plain", 0o600, "#!/bin/sh\n")), io::ErrorKind::PermissionDenied, "(`chmod +x`)"),
        (
            Program::new(file("odd", 0o700, "#!/no/such/shell\n")),
            io::ErrorKind::NotFound,
            "the interpreter that its first line",
        ),
        (Program::new(whatever), io::Error::from_raw_os_error(8).kind(), "no shell is asked: name one"),
    ] {
        let name = program.to_string();
        with(program, "missing", async || {
            let error = start_error(PATIENT).await?;
            assert!(matches!(error.kind(), StartErrorKind::Execute(_)), "{error:?}");
            let text = error.to_string();
            assert!(
                text.contains(&format!("`{name}` cannot be executed; ")) && text.contains(advice),
                "{text}"
            );
            let cause =
                error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).expect("of the system");
            assert_eq!(cause.kind(), kind);
            Ok(())
        });
    }
}

#[test]
fn a_folder_that_is_not_there_is_told_with_the_program_that_was_to_work_in_it() {
    let folder = tempfile::tempdir().expect("there is room");
    let [missing, file] = ["missing", "file"].map(|name| folder.path().join(name));
    std::fs::write(&file, "").expect("there is room");
    for (path, why) in [(missing, "No such file"), (file, "Not a directory")] {
        with(Program::new("cat").current_dir(&path), "folder", async || {
            let error = start_error(PATIENT).await?;
            assert!(error.to_string().ends_with(", which is `cat`"), "{error}");
            let cause = error.source().expect("it has one").to_string();
            for part in
                [&format!("folder `{}` cannot be entered: {why}", path.display()), "make it before the start"]
            {
                assert!(cause.contains(part), "{cause}");
            }
            Ok(())
        });
    }
}

#[test]
fn a_python_program_that_fails_to_load_shows_its_exception() {
    let Some(python) = interpreter() else { return };
    with(Program::new(python).args(["-c", "import no_such_module"]), "import", async || {
        let error = start_error(PATIENT).await?;
        assert!(
            error
                .to_string()
                .contains("wrote last \"ModuleNotFoundError: No module named 'no_such_module'\""),
            "{error}"
        );
        Ok(())
    });
}

#[test]
fn a_program_that_stands_for_a_worker_and_is_started_by_hand_says_so() {
    let guard = LeakGuard::new();
    #[expect(clippy::disallowed_methods, reason = "as a user would")]
    let output =
        std::process::Command::new(crate::program::example("worker_program")).output().expect("it is there");
    assert_eq!(output.stdout, b"this program is a worker, to be started by a pool\n");
    guard.finish();
}
