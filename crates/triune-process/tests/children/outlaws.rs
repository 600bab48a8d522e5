//! Children that leave things behind, and programs that have such children: what the tests of the guardian kill.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use linkme::distributed_slice;
use triune_process::{Boot, ROLES, Role, Spec};
use triune_testing::ProcessInfo;

use crate::support::{block_on, start_with};

#[distributed_slice(ROLES)]
static OUTLAW: Role = Role { name: "outlaw", main: outlaw };
#[distributed_slice(ROLES)]
static OWNER: Role = Role { name: "owner", main: owner };
#[distributed_slice(ROLES)]
static DEAF: Role = Role { name: "deaf", main: deaf };

/// The ways out of a process group and of the parent's sight. Each says the number of the `sleep` that stays.
const ESCAPES: [&str; 4] = [
    // A session of its own.
    "setsid sleep 1000 & echo $!",
    // Twice removed: its parent is gone before it begins.
    "sh -c 'setsid sleep 1000 & echo $!'; true",
    // Nothing in its environment tells where it comes from.
    "env -i setsid sleep 1000 & echo $!",
    // The child of another one, which is only found when that is gone.
    "setsid sh -c 'sleep 1000 & echo $!; wait' &",
];

/// Lets processes escape, says their numbers, and exits when it is told that they were seen, or at the end of its link.
fn outlaw(boot: Boot) -> u8 {
    let mut link = boot.into_link();
    let pids: Vec<String> = ESCAPES.iter().map(|escape| shell(escape)).collect();
    say(&mut link, &format!("{}\n", pids.join(" ")));
    let _told_or_alone = link.read(&mut [0]);
    0
}

/// Has a child of its own, which is an outlaw that hears nothing, and says the numbers of all beneath it.
fn owner(boot: Boot) -> u8 {
    let mut link = boot.into_link();
    block_on(async move {
        let grace = std::env::var("TEST_GRACE").map_or(500, |grace| grace.parse().expect("milliseconds"));
        let spec = Spec::new("deaf", "deaf").orphan_grace(Duration::from_millis(grace));
        let (child, mut deaf_link) = start_with(spec).await;
        let stray = read_line(&mut deaf_link);
        say(&mut link, &format!("{} {stray}\n", child.pid()));
        child.wait().await;
        0
    })
}

/// Lets a process escape, says its number, and then heeds neither the end of its link nor that of its owner.
fn deaf(boot: Boot) -> u8 {
    let mut link = boot.into_link();
    let pid = shell(ESCAPES[0]);
    say(&mut link, &format!("{pid}\n"));
    loop {
        std::thread::park();
    }
}

pub(crate) fn shell(script: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "stands for what a user's code may do")]
    let mut shell = Command::new("sh");
    let mut shell = shell
        .arg("-c")
        .arg(script)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("there is a shell");
    let mut line = String::new();
    BufReader::new(shell.stdout.take().expect("it is piped")).read_line(&mut line).expect("it says a number");
    // The shell does not wait for what it has put in the background.
    shell.wait().expect("it is our child");
    line.trim().to_owned()
}

pub(crate) fn say(link: &mut UnixStream, text: &str) {
    link.write_all(text.as_bytes()).expect("the parent listens");
}

pub(crate) fn read_line(link: &mut impl Read) -> String {
    let mut line = String::new();
    BufReader::new(link).read_line(&mut line).expect("the child says something");
    line.trim().to_owned()
}

pub(crate) fn read_processes(link: &mut impl Read) -> Vec<ProcessInfo> {
    let line = read_line(link);
    let pids = line.split(' ').map(|pid| pid.parse().expect("a number"));
    pids.map(|pid| ProcessInfo::of(pid).expect("that process runs")).collect()
}
