//! Processes that are just becoming another program when somebody looks at them: for that moment they have no environment, by which
//! alone it is known whose they are.
//!
//! Each of them executes itself again and again, some thousand times a second, so that a few looks in a hundred meet that moment.

use std::io::Read;

use linkme::distributed_slice;
use triune_process::{Boot, ROLES, Role};
use triune_testing::{ProcessInfo, wait_gone};

use crate::outlaws::{read_processes, say, shell};
use crate::support::{SOON, leak_checked, start};

#[distributed_slice(ROLES)]
static RESTLESS: Role = Role { name: "restless", main: restless };

/// Executes itself for ever: the same process, each time a new program. Its first argument is this text.
const AGAIN: &str = "exec sh -c \"$0\" \"$0\"";

/// Leaves as many of them as its name says in sessions of their own, says their numbers, and exits when it is told, or at the end of its
/// link.
fn restless(boot: Boot) -> u8 {
    let many: usize = boot.name().parse().expect("the name is a number");
    let mut link = boot.into_link();
    let start = format!("setsid sh -c '{AGAIN}' '{AGAIN}' & echo $!");
    let pids: Vec<String> = (0..many).map(|_| shell(&start)).collect();
    say(&mut link, &format!("{}\n", pids.join(" ")));
    let _told_or_alone = link.read(&mut [0]);
    0
}

/// Every end of another child is followed by a look at all of them.
#[test]
fn what_a_living_child_has_in_the_background_stays_also_while_it_becomes_another_program() {
    leak_checked(async {
        let (restless, mut link) = start("restless", "3").await;
        let beneath = read_processes(&mut link);
        assert_eq!(beneath.len(), 3);
        for round in 0..300 {
            let (other, _link) = start("exit", "0").await;
            assert!(other.wait_gone().await.is_success());
            let left = beneath.iter().filter(|process| process.now().is_some()).count();
            assert_eq!(left, 3, "after {round} ends of others");
        }
        drop(link);
        restless.wait_gone().await;
        assert!(beneath.iter().all(|process| process.now().is_none()), "{beneath:?}");
    });
}

/// One beneath each, because others that are found would be looked after once more, and this one with them.
#[test]
fn what_a_child_leaves_is_gone_with_it_also_while_it_becomes_another_program() {
    leak_checked(async {
        for round in 0..25 {
            let mut children = Vec::new();
            for _ in 0..6 {
                let (restless, mut link) = start("restless", "1").await;
                children.push((restless, read_processes(&mut link), link));
            }
            for (restless, beneath, link) in children {
                drop(link);
                restless.wait_gone().await;
                let left: Vec<_> = beneath.iter().filter_map(ProcessInfo::now).collect();
                assert!(left.is_empty(), "round {round}: {left:?}");
            }
        }
    });
}

/// The root looks for the mark in the environments of all processes then.
#[test]
fn what_a_killed_guardian_leaves_is_found_also_while_it_becomes_another_program() {
    leak_checked(async {
        for round in 0..30 {
            let (restless, mut link) = start("restless", "1").await;
            let beneath = read_processes(&mut link);
            let guardian = ProcessInfo::of(restless.pid()).unwrap().parent;
            crate::guardian::signal(guardian, libc::SIGKILL);
            restless.wait_gone().await;
            let gone = wait_gone(&beneath, SOON);
            if gone.is_err() {
                beneath.iter().for_each(|process| crate::guardian::signal(process.pid, libc::SIGKILL));
            }
            gone.unwrap_or_else(|left| panic!("round {round}: {left:?}"));
        }
    });
}
