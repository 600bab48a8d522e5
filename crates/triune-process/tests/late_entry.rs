//! A program that calls `init` by hand, inside of a runtime that already runs: what a plain `#[tokio::main]` does.
//!
//! This binary has no constructor; its children run libtest again and reach the entry in the test below.

use std::io::Read;
use std::net::Shutdown;
use std::time::Duration;

use linkme::distributed_slice;
use triune_process::{Boot, Exit, ROLES, Role, Spec, spawn};
use triune_testing::LeakGuard;

#[distributed_slice(ROLES)]
static NESTED: Role = Role { name: "nested", main: nested };

/// Starts a runtime, which would panic inside of another one. Ends when the parent has nothing more to say.
fn nested(boot: Boot) -> u8 {
    use std::io::Write;
    let mut link = boot.into_link();
    runtime().block_on(async move {
        link.write_all(b"in my own runtime").expect("the parent listens");
        link.shutdown(Shutdown::Write).expect("the link is open");
        link.read_to_end(&mut Vec::new()).expect("the parent closes its end");
    });
    5
}

/// A number from what the system knows of a process.
fn number_in_status(pid: u32, field: &str) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|number| number.trim().parse().ok()).expect("the system knows the field")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

#[test]
fn a_role_may_start_a_runtime_and_its_guardian_none_although_the_entry_was_inside_of_one() {
    let guard = LeakGuard::new();
    runtime().block_on(async {
        triune_process::init();
        let (child, mut link) = spawn(Spec::new("nested", "child")).await.unwrap();
        link.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut said = String::new();
        link.read_to_string(&mut said).unwrap();
        assert_eq!(said, "in my own runtime");
        // The guardian takes signals by a mask, and makes namespaces: neither works with a second thread.
        assert_eq!(number_in_status(number_in_status(child.pid(), "PPid"), "Threads"), 1);
        drop(link);
        assert_eq!(child.wait().await, Exit::Code(5));
    });
    guard.finish();
}
