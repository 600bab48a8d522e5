//! Children without a grace: the system itself ends them with their owner, also while the guardian is stopped.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use linkme::distributed_slice;
use triune_process::{
    Boot, Containment, Exit, Ladder, Process, ROLES, Role, Spec, containment, set_containment,
};
use triune_testing::{LeakGuard, ProcessInfo, processes_of_tree, skip, wait_gone, wait_until};

use crate::stopped_guardian::{Stopped, signal};
use crate::support::{SOON, block_on, leak_checked, read_pid, say_ready, start, start_with};

#[distributed_slice(ROLES)]
static BOUND: Role = Role { name: "bound", main: bound };
#[distributed_slice(ROLES)]
static OWNER_OF_BOUND: Role = Role { name: "owner of bound", main: owner };
#[distributed_slice(ROLES)]
static TERMINABLE: Role = Role { name: "terminable", main: terminable };

/// What DESIGN.md promises.
const LIMIT: Duration = Duration::from_secs(1);

/// Waits for its job, as a worker does, and computes then for ever: from there on it sees nothing.
fn bound(boot: Boot) -> u8 {
    boot.die_with_parent().expect("it has a guardian");
    let mut link = boot.into_link();
    let mut job = [0];
    match link.read(&mut job) {
        Ok(1) if job == *b"f" => fork(),
        Ok(1) => {}
        _ => return 0,
    }
    say_ready(&mut link);
    loop {
        std::hint::black_box(0);
    }
}

/// Makes a copy of this process that has everything open that it has, and does nothing.
fn fork() {
    // SAFETY: the process has one thread, and the copy makes one system call after the other.
    if unsafe { libc::fork() } == 0 {
        loop {
            // SAFETY: takes nothing.
            unsafe { libc::pause() };
        }
    }
}

async fn start_bound(job: &[u8]) -> (Process, std::os::unix::net::UnixStream) {
    let (process, mut link) = start_with(Spec::new("bound", "bound").orphan_grace(Duration::ZERO)).await;
    link.write_all(job).expect("the child listens");
    link.read_exact(&mut [0]).expect("the child says that it is ready");
    (process, link)
}

/// Starts bound children, and says the number of each that is busy: one, or one after the other.
fn owner(boot: Boot) -> u8 {
    let jobs = boot.name().to_owned();
    let mut link = boot.into_link();
    block_on(async move {
        let mut children = Vec::new();
        for job in jobs.into_bytes() {
            children.push(start_bound(&[job]).await);
            link.write_all(&children.last().expect("it was put there").0.pid().to_le_bytes())
                .expect("the parent listens");
        }
        std::future::pending().await
    })
}

/// Heeds SIGTERM, and so does a child in its group: each says so.
fn terminable(boot: Boot) -> u8 {
    use std::os::unix::process::CommandExt;
    let link = boot.into_link();
    let script = "trap 'wait; printf l; exit 7' TERM; \
                  sh -c 'trap \"printf g; exit\" TERM; printf r; while :; do sleep 0.01; done' & \
                  while :; do sleep 0.01; done";
    #[expect(clippy::disallowed_methods, reason = "replaces this process, and starts none")]
    let mut shell = std::process::Command::new("/bin/sh");
    let error = shell.arg("-c").arg(script).stdout(std::os::fd::OwnedFd::from(link)).exec();
    panic!("there is a shell: {error}")
}

/// Kills an owner while the guardian is stopped; its children are gone, and the guardian has done nothing for it.
async fn dies_with_its_owner(jobs: &str) {
    let (owner, mut link) = start("owner of bound", jobs).await;
    let children: Vec<ProcessInfo> = jobs.bytes().map(|_| read_pid(&mut link)).collect();
    let stopped = Stopped::guardian_of(owner.pid());
    assert!(children.iter().all(|child| child.now().is_some()), "{children:?}");
    owner.kill();
    wait_gone(&children, LIMIT).expect("they die with it");
    assert!(stopped.is_stopped());
    drop(stopped);
    owner.wait_gone().await;
}

#[test]
fn a_busy_child_of_a_killed_owner_is_gone_within_a_second_while_the_guardian_is_stopped() {
    leak_checked(dies_with_its_owner("jjj"));
}

#[test]
fn a_copy_that_the_child_has_made_of_itself_does_not_hold_it() {
    leak_checked(dies_with_its_owner("ff"));
}

/// Not a test: the same in a program of its own, at the level `Hard`.
#[test]
#[ignore = "runs as a child of at_the_level_hard_it_is_the_same"]
fn at_the_level_hard() {
    set_containment(Containment::Hard).expect("nothing was started yet");
    leak_checked(dies_with_its_owner("jf"));
    println!("in force is {}", containment());
}

/// There, a child has another number for the guardian than for its owner.
#[test]
fn at_the_level_hard_it_is_the_same() {
    let guard = LeakGuard::new();
    #[expect(clippy::disallowed_methods, reason = "a root of its own")]
    let mut program = std::process::Command::new(std::env::current_exe().expect("a test has an executable"));
    program.args(["--exact", "bound::at_the_level_hard", "--ignored", "--nocapture"]);
    let output = program.output().expect("it can be started");
    assert!(output.status.success(), "{output:?}");
    if !String::from_utf8_lossy(&output.stdout).contains("in force is hard") {
        skip("a bound child at the level hard", "it is not to be had here");
    }
    guard.finish();
}

/// The moment at which the owner is killed is anywhere between the order and the job.
#[test]
fn nothing_is_left_of_an_owner_that_is_killed_while_it_starts_children_and_the_guardian_is_stopped() {
    leak_checked(async {
        for round in 0..20_u32 {
            let (owner, mut link) = start("owner of bound", &"j".repeat(1000)).await;
            let guardian = read_pid(&mut link).parent;
            // Spread over the time that two starts take, which is not told beforehand.
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_micros(u64::from(round) * 97) {
                std::hint::spin_loop();
            }
            signal(guardian, libc::SIGSTOP);
            owner.kill();
            // One that is just starting a process stops when that has begun to execute.
            let is_stopped = || ProcessInfo::of(guardian).is_some_and(|guardian| guardian.state == 'T');
            let stopped = wait_until(SOON, is_stopped);
            let bound = |process: &ProcessInfo| process.command == "triune:bound";
            let left = || processes_of_tree().into_iter().filter(bound).collect::<Vec<_>>();
            let gone = wait_until(LIMIT, || left().is_empty());
            let (left, still_stopped) = (left(), is_stopped());
            signal(guardian, libc::SIGCONT);
            assert!(stopped && gone && still_stopped, "round {round}: {stopped}, {still_stopped}, {left:?}");
            owner.wait_gone().await;
        }
    });
}

#[test]
fn the_ladder_of_a_bound_child_has_all_its_steps() {
    leak_checked(async {
        let spec = Spec::new("terminable", "terminable").orphan_grace(Duration::ZERO);
        let (process, mut link) = start_with(spec).await;
        link.read_exact(&mut [0]).unwrap();
        let ladder = Ladder::new(Duration::ZERO, SOON);
        assert_eq!(process.terminate(&ladder, "test").await, Exit::Code(7));
        let mut said = String::new();
        link.read_to_string(&mut said).unwrap();
        assert_eq!(said, "gl", "its group was told, too");
    });
}
