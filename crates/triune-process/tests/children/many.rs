//! Many starts, and starts under odd conditions.

use std::io::Read;
use std::time::{Duration, Instant};

use linkme::distributed_slice;
use triune_process::{Boot, Containment, ROLES, Role, Spec};
use triune_testing::{LeakGuard, ProcessInfo};

use crate::support::{block_on, leak_checked, start, start_ready, start_with};

#[distributed_slice(ROLES)]
static DESCRIPTORS: Role = Role { name: "descriptors", main: descriptors };

/// Says which descriptors it has.
fn descriptors(boot: Boot) -> u8 {
    use std::io::Write;
    let open = triune_testing::open_descriptors();
    let lines: Vec<String> = open.iter().map(|(number, target)| format!("{number} {target}")).collect();
    boot.into_link().write_all(lines.join("\n").as_bytes()).expect("the parent listens");
    0
}

#[test]
fn no_descriptor_of_the_root_leaks_into_a_child() {
    leak_checked(async {
        // What a library that forgets to mark its descriptors leaves behind.
        let file = std::fs::File::open("/dev/null").unwrap();
        // SAFETY: copies a descriptor; the copy is closed below.
        let leaked = unsafe { libc::dup(std::os::fd::AsRawFd::as_raw_fd(&file)) };
        let (_other, _other_link) = start_ready("echo", "other").await;
        let (process, mut link) = start("descriptors", "lister").await;
        let mut text = String::new();
        link.read_to_string(&mut text).unwrap();
        let beyond: Vec<&str> = text.lines().skip(3).collect();
        assert!(text.starts_with("0 /dev/null\n"), "{text}");
        // Its link, and its way to the guardian; not those of the other one, and nothing of ours.
        assert!(beyond.len() == 2 && beyond.iter().all(|line| line.contains("socket:")), "{text}");
        assert!(process.wait().await.is_success());
        // SAFETY: the copy was made above, and nobody owns it.
        unsafe { libc::close(leaked) };
    });
}

#[test]
fn a_child_outlives_the_thread_that_started_it() {
    let guard = LeakGuard::new();
    #[expect(clippy::disallowed_methods, reason = "that the thread ends is the point")]
    let thread = std::thread::spawn(|| block_on(start_ready("echo", "echo")));
    let (echo, link) = thread.join().unwrap();
    let info = ProcessInfo::of(echo.pid()).unwrap();
    block_on(async {
        // A system that ends children with the thread of their parent does so when the thread ends.
        let (other, other_link) = start_ready("echo", "other").await;
        drop(other_link);
        assert!(other.wait_gone().await.is_success());
        assert!(info.now().is_some());
        drop(link);
        assert!(echo.wait_gone().await.is_success());
    });
    drop(echo);
    guard.finish();
}

#[test]
fn a_thousand_starts_leave_no_zombie() {
    leak_checked(async {
        let (_keeper, _link) = start_ready("echo", "keeper").await;
        let guardian = ProcessInfo::of(_keeper.pid()).unwrap().parent;
        for _ in 0..20 {
            let mut children = Vec::new();
            for _ in 0..50 {
                children.push(start("exit", "0").await);
            }
            for (process, _link) in children {
                assert!(process.wait_gone().await.is_success());
            }
        }
        let list = std::fs::read_to_string(format!("/proc/{guardian}/task/{guardian}/children")).unwrap();
        assert_eq!(list.split_ascii_whitespace().count(), 1, "only the keeper: {list}");
    });
}

#[test]
fn a_large_parent_starts_a_child_as_fast_as_a_small_one() {
    leak_checked(async {
        let (_keeper, _link) = start_ready("echo", "keeper").await;
        let fastest = async || {
            let mut fastest = Duration::MAX;
            for _ in 0..20 {
                let begun = Instant::now();
                let (process, _link) = start("exit", "0").await;
                fastest = fastest.min(begun.elapsed());
                process.wait_gone().await;
            }
            fastest
        };
        let small = fastest().await;
        // 1 GiB of touched pages: a fork would take 20 ms here, and 80 ms with the 4 GiB that not every machine has to spare.
        let gib: usize = std::env::var("TEST_BALLAST_GIB").map_or(1, |gib| gib.parse().unwrap());
        let ballast = vec![1_u8; gib << 30];
        let large = fastest().await;
        assert_eq!(ballast[ballast.len() / 2], 1);
        println!("the fastest start beneath {gib} GiB took {large:?}, beneath none {small:?}");
        assert!(large < small + Duration::from_millis(10), "small {small:?}, large {large:?}");
    });
}

/// Not a test: what the next one traces.
#[test]
#[ignore = "runs beneath strace"]
fn ten_starts() {
    if std::env::var_os("TEST_TRACED").is_none() {
        return;
    }
    block_on(async {
        for _ in 0..10 {
            let (process, _link) = start("exit", "0").await;
            assert!(process.wait_gone().await.is_success());
        }
    });
    triune_process::finish();
}

#[test]
fn every_start_takes_the_vfork_path() {
    let guard = LeakGuard::new();
    for level in [Containment::Cooperative, Containment::Tree] {
        // A file for each process: in a common one, calls are cut in two where they overlap.
        let folder = tempfile::tempdir().unwrap();
        #[expect(clippy::disallowed_methods, reason = "the tracer must be the parent")]
        let mut strace = std::process::Command::new("strace");
        strace.args(["-ff", "-e", "trace=clone,clone3,fork,vfork", "-o"]).arg(folder.path().join("trace"));
        strace.arg(std::env::current_exe().unwrap()).args(["--exact", "many::ten_starts", "--ignored"]);
        let output = strace.env("TEST_TRACED", "1").env("TRIUNE_CONTAINMENT", level.name()).output();
        let Ok(output) = output else {
            triune_testing::skip("every_start_takes_the_vfork_path", "there is no strace here");
            break;
        };
        let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
        let text: String = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
        let calls = text.lines().filter(|line| line.contains("clone") || line.contains("fork("));
        let processes = calls.filter(|line| !line.contains("CLONE_THREAD"));
        let (vfork, other): (Vec<_>, Vec<_>) = processes.partition(|line| line.contains("CLONE_VFORK"));
        if vfork.is_empty() && !output.status.success() {
            triune_testing::skip("every_start_takes_the_vfork_path", "strace may not trace here");
            break;
        }
        // Once more for the guardian.
        let expected = if level == Containment::Cooperative { 10 } else { 11 };
        assert!(other.is_empty() && vfork.len() >= expected, "{level}: {text}");
    }
    guard.finish();
}

#[test]
fn a_child_begins_in_the_folder_that_it_is_given() {
    leak_checked(async {
        let (report, mut link) = start_with(Spec::new("report", "x").current_dir("/usr")).await;
        let mut text = String::new();
        link.read_to_string(&mut text).unwrap();
        assert!(text.contains("folder /usr\n"), "{text}");
        assert!(report.wait().await.is_success());
        let (report, mut link) = start_with(Spec::new("report", "x")).await;
        let mut text = String::new();
        link.read_to_string(&mut text).unwrap();
        assert!(text.contains(&format!("folder {}\n", std::env::current_dir().unwrap().display())), "{text}");
        assert!(report.wait().await.is_success());
        let error =
            triune_process::spawn(Spec::new("report", "x").current_dir("/no/such/folder")).await.unwrap_err();
        assert!(matches!(error.kind(), triune_process::StartErrorKind::Spawn(_)), "{error:?}");
    });
}
