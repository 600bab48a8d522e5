//! A program that never reaches its entry: an error that names the remedy, and never a fork bomb.
//!
//! This binary is such a program. It has no constructor, so its children run libtest again instead of a role, with the
//! test below, and would start children of their own for ever if nobody stopped them.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use triune_process::{Exit, Spec, StartError, StartErrorKind, exit_code, spawn};
use triune_testing::LeakGuard;

const LIST: &str = "TEST_PROCESS_LIST";

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

#[test]
fn a_child_that_misses_its_entry_ends_and_starts_nothing() {
    if let Some(list) = std::env::var_os(LIST) {
        // We are the child: note that we exist, and do as the parent does.
        let mut list = OpenOptions::new().append(true).open(list).unwrap();
        writeln!(list, "{}", std::process::id()).unwrap();
        drop(block_on(spawn(Spec::new("any", "grandchild"))));
        writeln!(list, "still here").unwrap();
        return;
    }
    let guard = LeakGuard::new();
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("processes-{}", std::process::id()));
    std::fs::write(&file, "").unwrap();

    // Before this, not even the parent spawns, since the child is the same program.
    let refused = block_on(spawn(Spec::new("any", "child"))).unwrap_err();
    assert!(matches!(refused.kind(), StartErrorKind::EntryNotReached(None)), "{refused:?}");
    assert!(refused.to_string().contains("call triune::init() first thing in main"), "{refused}");

    triune_process::init();
    block_on(async {
        let (child, mut link) = spawn(Spec::new("any", "child").env(LIST, &file)).await.unwrap();
        link.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(link.read(&mut [0]).unwrap(), 0, "it says nothing");
        let exit = child.wait().await;
        assert_eq!(exit, Exit::Code(exit_code::ENTRY_NOT_REACHED.into()));
        let error = StartError::ended_early(child.name(), child.pid(), exit);
        assert!(error.is_entry_not_reached(), "{error}");
        let list = std::fs::read_to_string(&file).unwrap();
        assert_eq!(list, format!("{}\n", child.pid()), "one child, and no grandchild");
    });
    std::fs::remove_file(file).unwrap();
    guard.finish();
}
