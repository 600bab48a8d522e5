//! The root's answer to signals: first in order, then at once, also when its event loop is stuck.

use std::io::{Read, Write};

use linkme::distributed_slice;
use tokio::time::timeout;
use triune_process::{Boot, Exit, ROLES, Role, signals};
use triune_scope::{Cause, Run, sleep};
use triune_testing::wait_gone;

use crate::support::{SOON, block_on, leak_checked, read_pid, say_ready, start, start_ready};

#[distributed_slice(ROLES)]
static ORDERLY: Role = Role { name: "orderly", main: orderly };
#[distributed_slice(ROLES)]
static STUCK: Role = Role { name: "stuck", main: stuck };

/// A root (as far as signals go) that waits for its cancel, and exits with the number of the signal.
fn orderly(boot: Boot) -> u8 {
    let mut link = boot.into_link();
    block_on(async move {
        let run = Run::current();
        run.spawn_system("signals", signals(run.clone()));
        listening().await;
        let main = run.main(async {
            say_ready(&mut link);
            sleep(SOON).await.expect_err("the signal comes before").reason().clone()
        });
        let reason = main.await.expect("it ends by itself");
        run.close().await;
        let Cause::Signal(number) = *reason.cause() else { return 1 };
        u8::try_from(number).expect("a small number")
    })
}

/// A root whose event loop never comes round again, with a child of its own.
fn stuck(boot: Boot) -> u8 {
    let mut link = boot.into_link();
    block_on(async move {
        let run = Run::current();
        run.spawn_system("signals", signals(run.clone()));
        listening().await;
        let (child, _link) = start("busy", "grandchild").await;
        link.write_all(&child.pid().to_le_bytes()).expect("the parent listens");
        while run.cancel_reason().is_none() {
            std::hint::spin_loop();
        }
        say_ready(&mut link);
        loop {
            std::hint::spin_loop();
        }
    })
}

/// Waits until this process catches SIGTERM.
async fn listening() {
    let catches = || {
        let status = std::fs::read_to_string("/proc/self/status").expect("this process runs");
        let caught =
            status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a line for each mask");
        let caught = u64::from_str_radix(caught.trim(), 16).expect("a number in hex");
        caught & (1 << (libc::SIGTERM - 1)) != 0
    };
    let listening = async {
        while !catches() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, listening).await.expect("the handlers are installed");
}

#[test]
fn the_first_signal_cancels_the_main_task() {
    leak_checked(async {
        for signal in [libc::SIGTERM, libc::SIGHUP] {
            let (root, _link) = start_ready("orderly", "root").await;
            assert!(root.signal(signal).unwrap());
            assert_eq!(root.wait().await, Exit::Code(signal));
        }
    });
}

#[test]
fn the_second_signal_ends_a_stuck_program_and_its_children() {
    leak_checked(async {
        let (root, mut link) = start("stuck", "root").await;
        let grandchild = read_pid(&mut link);
        assert!(root.signal(libc::SIGHUP).unwrap());
        link.read_exact(&mut [0]).unwrap();
        assert!(root.signal(libc::SIGTERM).unwrap());
        assert_eq!(root.wait().await, Exit::Code(128 + libc::SIGTERM));
        wait_gone(&[grandchild], SOON).unwrap();
    });
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    leak_checked(async {
        // Children of triune ignore SIGINT, as a job in the background of a shell does.
        let (root, _link) = start_ready("orderly", "root").await;
        assert!(root.signal(libc::SIGINT).unwrap());
        assert!(root.signal(libc::SIGTERM).unwrap());
        assert_eq!(root.wait().await, Exit::Code(libc::SIGTERM));
    });
}
