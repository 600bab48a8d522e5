//! A Ctrl-C at every moment of a program's life, and a panic that nobody awaits. Not under the test harness, because this is
//! a program with a `main` of its own; started again with `MOMENT`, it is the program that is looked at.
//!
//! Y02 and Y05 are numbers that the conformance list leaves out. Signals of the user's own (its group S) are in
//! `signal_receiver` of `triune-process`.

use std::io::{Read as _, Write};
use std::process::{Command, Stdio};

use rustix::process::{Signal, getpid, kill_process};
use tokio::io::AsyncWriteExt as _;
use triune::prelude::*;
use triune::{Cause, Run, checkpoint, shield_unbounded, worker};

/// Sends this process a Ctrl-C.
fn interrupt() {
    strike(Signal::INT);
}

/// Sends this process a signal.
fn strike(signal: Signal) {
    kill_process(getpid(), signal).expect("a process may signal itself");
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

/// Says its number, reports at the gate, and computes for ever.
#[triune::job]
fn spin(gate: std::path::PathBuf) -> std::io::Result<()> {
    say(&format!("pid {}", std::process::id()));
    let _arrived = std::os::unix::net::UnixStream::connect(gate)?;
    loop {
        std::hint::black_box(0);
    }
}

/// An actor that never gets to its entry: the constructor below stops it there.
#[used]
#[unsafe(link_section = ".init_array.00101")]
static BEFORE_THE_ENTRY: extern "C" fn() = before_the_entry;

extern "C" fn before_the_entry() {
    let first = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    if first.starts_with(b"triune:/never-boots") {
        say(&format!("pid {}", std::process::id()));
        loop {
            std::thread::park();
        }
    }
}

/// Two signals to a program that does not heed the first one, and has children.
async fn twice(run: &Run, first: Signal, second: Signal) -> Result {
    let folder = tempfile::tempdir()?;
    let gate = folder.path().join("gate");
    let listener = tokio::net::UnixListener::bind(&gate)?;
    nursery(async |n| {
        let _spins = n.run_in_worker(spin::with(gate.clone()));
        let _waits = n.spawn(async { Ok(worker::run(wait_at::with(gate)).uncancellable().await?) });
        shield_unbounded(async {
            let _both_have_arrived = (listener.accept().await?, listener.accept().await?);
            strike(first);
            until_cancelled(run).await;
            // The event loop never comes round again.
            strike(second);
            loop {
                std::hint::spin_loop();
            }
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
    match moment.as_str() {
        // It listens already.
        "main begins" => {
            interrupt();
            parked("begun").await?;
        }
        "main fails" => return Err(Error::msg("it does")),
        "main panics" => panic!("it does"),
        "it is asked to end" => {
            strike(Signal::TERM);
            until_cancelled(&run).await;
            checkpoint().await?;
        }
        "the terminal goes" => {
            strike(Signal::HUP);
            until_cancelled(&run).await;
            checkpoint().await?;
        }
        "main fails after a signal" => {
            interrupt();
            until_cancelled(&run).await;
            return Err(Error::msg("it cannot clean up"));
        }
        "main panics after a signal" => {
            interrupt();
            until_cancelled(&run).await;
            panic!("it cannot clean up");
        }
        "it is interrupted twice" => twice(&run, Signal::INT, Signal::INT).await?,
        "it is asked to end twice" => twice(&run, Signal::INT, Signal::TERM).await?,
        "it is asked to end, and once more" => twice(&run, Signal::TERM, Signal::TERM).await?,
        "the terminal goes at last" => twice(&run, Signal::TERM, Signal::HUP).await?,
        "an actor boots" => {
            nursery(async |n| {
                let boots = n.actor("never-boots").boot_deadline(std::time::Duration::from_secs(60));
                n.spawn(async move {
                    boots.start().await?;
                    Ok(())
                });
                // It has said its number when it is there.
                let has_begun = || {
                    let commands = triune_testing::processes_of_tree();
                    commands.iter().any(|process| process.command.starts_with("triune:/never-boots"))
                };
                triune_testing::eventually(std::time::Duration::from_secs(10), has_begun).await;
                interrupt();
                Ok(())
            })
            .await?;
        }
        "it closes, and is interrupted twice" => {
            let late = run.clone();
            run.spawn_system("late", async move {
                let _shutdown = std::future::pending::<()>().cancellable().await;
                shield_unbounded(async {
                    interrupt();
                    until_cancelled(&late).await;
                    say("closing");
                    strike(Signal::TERM);
                    loop {
                        std::hint::spin_loop();
                    }
                })
                .await;
            });
            checkpoint().await?;
        }
        "a receiver takes it" => {
            let receiver = triune::open_signal_receiver([triune::Signal::INT])?;
            interrupt();
            say(&receiver.recv().await?.to_string());
            checkpoint().await?;
            interrupt();
            // What it has not read is for the program.
            drop(receiver);
            parked("and leaves it").await?;
        }
        _ => told(&moment, &run).await?,
    }
    Ok(())
}

/// The moments of those who wait until somebody listens.
async fn told(moment: &str, run: &Run) -> Result {
    match moment {
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
                until_cancelled(run).await;
                if checkpoint().await.is_ok() {
                    say("shielded");
                }
            })
            .await;
            // The reason is known a moment before the cancel has got here.
            while checkpoint().await.is_ok() {}
            say("cancelled");
        }
        "main listens, too" => {
            let mut own = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
            interrupt();
            shield_unbounded(async {
                if own.recv().await.is_some() {
                    say("heard");
                }
                until_cancelled(run).await;
            })
            .await;
        }
        "a job that must not be cut off runs" => uncancellable_job(run).await?,
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

/// A line with the number of a child says `gone` when that child has ended: it has a second for it.
fn children_gone<'a>(line: &'a str, moment: &str) -> &'a str {
    let Some(pid) = line.strip_prefix("pid ") else { return line };
    let child = triune_testing::ProcessInfo::of(pid.parse().expect("a number"));
    let children: Vec<_> = child.into_iter().collect();
    triune_testing::wait_gone(&children, std::time::Duration::from_secs(1)).expect(moment);
    "gone"
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
        ("main begins", 130, "begun\n"),
        ("it is asked to end", 143, ""),
        ("the terminal goes", 129, ""),
        ("main fails", 1, ""),
        ("main panics", 101, ""),
        ("main fails after a signal", 130, ""),
        ("main panics after a signal", 101, ""),
        ("it is interrupted twice", 130, "gone\n"),
        ("it is asked to end twice", 143, "gone\n"),
        ("it is asked to end, and once more", 143, "gone\n"),
        ("the terminal goes at last", 129, "gone\n"),
        ("an actor boots", 130, "gone\n"),
        ("it closes, and is interrupted twice", 143, "closing\n"),
        // Trio S05
        ("a receiver takes it", 130, "SIGINT\nand leaves it\n"),
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
        let mut lines: Vec<&str> = said.lines().map(|line| children_gone(line, moment)).collect();
        lines.sort_unstable();
        let mut expected: Vec<&str> = says.lines().collect();
        expected.sort_unstable();
        assert_eq!(lines, expected, "{moment}: {text}");
    }
}
