//! What a tree leaves behind when one of its processes ends, whichever it is: nothing.
//!
//! The roots that are killed here are programs of their own: this binary once more, with `a_root_with_children` for a main.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use triune_process::{Containment, Exit, PROGRAM, Program, Spec, containment};
use triune_testing::{LeakGuard, ProcessInfo, wait_gone, wait_until};

use crate::outlaws::{read_line, read_processes};
use crate::support::{SOON, block_on, leak_checked, start, start_ready, start_with};

/// What DESIGN.md promises, for a tree whose processes ask for no grace.
const LIMIT: Duration = Duration::from_secs(1);

/// The grace of the children that ask for one, and do not need it.
const GRACE: Duration = Duration::from_millis(500);

fn all_gone(processes: &[ProcessInfo]) -> bool {
    processes.iter().all(|process| process.now().is_none())
}

#[test]
fn what_a_child_leaves_is_gone_when_it_is_waited_for() {
    leak_checked(async {
        let (outlaw, mut link) = start("outlaw", "outlaw").await;
        let strays = read_processes(&mut link);
        assert_eq!(strays.len(), 4);
        link.write_all(b"s").unwrap();
        assert_eq!(outlaw.wait_gone().await, Exit::Code(0));
        assert!(all_gone(&strays), "{strays:?}");
    });
}

#[test]
fn what_a_killed_child_leaves_is_gone_when_it_is_waited_for() {
    leak_checked(async {
        let (outlaw, mut link) = start("outlaw", "outlaw").await;
        let strays = read_processes(&mut link);
        outlaw.kill();
        assert_eq!(outlaw.wait_gone().await.signal(), Some(libc::SIGKILL));
        assert!(all_gone(&strays), "{strays:?}");
    });
}

#[test]
fn what_a_living_child_has_put_in_the_background_stays() {
    leak_checked(async {
        let (outlaw, mut link) = start("outlaw", "outlaw").await;
        // But for the third one, which cannot be told from a leftover.
        let mut strays = read_processes(&mut link);
        strays.remove(2);
        for _ in 0..3 {
            let (other, _link) = start("exit", "0").await;
            assert!(other.wait_gone().await.is_success());
        }
        assert!(strays.iter().all(|stray| stray.now().is_some()), "{strays:?}");
        let guardian = ProcessInfo::of(outlaw.pid()).unwrap().parent;
        assert_eq!(strays[0].now().unwrap().parent, guardian);
        drop(link);
        outlaw.wait_gone().await;
        assert!(all_gone(&strays), "{strays:?}");
    });
}

#[test]
fn the_end_is_told_at_once_and_the_sweep_after_the_grace_of_what_is_beneath() {
    leak_checked(async {
        let (owner, mut link) = start("owner", "owner").await;
        let beneath = read_processes(&mut link);
        owner.kill();
        assert_eq!(owner.wait().await.signal(), Some(libc::SIGKILL));
        // It is deaf, and has 500 ms.
        assert!(beneath[0].now().is_some(), "an orphan is given its grace");
        owner.wait_gone().await;
        assert!(all_gone(&beneath), "{beneath:?}");
    });
}

#[test]
fn a_child_of_a_child_has_the_same_guardian_and_another_owner() {
    leak_checked(async {
        let (owner, mut link) = start("owner", "owner").await;
        let beneath = read_processes(&mut link);
        let guardian = ProcessInfo::of(owner.pid()).unwrap().parent;
        assert_eq!(beneath[0].parent, guardian);
        assert_eq!(ProcessInfo::of(guardian).unwrap().parent, std::process::id());
        owner.kill();
        owner.wait_gone().await;
    });
}

#[test]
fn a_killed_guardian_takes_the_tree_along_and_the_next_start_makes_another() {
    leak_checked(async {
        for _ in 0..3 {
            let (outlaw, mut link) = start("outlaw", "outlaw").await;
            let (busy, _link) = start_ready("busy", "busy").await;
            let strays = read_processes(&mut link);
            let guardian = ProcessInfo::of(outlaw.pid()).unwrap().parent;
            signal(guardian, libc::SIGKILL);
            for exit in [outlaw.wait().await, busy.wait_gone().await] {
                // Before Linux 6.15 nobody can tell.
                assert!(exit == Exit::Unknown || exit.signal() == Some(libc::SIGKILL), "{exit}");
            }
            // The one without an environment cannot be known for ours without its guardian: that is the gap of this level.
            let (nameless, strays): (Vec<_>, Vec<_>) =
                strays.into_iter().enumerate().partition(|(at, _)| *at == 2);
            let strays: Vec<_> = strays.into_iter().map(|(_, stray)| stray).collect();
            wait_gone(&strays, LIMIT).unwrap();
            nameless.iter().for_each(|(_, stray)| signal(stray.pid, libc::SIGKILL));
        }
    });
}

#[test]
fn a_guardian_ends_by_itself_when_it_has_nothing_to_guard() {
    leak_checked(async {
        let (echo, link) = start_ready("echo", "echo").await;
        let guardian = ProcessInfo::of(ProcessInfo::of(echo.pid()).unwrap().parent).unwrap();
        assert_eq!(guardian.command, "triune:guardian");
        drop(link);
        assert!(echo.wait_gone().await.is_success());
        assert!(wait_until(SOON, || guardian.now().is_none()));
    });
}

#[test]
fn signals_of_the_terminal_do_not_end_a_guardian() {
    leak_checked(async {
        let (echo, link) = start_ready("echo", "echo").await;
        let guardian = ProcessInfo::of(echo.pid()).unwrap().parent;
        for number in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
            signal(guardian, number);
        }
        let (other, other_link) = start_ready("echo", "other").await;
        assert_eq!(ProcessInfo::of(other.pid()).unwrap().parent, guardian);
        drop((link, other_link));
        assert!(echo.wait_gone().await.is_success() && other.wait_gone().await.is_success());
    });
}

#[test]
fn a_large_environment_reaches_the_child() {
    leak_checked(async {
        let large = "x".repeat(100_000);
        let (report, mut link) = start_with(Spec::new("report", "large").env("EXTRA", &large)).await;
        let mut text = String::new();
        link.read_to_string(&mut text).unwrap();
        assert!(text.contains(&format!("extra {large}\n")));
        assert!(report.wait().await.is_success());
    });
}

/// Not a test: the root that the tests below kill. It starts what its environment says, says all numbers, and waits.
#[test]
#[ignore = "runs as a program of its own"]
fn a_root_with_children() {
    let Ok(roles) = std::env::var("TEST_ROOT") else { return };
    block_on(async {
        let mut children = Vec::new();
        for role in roles.split(',') {
            let role: &'static str = ["outlaw", "owner", "busy", "deaf", PROGRAM]
                .into_iter()
                .find(|known| *known == role)
                .unwrap();
            let mut spec = Spec::new(role, role).orphan_grace(GRACE);
            if role == PROGRAM {
                // An empty line says that it is there; it never looks at anything else.
                spec = spec.program(Program::new("sh").args(["-c", "echo >&3; exec sleep 1000"]));
            }
            let (child, mut link) = start_with(spec).await;
            let beneath = if role == "busy" { String::new() } else { read_line(&mut link) };
            println!("pids {} {beneath}", child.pid());
            children.push((child, link));
        }
        println!("ready {}", containment());
        std::future::pending::<()>().await;
    });
}

/// A root of its own, and what is beneath it.
struct Root {
    root: Child,
    _output: BufReader<ChildStdout>,
    beneath: Vec<ProcessInfo>,
    guardians: Vec<u32>,
}

impl Root {
    fn start(roles: &str, level: Containment) -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "a root of its own")]
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "guardian::a_root_with_children", "--ignored", "--nocapture"]);
        let command = command.env("TEST_ROOT", roles).env("TRIUNE_CONTAINMENT", level.name());
        let mut root = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(root.stdout.take().unwrap());
        let (mut beneath, mut guardians) = (Vec::new(), Vec::new());
        loop {
            let mut line = String::new();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "the root ended too early");
            if let Some(pids) = line.strip_prefix("pids ") {
                let mut pids = pids.split_ascii_whitespace().map(|pid| pid.parse().unwrap());
                let first = ProcessInfo::of(pids.next().unwrap()).unwrap();
                let rest = pids.map(|pid| find_beside(first.pid, pid)).collect::<Vec<_>>();
                let pids: Vec<_> = std::iter::once(first).chain(rest).collect();
                guardians = guardians_above(&pids[0], root.id());
                beneath.extend(pids);
            } else if let Some(in_force) = line.strip_prefix("ready ") {
                if in_force.trim() == level.name() {
                    break;
                }
                let why = format!("it is not to be had here, only {in_force}");
                triune_testing::skip(&format!("the level {level}"), &why);
                root.kill().unwrap();
                root.wait().unwrap();
                wait_gone(&beneath, LIMIT + GRACE).unwrap();
                return None;
            }
        }
        Some(Self { root, _output: output, beneath, guardians })
    }

    /// Kills processes in one instant: none of them sees the death of another.
    fn kill(mut self, pids: &[u32], limit: Duration) {
        pids.iter().for_each(|pid| signal(*pid, libc::SIGSTOP));
        pids.iter().for_each(|pid| signal(*pid, libc::SIGKILL));
        if pids.contains(&self.root.id()) {
            self.root.wait().unwrap();
        }
        let gone = wait_gone(&self.beneath, limit);
        // Also if that failed.
        let _dead_already = self.root.kill();
        self.root.wait().unwrap();
        gone.unwrap();
        let guardians: Vec<_> = self.guardians.iter().filter_map(|pid| ProcessInfo::of(*pid)).collect();
        wait_gone(&guardians, LIMIT).unwrap();
    }
}

/// The process that a neighbour in its pid namespace calls by this number.
fn find_beside(neighbour: u32, number: u32) -> ProcessInfo {
    let namespace = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let numbers = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default().to_owned()
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    let mut found =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(|pid| {
            numbers(*pid).split_ascii_whitespace().any(|own| own == number.to_string())
                && namespace(*pid) == namespace(neighbour)
        });
    ProcessInfo::of(found.next().expect("that process runs")).expect("that process runs")
}

fn guardians_above(process: &ProcessInfo, root: u32) -> Vec<u32> {
    let parents =
        std::iter::successors(ProcessInfo::of(process.parent), |parent| ProcessInfo::of(parent.parent));
    parents.map(|parent| parent.pid).take_while(|pid| *pid != root).collect()
}

pub(crate) fn signal(pid: u32, number: i32) {
    // SAFETY: sends a signal to a process of this test, which takes two integers.
    unsafe { libc::kill(pid.cast_signed(), number) };
}

#[test]
fn a_killed_root_takes_the_tree_along_at_every_level() {
    let guard = LeakGuard::new();
    for level in [Containment::Cooperative, Containment::Tree, Containment::Hard] {
        // Without a guardian, what has left its process group stays; so there are no outlaws.
        let roles = if level == Containment::Cooperative { "busy,busy" } else { "outlaw,owner,busy" };
        let Some(root) = Root::start(roles, level) else { continue };
        let number_of_guardians = match level {
            Containment::Cooperative => 0,
            Containment::Tree => 1,
            _ => 2,
        };
        assert_eq!(root.guardians.len(), number_of_guardians, "{level}");
        let pid = root.root.id();
        root.kill(&[pid], LIMIT + GRACE);
    }
    guard.finish();
}

#[test]
fn a_root_that_is_killed_together_with_its_guardian_takes_the_tree_along_at_the_hard_level() {
    let guard = LeakGuard::new();
    for which in 0..3 {
        let Some(root) = Root::start("outlaw,owner,busy,deaf", Containment::Hard) else { return };
        let [inner, outer] = root.guardians[..] else { panic!("{:?}", root.guardians) };
        let pid = root.root.id();
        let victims = [vec![pid, inner, outer], vec![pid, inner], vec![pid, outer]];
        root.kill(&victims[which], LIMIT);
    }
    guard.finish();
}

#[test]
fn a_killed_guardian_takes_everything_along_at_the_hard_level() {
    let guard = LeakGuard::new();
    for which in 0..2 {
        let Some(root) = Root::start("outlaw,owner,busy,deaf", Containment::Hard) else { return };
        let victim = root.guardians[which];
        root.kill(&[victim], LIMIT);
    }
    guard.finish();
}

#[test]
fn processes_of_triune_die_with_root_and_guardian_at_the_tree_level() {
    let guard = LeakGuard::new();
    let root = Root::start("busy,program,busy", Containment::Tree).expect("the default level");
    let victims = [root.root.id(), root.guardians[0]];
    root.kill(&victims, LIMIT);
    guard.finish();
}

#[test]
fn stopped_and_deaf_children_of_a_killed_root_are_gone_after_their_grace() {
    let guard = LeakGuard::new();
    let root = Root::start("deaf,busy", Containment::Tree).expect("the default level");
    root.beneath.iter().for_each(|process| signal(process.pid, libc::SIGSTOP));
    let pid = root.root.id();
    root.kill(&[pid], LIMIT + GRACE);
    guard.finish();
}

/// A pause is nothing to start anew for: the second child, long after the end of the first, has the same guardian.
#[test]
fn children_that_are_started_one_after_another_share_a_guardian() {
    leak_checked(async {
        let mut guardians = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let (process, link) = start_ready("echo", "one of several").await;
            guardians.insert(ProcessInfo::of(process.pid()).unwrap().parent);
            drop(link);
            assert!(process.wait_gone().await.is_success());
            std::thread::park_timeout(Duration::from_millis(200));
        }
        assert_eq!(guardians.len(), 1);
    });
}
