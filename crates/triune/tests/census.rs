//! The main job as a user runs it: right sums, clear messages, and nothing left after any end.

#[path = "example_programs/program.rs"]
mod program;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use program::example;
use rustix::process::{Pid, Signal, kill_process};
use triune_testing::{LeakGuard, ProcessInfo, processes_of_tree, wait_gone, wait_until};

/// No process of the census may be left after this.
const GONE: Duration = Duration::from_secs(1);

/// For what has no deadline of its own: a hang fails the test instead of stopping it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A census that runs; its processes carry the cookie of this test's tree, so that none can hide. Ended when dropped.
struct Census(Option<Child>);

impl Drop for Census {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // Only a failed test comes here; the guard looks for what is left.
            let _ended = child.kill().and_then(|()| child.wait());
        }
    }
}

impl Census {
    fn start(arguments: &[&str]) -> Self {
        let own = ProcessInfo::of(std::process::id()).expect("this process runs");
        #[expect(clippy::disallowed_methods, reason = "the program is tested as a user starts it")]
        let child = Command::new(example("census"))
            .args(arguments)
            .env("TRIUNE_TREE", format!("{}-{}-census", own.pid, own.start))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(Some(child.expect("the example starts")))
    }

    fn run(arguments: &[&str]) -> Output {
        Self::start(arguments).output()
    }

    fn pid(&self) -> u32 {
        self.0.as_ref().expect("it is taken only at the end").id()
    }

    fn output(mut self) -> Output {
        let child = self.0.take().expect("it is taken only at the end");
        child.wait_with_output().expect("the example can be waited for")
    }

    /// Waits until the actor and a worker are up and hands them out.
    fn wait_for_all(&self) -> (ProcessInfo, ProcessInfo) {
        let find =
            |name: &str| processes_of_tree().into_iter().find(|process| process.command.contains(name));
        assert!(
            wait_until(PATIENCE, || find("ledger").is_some() && find("worker").is_some()),
            "the census starts"
        );
        (find("ledger").expect("just seen"), find("worker").expect("just seen"))
    }

    /// The processes that the census has started. The census itself is this test's child, and this test's to reap.
    fn others(&self) -> Vec<ProcessInfo> {
        processes_of_tree().into_iter().filter(|process| process.pid != self.pid()).collect()
    }

    fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Waits for the end: status and what was written to standard error.
    fn end(self) -> (ExitStatus, String) {
        let pid = self.pid();
        std::thread::scope(|threads| {
            let (done, wait) = std::sync::mpsc::channel::<()>();
            threads.spawn(move || {
                if wait.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                    send(pid, Signal::KILL);
                }
            });
            let output = self.output();
            drop(done);
            (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
        })
    }
}

fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a number of a process");
    // It may have ended by itself.
    let _gone = kill_process(pid, signal);
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// A folder with so much text, by hard links, that the census takes long.
fn much_text() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = folder.path().join("text-0");
    let line = "the quick brown fox jumps over the lazy dog while 12 zebras look on\n";
    fs::write(&first, line.repeat((4 << 20) / line.len())).expect("the folder can be written");
    for copy in 1..500 {
        fs::hard_link(&first, folder.path().join(format!("text-{copy}"))).expect("a link in the same folder");
    }
    folder
}

fn path(folder: &tempfile::TempDir) -> &str {
    folder.path().to_str().expect("temporary folders have plain names")
}

#[test]
fn the_sums_are_right_and_what_is_no_text_is_skipped() {
    let _guard = LeakGuard::new();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("inner")).unwrap();
    fs::write(folder.path().join("one"), "apple Apple pear").unwrap();
    fs::write(folder.path().join("inner/two"), "apple, plum.").unwrap();
    fs::write(folder.path().join("empty"), "").unwrap();
    fs::write(folder.path().join("binary"), [0u8, 1, 2, 255]).unwrap();
    fs::write(folder.path().join("latin1"), b"caf\xe9 au lait").unwrap();
    std::os::unix::fs::symlink("/nowhere", folder.path().join("dangling")).unwrap();
    let output = Census::run(&[path(&folder)]);
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}{}", text(&output.stderr));
    assert!(shown.contains("             3  apple\n             1  pear\n             1  plum\n"), "{shown}");
    assert!(shown.contains("3  files, 2 skipped") && shown.contains("5  words, 3 different"), "{shown}");
    assert!(shown.contains("binary: binary") && shown.contains("latin1: binary"), "{shown}");
}

#[test]
fn a_word_at_the_border_of_two_pieces_is_counted_once() {
    let _guard = LeakGuard::new();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("long"), "abcdefg ".repeat(400_000)).unwrap();
    let output = Census::run(&[path(&folder)]);
    let shown = text(&output.stdout);
    assert!(shown.contains("400,000  abcdefg") && shown.contains("400,000  words, 1 different"), "{shown}");
}

#[test]
fn bad_input_gets_a_clear_message() {
    let _guard = LeakGuard::new();
    let missing = Census::run(&["/no/such/folder"]);
    assert_eq!(missing.status.code(), Some(1));
    let message = text(&missing.stderr);
    assert!(
        message.contains("`/no/such/folder`") && message.contains("give a directory that exists"),
        "{message}"
    );

    let empty = tempfile::tempdir().unwrap();
    let output = Census::run(&[path(&empty)]);
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("no text files in"), "{}", text(&output.stdout));

    let unknown = Census::run(&["--kil"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("--help"), "{}", text(&unknown.stderr));
}

#[test]
fn an_unreadable_file_is_reported_and_skipped() {
    // Also the superuser may not read this one.
    let folder = Path::new("/proc/sys/net/ipv4/route");
    if !folder.join("flush").exists() {
        triune_testing::skip("census of a file that cannot be read", "this system has none");
        return;
    }
    let _guard = LeakGuard::new();
    let output = Census::run(&[folder.to_str().unwrap()]);
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(shown.contains("flush: no permission to read it"), "{shown}");
}

#[test]
fn files_that_vanish_are_reported_and_skipped() {
    let _guard = LeakGuard::new();
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = (0..3000).map(|number| folder.path().join(format!("file-{number}"))).collect();
    for file in &files {
        fs::write(file, "some words that are going to vanish ".repeat(200)).unwrap();
    }
    let census = Census::start(&[path(&folder)]);
    census.wait_for_all();
    for file in &files {
        fs::remove_file(file).unwrap();
    }
    let output = census.output();
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(shown.contains("vanished before it could be read"), "{shown}");
}

#[test]
fn a_kill_of_the_root_takes_everything_along() {
    let guard = LeakGuard::new();
    let folder = much_text();
    let census = Census::start(&[path(&folder)]);
    census.wait_for_all();
    let others = census.others();
    assert!(others.len() >= 2, "{others:?}");
    census.signal(Signal::KILL);
    wait_gone(&others, GONE).unwrap();
    let (status, _) = census.end();
    assert_eq!(status.signal(), Some(9));
    guard.finish();
}

#[test]
fn a_kill_of_the_actor_ends_the_census_with_a_report() {
    let guard = LeakGuard::new();
    let folder = much_text();
    let census = Census::start(&[path(&folder)]);
    let (actor, _) = census.wait_for_all();
    let others = census.others();
    send(actor.pid, Signal::KILL);
    wait_gone(&others, GONE).unwrap();
    let (status, report) = census.end();
    assert_eq!(status.code(), Some(1), "{report}");
    assert!(report.contains("/ledger") && report.contains("SIGKILL"), "{report}");
    assert_eq!(report.matches("died").count(), 1, "one death is reported once: {report}");
    guard.finish();
}

#[test]
fn a_kill_of_a_busy_worker_ends_the_census_with_a_report() {
    let guard = LeakGuard::new();
    let folder = much_text();
    let census = Census::start(&[path(&folder)]);
    census.wait_for_all();
    // A worker that is idle for the moment is replaced without a word, so it may take more than one.
    let ended = wait_until(PATIENCE, || {
        let others = census.others();
        if let Some(worker) = others.iter().find(|process| process.command.contains("worker")) {
            send(worker.pid, Signal::KILL);
            wait_gone(std::slice::from_ref(worker), GONE).expect("a killed process goes");
        }
        others.is_empty()
    });
    assert!(ended, "nobody waits for ever");
    let (status, report) = census.end();
    assert_eq!(status.code(), Some(1), "{report}");
    assert!(
        report.contains("worker") && report.contains("SIGKILL") && report.contains("while counting"),
        "{report}"
    );
    guard.finish();
}

#[test]
fn ctrl_c_ends_the_census_gracefully() {
    let guard = LeakGuard::new();
    let folder = much_text();
    let census = Census::start(&[path(&folder)]);
    census.wait_for_all();
    let others = census.others();
    census.signal(Signal::INT);
    wait_gone(&others, GONE).unwrap();
    let (status, report) = census.end();
    assert_eq!(status.code(), Some(130), "{report}");
    assert_eq!(report, "", "whoever pressed Ctrl-C knows why");
    guard.finish();
}

#[test]
fn the_shot_of_the_program_itself_shows_the_report() {
    let guard = LeakGuard::new();
    let folder = much_text();
    for victim in ["--kill=worker", "--kill=actor", "--kill"] {
        let census = Census::start(&[path(&folder), victim]);
        let (status, report) = census.end();
        assert_eq!(status.code(), Some(1), "{victim}: {report}");
        assert!(report.contains("killed by SIGKILL"), "{victim}: {report}");
    }
    guard.finish();
}

#[test]
fn a_large_file_takes_bounded_memory() {
    let guard = LeakGuard::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    let line = "a line of the large file with a few words in it and then some\n";
    let size = 48 << 20;
    fs::write(&file, line.repeat(size / line.len())).unwrap();
    let census = Census::start(&[path(&folder)]);
    let mut highest = 0;
    let ended = wait_until(PATIENCE, || {
        let all = processes_of_tree();
        highest = all.iter().filter_map(|process| resident_peak(process.pid)).fold(highest, u64::max);
        all.iter().all(|process| process.state == 'Z')
    });
    assert!(ended, "the census ends");
    let (status, report) = census.end();
    assert!(status.success(), "{report}");
    assert!(highest > 0 && highest < 32 << 20, "a process of the census grew to {highest} bytes");
    guard.finish();
}

/// The most memory that a process has had, in bytes.
fn resident_peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}
