//! A program that calls `init` by hand, inside of a runtime that already runs: what a plain `#[tokio::main]` does.
//!
//! This binary has no constructor; its children run libtest again and reach the entry in the test below.

use std::io::Read;
use std::time::Duration;

use linkme::distributed_slice;
use triune_process::{Boot, Exit, ROLES, Role, Spec, spawn};
use triune_testing::LeakGuard;

#[distributed_slice(ROLES)]
static NESTED: Role = Role { name: "nested", main: nested };

/// Starts a runtime, which would panic inside of another one.
fn nested(boot: Boot) -> u8 {
    use std::io::Write;
    let mut link = boot.into_link();
    runtime().block_on(async move { link.write_all(b"in my own runtime").expect("the parent listens") });
    5
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

#[test]
fn a_role_may_start_a_runtime_although_its_entry_was_inside_of_one() {
    let guard = LeakGuard::new();
    runtime().block_on(async {
        triune_process::init();
        let (child, mut link) = spawn(Spec::new("nested", "child")).await.unwrap();
        link.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut said = String::new();
        link.read_to_string(&mut said).unwrap();
        assert_eq!(said, "in my own runtime");
        assert_eq!(child.wait().await, Exit::Code(5));
    });
    guard.finish();
}
