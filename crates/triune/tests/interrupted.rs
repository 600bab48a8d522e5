//! A Ctrl-C at every moment of a program's life, and a panic that nobody awaits. Not under the test harness, because this is
//! a program with a `main` of its own; started again with `MOMENT`, it is the program that is looked at.
//!
//! Y02 and Y05 are numbers that the conformance list leaves out. Signals of the user's own (its group S) are in
//! `signal_receiver` of `triune-process`.

use std::io::{Read as _, Write};
use std::process::{Command, Stdio};

use tokio::io::AsyncWriteExt as _;
use triune::prelude::*;
use triune::{Cause, Run, checkpoint, shield_unbounded, worker};

/// Sends this process a Ctrl-C.
fn interrupt() {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT)
        .expect("a process may signal itself");
}

/// Waits until this process catches SIGINT: its listener has a thread of its own.
async fn until_listening() {
    let caught = || {
        let status = std::fs::read_to_string("/proc/self/status").expect("this process runs");
        let mask =
            status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a line for each mask");
        u64::from_str_radix(mask.trim(), 16).expect("a number in hex") & 0b10 != 0
    };
    while !caught() {
        tokio::task::yield_now().await;
    }
}

async fn until_cancelled(run: &Run) {
    while run.cancel_reason().is_none() {
        tokio::task::yield_now().await;
    }
}

fn say(what: &str) {
    writeln!(std::io::stdout(), "{what}").expect("somebody listens");
}

async fn parked(name: &str) -> Result {
    let cut = std::future::pending::<()>().cancellable().await.expect_err("only a cancel ends it");
    if *cut.reason().cause() == Cause::Signal(2) {
        say(name);
    }
    Err(cut.into())
}

/// Reports at the gate, and ends when it is let through.
#[triune::job]
fn wait_at(gate: std::path::PathBuf) -> std::io::Result<()> {
    std::os::unix::net::UnixStream::connect(gate)?.read_exact(&mut [0])
}

/// The Ctrl-C comes while the job runs; the job ends when the run is cancelled.
async fn uncancellable_job(run: &Run) -> Result {
    let folder = tempfile::tempdir()?;
    let gate = folder.path().join("gate");
    let listener = tokio::net::UnixListener::bind(&gate)?;
    nursery(async |n| {
        n.spawn(async {
            worker::run(wait_at::with(gate)).uncancellable().await?;
            say("the job has ended");
            Ok(())
        });
        shield_unbounded(async {
            let (mut arrived, _) = listener.accept().await?;
            interrupt();
            until_cancelled(run).await;
            arrived.write_all(&[1]).await?;
            Ok(())
        })
        .await
    })
    .await
}

#[triune::main]
async fn main() -> Result {
    let run = Run::current();
    let Ok(moment) = std::env::var("MOMENT") else {
        look();
        return Ok(());
    };
    until_listening().await;
    match moment.as_str() {
        "main waits for its children" => {
            nursery(async |n| {
                n.spawn(parked("child"));
                n.spawn_task(parked("parallel child"));
                interrupt();
                Ok(())
            })
            .await?;
        }
        "main has ended" => {
            let late = run.clone();
            run.spawn_system("late", async move {
                let _shutdown = std::future::pending::<()>().cancellable().await;
                shield_unbounded(async {
                    interrupt();
                    until_cancelled(&late).await;
                    say("closing");
                })
                .await;
            });
            checkpoint().await?;
        }
        "main is shielded" => {
            shield_unbounded(async {
                interrupt();
                until_cancelled(&run).await;
                if checkpoint().await.is_ok() {
                    say("shielded");
                }
            })
            .await;
            if checkpoint().await.is_err() {
                say("cancelled");
            }
        }
        "main listens, too" => {
            let mut own = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
            interrupt();
            shield_unbounded(async {
                if own.recv().await.is_some() {
                    say("heard");
                }
                until_cancelled(&run).await;
            })
            .await;
        }
        "a job that must not be cut off runs" => uncancellable_job(&run).await?,
        "a system task panics" => {
            run.spawn_system("broken", async { panic!("on purpose") });
            nursery(async |n| {
                n.spawn(async {
                    let cut =
                        std::future::pending::<()>().cancellable().await.expect_err("only a cancel ends it");
                    say(&format!("cancelled by {}", cut.reason().message()));
                    Ok(())
                });
                Ok(())
            })
            .await?;
        }
        other => panic!("there is no such moment: {other}"),
    }
    Ok(())
}

/// Starts this program for each moment, and looks at its code and what it says.
fn look() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--list") {
        // The protocol of nextest: there is one test in here, and none that is ignored.
        if !arguments.iter().any(|argument| argument == "--ignored") {
            say("an_interrupt_is_heard_at_every_moment: test");
        }
        return;
    }
    for (moment, code, says) in [
        // Trio Y01
        ("main waits for its children", 130, "child\nparallel child\n"),
        // Trio Y03
        ("main has ended", 130, "closing\n"),
        // Trio Y04
        ("main is shielded", 130, "shielded\ncancelled\n"),
        // Trio Y06
        ("main listens, too", 130, "heard\n"),
        // trio-parallel 89
        ("a job that must not be cut off runs", 130, "the job has ended\n"),
        // Trio R06
        ("a system task panics", 101, "cancelled by on purpose\n"),
    ] {
        #[expect(clippy::disallowed_methods, reason = "a root of its own, as a shell starts it")]
        let output = Command::new(std::env::current_exe().expect("it runs"))
            .env("MOMENT", moment)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stdout);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{moment}: {text}");
        let mut lines: Vec<&str> = said.lines().collect();
        lines.sort_unstable();
        let mut expected: Vec<&str> = says.lines().collect();
        expected.sort_unstable();
        assert_eq!(lines, expected, "{moment}: {text}");
    }
}
