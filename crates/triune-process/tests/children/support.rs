//! The children of these tests, and what every test needs: this binary re-executes itself, and its constructor sends the
//! children into the roles below before libtest starts.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use linkme::distributed_slice;
use triune_process::{Boot, Process, ROLES, Role, Spec, exit_code, spawn};
use triune_testing::{LeakGuard, ProcessInfo};

triune_process::constructor!();

/// Long enough for a busy machine; nothing waits for as long when all is well.
pub(crate) const SOON: Duration = Duration::from_secs(10);

#[distributed_slice(ROLES)]
static EXIT: Role = Role { name: "exit", main: exit };
#[distributed_slice(ROLES)]
static ABORT: Role = Role { name: "abort", main: |_| std::process::abort() };
#[distributed_slice(ROLES)]
static PANIC: Role = Role { name: "panic", main: |_| panic!("as the test wants it") };
#[distributed_slice(ROLES)]
static ECHO: Role = Role { name: "echo", main: echo };
#[distributed_slice(ROLES)]
static STUBBORN: Role = Role { name: "stubborn", main: stubborn };
#[distributed_slice(ROLES)]
static BUSY: Role = Role { name: "busy", main: busy };
#[distributed_slice(ROLES)]
static PARENT: Role = Role { name: "parent", main: parent };
#[distributed_slice(ROLES)]
static BACKGROUND: Role = Role { name: "background", main: background };
#[distributed_slice(ROLES)]
static REPORT: Role = Role { name: "report", main: report };

/// Exits with the code that its name says.
fn exit(boot: Boot) -> u8 {
    boot.name().parse().expect("the name is the code")
}

/// Sends back what it gets, until the link ends. Says a byte first.
fn echo(boot: Boot) -> u8 {
    let mut link = boot.into_link();
    say_ready(&mut link);
    let mut byte = [0];
    while let Ok(1) = link.read(&mut byte) {
        link.write_all(&byte).expect("the parent listens");
    }
    0
}

/// Ignores SIGTERM (a shell does it for us, which needs no unsafe code here) and the end of its link.
fn stubborn(boot: Boot) -> u8 {
    use std::os::unix::process::CommandExt;
    let mut link = boot.into_link();
    let ready = "trap '' TERM; printf r; exec sleep 1000 >/dev/null";
    #[expect(clippy::disallowed_methods, reason = "replaces this process, and starts none")]
    let mut shell = std::process::Command::new("/bin/sh");
    let output = link.try_clone().expect("descriptors are left");
    shell.arg("-c").arg(ready).stdout(std::os::fd::OwnedFd::from(output));
    let error = shell.exec();
    let _unheard = link.write_all(error.to_string().as_bytes());
    1
}

/// Computes for ever, but ends with its parent.
fn busy(boot: Boot) -> u8 {
    boot.exit_with_parent(Duration::ZERO, || ()).expect("threads are left");
    say_ready(&mut boot.into_link());
    loop {
        std::hint::black_box(0);
    }
}

/// Starts a busy child of its own, and says that child's number.
fn parent(boot: Boot) -> u8 {
    let mut link = boot.into_link();
    block_on(async move {
        let (child, _grandchild_link) = start("busy", "grandchild").await;
        link.write_all(&child.pid().to_le_bytes()).expect("the parent listens");
        let _killed_before = child.wait().await;
        0
    })
}

/// Leaves a foreign process in its group, says that process's number, and exits when it is told that it was seen.
fn background(boot: Boot) -> u8 {
    #[expect(clippy::disallowed_methods, reason = "stands for what a user's code may do")]
    let mut sleep = std::process::Command::new("sleep");
    #[expect(clippy::zombie_processes, reason = "that it is left behind is the point")]
    let child = sleep.arg("1000").stdin(std::process::Stdio::null()).spawn().expect("sleep exists");
    let mut link = boot.into_link();
    link.write_all(&child.id().to_le_bytes()).expect("the parent listens");
    link.read_exact(&mut [0]).expect("the parent answers");
    0
}

/// Says what it sees of itself.
fn report(boot: Boot) -> u8 {
    let facts = [
        format!("role {}", boot.role()),
        format!("name {}", boot.name()),
        format!("parent {}", boot.parent_pid()),
        format!("extra {}", std::env::var("EXTRA").unwrap_or_default()),
        format!("tree {}", triune_process::tree_cookie()),
        format!("build {:x?}", triune_process::build_id()),
        format!("stdin {}", std::fs::read_link("/proc/self/fd/0").unwrap_or_default().display()),
        format!("comm {}", std::fs::read_to_string("/proc/self/comm").unwrap_or_default().trim_end()),
        format!("folder {}", std::env::current_dir().unwrap_or_default().display()),
        format!("first {}", std::env::args().next().unwrap_or_default()),
    ];
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let signals = status.lines().filter(|line| line.starts_with("SigBlk") || line.starts_with("SigIgn"));
    let text: Vec<String> = facts.into_iter().chain(signals.map(str::to_owned)).collect();
    boot.into_link().write_all(text.join("\n").as_bytes()).expect("the parent listens");
    0
}

pub(crate) fn say_ready(link: &mut UnixStream) {
    // The parent may have lost its interest already.
    let _unheard = link.write_all(b"r");
}

/// Starts a child; its link has a time limit for reads, so that no test waits for ever.
pub(crate) async fn start(role: &'static str, name: &str) -> (Process, UnixStream) {
    start_with(Spec::new(role, name)).await
}

pub(crate) async fn start_with(spec: Spec) -> (Process, UnixStream) {
    let (process, link) = spawn(spec).await.expect("a child starts");
    link.set_read_timeout(Some(SOON)).expect("a socket");
    (process, link)
}

/// Starts a child and waits until it says that it is in its role.
pub(crate) async fn start_ready(role: &'static str, name: &str) -> (Process, UnixStream) {
    let (process, mut link) = start(role, name).await;
    let mut byte = [0];
    link.read_exact(&mut byte).expect("the child says that it is ready");
    assert_eq!(&byte, b"r");
    (process, link)
}

pub(crate) fn read_pid(link: &mut UnixStream) -> ProcessInfo {
    let mut pid = [0; 4];
    link.read_exact(&mut pid).expect("the child says a number");
    ProcessInfo::of(u32::from_le_bytes(pid)).expect("that process runs")
}

pub(crate) fn environment(key: &str, value: &str) -> (OsString, OsString) {
    (key.into(), value.into())
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

/// Runs a test in a runtime of its own, and fails it if it leaves anything behind.
pub(crate) fn leak_checked(test: impl Future<Output = ()>) {
    let guard = LeakGuard::new();
    block_on(async {
        test.await;
        // What was dropped is reaped by system tasks, which need this runtime for it.
        triune_scope::Run::current().close().await;
    });
    guard.finish();
}

pub(crate) const PARENT_GONE: i32 = exit_code::PARENT_GONE as i32;
