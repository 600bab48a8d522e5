//! The program that dies: a root, two levels of actors, a busy and an idle worker, and a stray in a session of its own.
//!
//! It is this binary once more, with `the_program` for a main. It says the numbers of its processes, then `ready`, and how
//! it ended.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use triune::prelude::*;
use triune::worker::{self, WorkerKind, Workers};

/// How long an actor may take to clean up: for the phase in which that lasts until the blow, and the machine may be busy.
const GRACE: Duration = Duration::from_secs(20);

/// What the tree is doing when it is struck.
pub(crate) const PHASES: [&str; 5] = ["idle", "in a call", "streaming", "booting", "cleaning up"];

/// Stops a child of the program before its entry is reached, if its name and its environment say so.
#[used]
#[unsafe(link_section = ".init_array.00101")]
static BEFORE_THE_ENTRY: extern "C" fn() = before_the_entry;

extern "C" fn before_the_entry() {
    let first = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    if std::env::var_os("TEST_NEVER_BOOTS").is_some() && first.starts_with(b"triune:/") {
        loop {
            std::thread::park();
        }
    }
}

pub(crate) fn say(line: &str) {
    // One write, so that lines of several processes do not mix. Nobody may listen any more.
    let _nobody_listens = std::io::stdout().write_all(format!("{line}\n").as_bytes());
    let _nobody_listens = std::io::stdout().flush();
}

/// Starts a process that leaves its session and its parent.
pub(crate) fn escape() {
    #[expect(clippy::disallowed_methods, reason = "stands for what a user's code may do")]
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg("setsid sleep 1000 &")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = shell.status();
    assert!(status.unwrap().success());
}

#[triune::job]
fn spin() {
    say(&format!("pid busy {}", std::process::id()));
    loop {
        std::hint::black_box(0);
    }
}

#[triune::job]
fn number() -> u32 {
    std::process::id()
}

/// Never answers, and when it is cancelled, cleans up until the blow has fallen.
#[triune::endpoint]
async fn hang() -> Result {
    say("hanging");
    let clean_up = async {
        let gate = std::env::var_os("TEST_GATE").expect("the test says where");
        let waits = UnixStream::connect(gate).await;
        say("cleaning up");
        if let Ok(mut waits) = waits {
            // Nobody writes there.
            let _closed = waits.read(&mut [0]).await;
        }
    };
    match triune::sleep_forever().finally(clean_up).await? {
        Ok(never) => match never {},
        Err(cancelled) => Err(cancelled.into()),
    }
}

#[triune::endpoint]
async fn numbers(cx: Context<Started<()>, Out<u64>, In<()>>) -> Result<u64> {
    let mut dialog = cx.started(()).await?;
    for number in 0.. {
        dialog.send(number).await?;
    }
    Ok(0)
}

/// What the leaf does to have something foreign beneath it.
#[triune::endpoint]
async fn leave_something() -> u32 {
    escape();
    std::process::id()
}

/// The life of the actor in the middle: it owns the leaf.
#[triune::endpoint]
async fn branch(cx: Context<Started<u32>, Out<u64>, In<()>>, phase: String) -> Result {
    nursery(async |n| {
        let leaf = n.actor("leaf").grace(grace(&phase)).start().await?;
        let pid = leaf.call(leave_something::with()).await?;
        let mut dialog = cx.started(pid).await?;
        match phase.as_str() {
            "in a call" | "cleaning up" => leaf.call(hang::with()).await?,
            "streaming" => {
                let stream = async |(), mut from: Dialog<(), u64>| {
                    while let Some(number) = from.recv().await? {
                        dialog.send(number).await?;
                    }
                    Ok(())
                };
                let ((), _sent) = leaf.context(numbers::with(), stream).await?;
            }
            _ => drop(dialog.recv().await?),
        }
        Ok(())
    })
    .await
}

fn grace(phase: &str) -> Duration {
    if phase == "cleaning up" { GRACE } else { triune::actor::Ladder::default().cancel_grace }
}

async fn tree(n: Nursery<'_>, phase: &str) -> Result {
    if phase == "deaf" {
        return crate::deaf::owner(&n).await;
    }
    let _busy = n.run_in_worker(spin::with());
    // The busy one is not to be had, so this makes another worker, which is idle from then on.
    say(&format!("pid idle {}", worker::run(number::with()).await?));
    if phase == "booting" {
        let slow = n.actor("slow").env("TEST_NEVER_BOOTS", "1").boot_deadline(Duration::from_secs(60));
        n.spawn(async move {
            slow.start().await?;
            Ok(())
        });
    }
    let middle = n.actor("middle").grace(grace(phase)).start().await?;
    say(&format!("pid middle {}", middle.pid()));
    let block = async |leaf, mut dialog: Dialog<(), u64>| {
        say(&format!("pid leaf {leaf}"));
        say("ready");
        while dialog.recv().await?.is_some() {}
        Ok(())
    };
    middle.context(branch::with(phase.to_owned()), block).await?;
    Ok(())
}

/// Not a test: the program.
#[test]
#[ignore = "runs as a program of its own"]
fn the_program() {
    let Ok(phase) = std::env::var("TEST_PHASE") else { return };
    let config = triune::__private::RuntimeConfig::current_thread();
    let main = async || {
        if std::env::var("TEST_WORKERS").as_deref() == Ok("forked") {
            worker::configure_default(Workers::new().kind(WorkerKind::ForkServer))?;
        }
        let end = nursery(async |n| tree(n, &phase).await).await;
        say(&format!("outcome {end:?}").replace('\n', " "));
        Ok::<(), Error>(())
    };
    let _code = triune::__private::main(config, main);
}
