//! `kill -9` of each process, in each phase.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixListener;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use triune_testing::{LeakGuard, ProcessInfo, wait_gone, wait_until};

use crate::program::PHASES;

/// What the tree may take: a second, and the grace of its actors (500 ms) once on each level beneath the root.
const LIMIT: Duration = Duration::from_millis(1000 + 2 * 500);

/// How long the rest of the program may take to end by itself: the ladder of each level as well, on a busy machine.
const NOT_FOR_EVER: Duration = Duration::from_secs(10);

/// The program, running, and all of its processes.
pub(crate) struct Program {
    root: Child,
    output: BufReader<ChildStdout>,
    tag: String,
    pids: Vec<(String, u32)>,
    /// A clean-up in the program lasts until this is dropped.
    gate: Option<UnixListener>,
    _folder: tempfile::TempDir,
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

/// Every process that was started by the program of this tag, directly or not, and lives.
fn tagged(tag: &str) -> Vec<ProcessInfo> {
    let entry = format!("TEST_TAG={tag}\0");
    let pids = std::fs::read_dir("/proc").unwrap();
    let pids = pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let ours = pids.filter(|pid| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.windows(entry.len()).any(|window| window == entry.as_bytes())
    });
    ours.filter_map(ProcessInfo::of).filter(|process| process.state != 'Z').collect()
}

impl Program {
    fn start(phase: &str, workers: &str) -> Self {
        Self::start_with(phase, &[("TEST_WORKERS", workers)])
    }

    pub(crate) fn start_with(phase: &str, env: &[(&str, &str)]) -> Self {
        let tag = format!("{}-{phase}-{:?}", std::process::id(), Instant::now());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gate");
        let gate = Some(UnixListener::bind(&path).unwrap());
        #[expect(clippy::disallowed_methods, reason = "a root of its own")]
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "program::the_program", "--ignored", "--nocapture"]);
        let command = command.env("TEST_PHASE", phase).env("TEST_TAG", &tag).envs(env.iter().copied());
        let command = command.env("TEST_GATE", path).env("RUST_BACKTRACE", "0");
        let mut root =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = BufReader::new(root.stdout.take().unwrap());
        let pids = vec![("root".to_owned(), root.id())];
        let mut program = Self { root, output, tag, pids, gate, _folder: folder };
        program.listen(phase);
        program
    }

    /// Listens until everything is in place.
    fn listen(&mut self, phase: &str) {
        let mut waits_for = vec!["ready", "pid busy"];
        match phase {
            "deaf" => waits_for.truncate(1),
            "in a call" => waits_for.push("hanging"),
            "cleaning up" => waits_for.extend(["hanging", "cleaning up"]),
            _ => {}
        }
        while !waits_for.is_empty() {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "{phase}: the program ended too early");
            if let Some((label, pid)) = line.trim().strip_prefix("pid ").and_then(|rest| rest.split_once(' '))
            {
                self.pids.push((label.to_owned(), pid.parse().unwrap()));
            }
            waits_for.retain(|word| !line.starts_with(word));
            if phase == "cleaning up" && waits_for == ["cleaning up"] {
                signal(self.root.id(), Signal::TERM);
            }
        }
        for (label, command) in [("guardian", "triune:guardian"), ("fork server", "triune:fork-server")] {
            let found = self.tagged().into_iter().find(|process| process.command == command);
            self.pids.extend(found.map(|process| (label.to_owned(), process.pid)));
        }
        if phase == "booting" {
            let boots = || self.tagged().iter().any(|process| process.command.starts_with("triune:/slow"));
            assert!(wait_until(NOT_FOR_EVER, boots));
        }
    }

    pub(crate) fn tagged(&self) -> Vec<ProcessInfo> {
        tagged(&self.tag)
    }

    pub(crate) fn pid(&self, label: &str) -> u32 {
        self.pids
            .iter()
            .find(|(known, _)| known == label)
            .unwrap_or_else(|| panic!("no {label}: {:?}", self.pids))
            .1
    }

    /// Waits for the root, which was killed.
    pub(crate) fn reap(&mut self) {
        self.root.wait().unwrap();
    }

    /// Kills a process. Gives what the program said afterwards.
    fn kill(mut self, victim: &str, phase: &str) -> String {
        // The shell that started it does not wait until it has become what it will be.
        let escaped = || tagged(&self.tag).iter().any(|process| process.command == "sleep 1000");
        assert!(wait_until(NOT_FOR_EVER, escaped), "{victim}, {phase}: {:#?}", self.tagged());
        let everything = self.tagged();
        let killed = kill_process(Pid::from_raw(self.pid(victim).cast_signed()).unwrap(), Signal::KILL);
        // A cancel kills a busy worker at once.
        assert!(
            killed.is_ok() || (victim, phase) == ("busy", "cleaning up"),
            "{victim}, {phase}: {killed:?}"
        );
        self.gate = None;
        if ["idle", "fork server"].contains(&victim) && phase != "cleaning up" {
            // Nobody misses it. So the program is told to end.
            signal(self.root.id(), Signal::TERM);
        }
        let ended = wait_until(NOT_FOR_EVER, || self.root.try_wait().unwrap().is_some());
        if !ended {
            let left = self.tagged();
            left.iter().for_each(|process| signal(process.pid, Signal::KILL));
            self.root.wait().unwrap();
            panic!("{victim}, {phase}: the program waits for ever: {left:#?}");
        }
        let gone = wait_gone(&everything, if victim == "root" { LIMIT } else { Duration::from_secs(1) });
        let left = self.tagged();
        left.iter().for_each(|process| signal(process.pid, Signal::KILL));
        assert!(gone.is_ok() && left.is_empty(), "{victim}, {phase}: {gone:?} {left:#?}");
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        text
    }
}

fn row(victim: &str) {
    row_with(victim, "spawned", &PHASES);
}

/// The same with workers that were forked, in the phases in which that could matter.
fn forked_row(victim: &str) {
    row_with(victim, "forked", &["in a call", "booting", "cleaning up"]);
}

fn row_with(victim: &str, workers: &str, phases: &[&str]) {
    let guard = LeakGuard::new();
    for phase in phases {
        let text = Program::start(phase, workers).kill(victim, phase);
        let outcome = text.lines().find_map(|line| line.strip_prefix("outcome "));
        match victim {
            "root" => assert_eq!(outcome, None, "{phase}"),
            // Nobody misses it; and what is cancelled already may end either way.
            "idle" | "fork server" => {}
            _ if *phase == "cleaning up" => {}
            _ => {
                let outcome = outcome.unwrap_or_else(|| panic!("{victim}, {phase}: {text}"));
                // The types are looked at in `odd_ends`, where the test is the root.
                assert!(outcome.contains(" died while "), "{victim}, {phase}: {outcome}");
            }
        }
    }
    guard.finish();
}

#[test]
fn a_killed_root_leaves_nothing() {
    row("root");
}

#[test]
fn a_killed_guardian_leaves_nothing_and_is_noticed() {
    row("guardian");
}

#[test]
fn a_killed_actor_in_the_middle_leaves_nothing_and_is_noticed() {
    row("middle");
}

#[test]
fn a_killed_leaf_leaves_nothing_and_is_noticed() {
    row("leaf");
}

#[test]
fn a_killed_busy_worker_leaves_nothing_and_is_noticed() {
    row("busy");
}

#[test]
fn a_killed_idle_worker_leaves_nothing_and_is_not_missed() {
    row("idle");
}

#[test]
fn a_killed_root_of_forked_workers_leaves_nothing() {
    forked_row("root");
}

#[test]
fn a_killed_guardian_of_forked_workers_leaves_nothing_and_is_noticed() {
    forked_row("guardian");
}

#[test]
fn a_killed_fork_server_leaves_nothing_and_is_not_missed() {
    forked_row("fork server");
}

#[test]
fn a_killed_busy_forked_worker_leaves_nothing_and_is_noticed() {
    forked_row("busy");
}

#[test]
fn a_killed_idle_forked_worker_leaves_nothing_and_is_not_missed() {
    forked_row("idle");
}

/// The second signal does not wait for what the first one has begun.
#[test]
fn a_second_sigterm_ends_a_tree_at_once_that_takes_its_time_to_clean_up() {
    let guard = LeakGuard::new();
    let mut program = Program::start("cleaning up", "spawned");
    let everything = program.tagged();
    assert!(program.root.try_wait().unwrap().is_none(), "it has 20 s to clean up");
    signal(program.pid("root"), Signal::TERM);
    let ended = wait_until(Duration::from_secs(1), || program.root.try_wait().unwrap().is_some());
    let gone = if ended { wait_gone(&everything, Duration::from_secs(1)) } else { Ok(()) };
    let left = program.tagged();
    left.iter().for_each(|process| signal(process.pid, Signal::KILL));
    let status = program.root.wait().unwrap();
    assert!(ended && gone.is_ok() && left.is_empty(), "{gone:?} {left:#?}");
    assert_eq!(status.code(), Some(143), "{status}");
    drop(program);
    guard.finish();
}

/// Whoever has stopped the guardian does not keep it from its work for longer than the root lives: the kernel lets a stopped
/// process group go on when nobody is left who could (POSIX, `_exit`: a newly orphaned process group).
#[test]
fn a_root_that_is_killed_while_its_guardian_is_stopped_leaves_nothing() {
    let guard = LeakGuard::new();
    let program = Program::start("in a call", "spawned");
    let guardian = program.pid("guardian");
    signal(guardian, Signal::STOP);
    let stopped = || ProcessInfo::of(guardian).is_some_and(|process| process.state == 'T');
    assert!(wait_until(NOT_FOR_EVER, stopped));
    program.kill("root", "in a call");
    guard.finish();
}
