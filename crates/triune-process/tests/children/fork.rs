//! Children that a fork server makes: theirs is theirs, what was loaded is shared, and nobody depends on the server.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use linkme::distributed_slice;
use triune_process::{
    Boot, Containment, Exit, FORK_SERVER, ForkServer, Output, Process, ROLES, Role, Spec, Stdio,
    set_containment,
};
use triune_testing::{LeakGuard, ProcessInfo, wait_until};

use crate::stopped_guardian::{Stopped, signal};
use crate::support::{SOON, block_on, environment, leak_checked, read_pid, say_ready, start};

#[distributed_slice(ROLES)]
static SERVER: Role = Role { name: FORK_SERVER, main: serve };
#[distributed_slice(ROLES)]
static LOADED: Role = Role { name: "loaded", main: loaded };
#[distributed_slice(ROLES)]
static MARKS: Role = Role { name: "marks", main: marks };
#[distributed_slice(ROLES)]
static FORK_WITHOUT_EXEC: Role = Role { name: "fork-without-exec", main: fork_without_exec };

/// How much is loaded, in bytes.
const LOAD: usize = 32 << 20;
const PAGE: usize = 4096;

static LOADS: AtomicU32 = AtomicU32::new(0);
static DATA: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();

/// Loads what `LOAD` says, says whether it is ready or why not, and serves.
fn serve(boot: Boot) -> u8 {
    let mut link = boot.link().try_clone().expect("descriptors are left");
    match std::env::var("LOAD").as_deref() {
        Ok("data") => {
            LOADS.fetch_add(1, Ordering::Relaxed);
            DATA.get_or_init(|| vec![7; LOAD]);
            // Neither of the buffers must be written twice.
            std::io::stdout().write_all(b"loaded;").expect("it is captured");
        }
        Ok("thread") => {
            let (begun, begins) = std::sync::mpsc::channel();
            #[expect(clippy::disallowed_methods, reason = "that it stays is the point")]
            let thread = std::thread::Builder::new().name("leftover".to_owned()).spawn(move || {
                // It has its name from now on.
                begun.send(()).expect("the main thread waits");
                std::thread::park();
            });
            thread.expect("threads are left");
            begins.recv().expect("it begins");
        }
        _ => {}
    }
    let forks = match boot.into_forks() {
        Ok(forks) => forks,
        Err(error) => {
            link.write_all(error.to_string().as_bytes()).expect("the parent listens");
            return 3;
        }
    };
    say_ready(&mut link);
    drop(link);
    forks.serve();
    0
}

/// Says how often was loaded, what the sum over its pages is, and how much of its memory is its own, in bytes.
fn loaded(boot: Boot) -> u8 {
    let data = DATA.get().expect("the server has loaded it");
    let sum: u64 = data.iter().step_by(PAGE).map(|byte| u64::from(*byte)).sum();
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("this is Linux");
    let private = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).expect("it is listed");
    let kilobytes: u64 = private.trim().trim_end_matches(" kB").parse().expect("a number");
    let text = format!("{} {sum} {}", LOADS.load(Ordering::Relaxed), kilobytes * 1024);
    boot.into_link().write_all(text.as_bytes()).expect("the parent listens");
    0
}

/// Says by what marks it is known: to itself, to what it starts, and to whoever looks at it.
fn marks(boot: Boot) -> u8 {
    let own = std::env::var("TRIUNE_CHILD").expect("every child has one");
    let seen = std::fs::read("/proc/self/environ").expect("this is Linux");
    let seen = seen.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"TRIUNE_CHILD="));
    let nonce = |text: &str| text.rsplit(':').next().map(str::to_owned).expect("it has one");
    let seen = nonce(std::str::from_utf8(seen.expect("it is there")).expect("it is text"));
    let text = format!("{} {seen} {}", nonce(&own), std::env::var_os("TRIUNE_FORKS").is_none());
    boot.into_link().write_all(text.as_bytes()).expect("the parent listens");
    0
}

async fn server(load: &str) -> ForkServer {
    server_with(Spec::new(FORK_SERVER, "zygote").envs([environment("LOAD", load)])).await
}

async fn server_with(spec: Spec) -> ForkServer {
    let (server, mut link) = ForkServer::start(spec).await.expect("a fork server starts");
    link.set_read_timeout(Some(SOON)).expect("a socket");
    let mut ready = [0];
    link.read_exact(&mut ready).expect("it says that it is ready");
    assert_eq!(&ready, b"r");
    server
}

async fn fork(server: &ForkServer, role: &'static str, name: &str) -> (Process, UnixStream) {
    let (process, link) = server.fork(Spec::new(role, name)).await.expect("a fork").expect("a server");
    link.set_read_timeout(Some(SOON)).expect("a socket");
    (process, link)
}

fn read_all(mut link: UnixStream) -> String {
    let mut text = String::new();
    link.read_to_string(&mut text).expect("it says text");
    text
}

async fn ends_well(server: ForkServer) {
    let process = server.process().clone();
    drop(server);
    assert!(process.wait_gone().await.is_success());
}

#[test]
fn a_forked_child_is_a_child_of_the_guardian_with_all_that_is_its_own() {
    leak_checked(async {
        let server = server("").await;
        let zygote = ProcessInfo::of(server.process().pid()).unwrap();
        let (process, mut link) = fork(&server, "echo", "echo-1").await;
        link.read_exact(&mut [0]).unwrap();
        let child = ProcessInfo::of(process.pid()).unwrap();
        assert_eq!(child.parent, zygote.parent, "both are the guardian's");
        assert_eq!((child.command.as_str(), zygote.command.as_str()), ("triune:echo-1", "triune:zygote"));
        let group = rustix::process::getpgid(rustix::process::Pid::from_raw(process.pid().cast_signed()));
        assert_eq!(group.unwrap().as_raw_pid(), process.pid().cast_signed());
        link.write_all(b"x").unwrap();
        link.read_exact(&mut [0]).unwrap();
        drop(link);
        assert_eq!(process.wait_gone().await, Exit::Code(0));

        let spec = Spec::new("report", "a-name").env("EXTRA", "more").current_dir("/tmp");
        let spec = spec.env("TRIUNE_NAME", "cannot be set");
        let (process, link) = server.fork(spec).await.unwrap().unwrap();
        let text = read_all(link);
        for line in ["role report", "name a-name", "extra more", "stdin /dev/null", "comm triune:a-name"] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(text.contains(&format!("parent {}\n", std::process::id())), "{text}");
        assert!(text.contains("folder /tmp\n"), "{text}");
        assert!(text.contains("SigBlk:\t0000000000000000"), "{text}");
        assert!(process.wait().await.is_success());
        ends_well(server).await;
    });
}

#[test]
fn each_child_has_a_mark_of_its_own_inside_and_outside() {
    leak_checked(async {
        let server = server("").await;
        let mut known = Vec::new();
        for name in ["one", "two"] {
            let (process, link) = fork(&server, "marks", name).await;
            let text = read_all(link);
            let [own, seen, is_no_server] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
            assert_eq!((own, is_no_server), (seen, "true"));
            known.push(own.to_owned());
            assert!(process.wait_gone().await.is_success());
        }
        assert_ne!(known[0], known[1]);
        ends_well(server).await;
    });
}

#[test]
fn what_was_loaded_was_loaded_once_and_is_shared() {
    leak_checked(async {
        let stdio = Stdio::new().stdout(Output::Capture);
        let spec = Spec::new(FORK_SERVER, "zygote").envs([environment("LOAD", "data")]).stdio(stdio);
        let server = server_with(spec).await;
        for name in ["one", "two", "three"] {
            let (process, link) = server.fork(Spec::new("loaded", name).stdio(stdio)).await.unwrap().unwrap();
            let text = read_all(link);
            let [loads, sum, private] =
                text.split(' ').map(|n| n.parse::<u64>().unwrap()).collect::<Vec<_>>()[..]
            else {
                panic!("{text}")
            };
            assert_eq!((loads, sum), (1, 7 * (LOAD / PAGE) as u64));
            assert!(private < LOAD as u64 / 8, "{private} bytes are its own");
            assert!(process.wait_gone().await.is_success());
            assert_eq!(process.stdout_tail(), "", "the server has written what it had buffered");
        }
        let process = server.process().clone();
        ends_well(server).await;
        assert_eq!(process.stdout_tail(), "loaded;");
    });
}

#[test]
fn a_forked_child_has_no_descriptor_of_its_server_or_its_siblings() {
    leak_checked(async {
        let server = server("").await;
        let (_other, _other_link) = fork(&server, "echo", "other").await;
        let (process, link) = fork(&server, "descriptors", "lister").await;
        let text = read_all(link);
        let beyond: Vec<&str> = text.lines().skip(3).collect();
        assert!(text.starts_with("0 /dev/null\n"), "{text}");
        assert!(beyond.len() == 2 && beyond.iter().all(|line| line.contains("socket:")), "{text}");
        assert!(process.wait().await.is_success());
    });
}

#[test]
fn a_server_with_a_thread_refuses_and_names_it() {
    leak_checked(async {
        let spec = Spec::new(FORK_SERVER, "zygote").envs([environment("LOAD", "thread")]);
        let (server, link) = ForkServer::start(spec).await.unwrap();
        let text = read_all(link);
        assert!(text.starts_with("a process with threads cannot be forked"), "{text}");
        assert!(text.contains("1 besides its main thread (leftover)"), "{text}");
        assert_eq!(server.process().wait_gone().await, Exit::Code(3));
        assert!(server.fork(Spec::new("echo", "x")).await.unwrap().is_none(), "it is gone");
    });
}

#[test]
fn a_killed_server_leaves_its_children_alone_and_is_known_to_be_gone() {
    leak_checked(async {
        let server = server("").await;
        let (process, mut link) = fork(&server, "echo", "echo").await;
        link.read_exact(&mut [0]).unwrap();
        server.process().kill();
        assert!(server.fork(Spec::new("echo", "too-late")).await.unwrap().is_none());
        assert_eq!(server.process().wait_gone().await.signal(), Some(libc::SIGKILL));
        link.write_all(b"x").unwrap();
        link.read_exact(&mut [0]).unwrap();
        drop(link);
        assert_eq!(process.wait_gone().await, Exit::Code(0));
    });
}

#[test]
fn the_ends_of_forked_children_are_told_and_what_they_leave_is_swept() {
    leak_checked(async {
        let server = server("").await;
        let (process, _link) = fork(&server, "exit", "17").await;
        assert_eq!(process.wait_gone().await, Exit::Code(17));
        let (process, _link) = fork(&server, "abort", "abort").await;
        assert_eq!(process.wait_gone().await.signal(), Some(libc::SIGABRT));
        let stdio = Stdio::new().stderr(Output::Capture);
        let (process, _link) = server.fork(Spec::new("panic", "panic").stdio(stdio)).await.unwrap().unwrap();
        assert_eq!(process.wait_gone().await, Exit::Code(101));
        assert!(process.stderr_tail().contains("as the test wants it"), "{}", process.stderr_tail());

        let (process, mut link) = fork(&server, "background", "leaver").await;
        let left = read_pid(&mut link);
        process.kill();
        assert_eq!(process.wait_gone().await.signal(), Some(libc::SIGKILL));
        assert!(left.now().is_none(), "it went with the child, while the server lives");

        let (process, mut link) = fork(&server, "parent", "parent").await;
        let grandchild = read_pid(&mut link);
        process.kill();
        process.wait_gone().await;
        assert!(grandchild.now().is_none(), "a child of a forked child knows whose it is");
        ends_well(server).await;
    });
}

/// Forks without becoming another program, says who it is, and computes for ever.
fn fork_without_exec(boot: Boot) -> u8 {
    // SAFETY: this process has one thread, so its copy can do whatever it can.
    let child = unsafe { libc::fork() };
    if child > 0 {
        boot.into_link().write_all(&child.to_ne_bytes()).expect("the parent listens");
    }
    loop {
        std::thread::park();
    }
}

#[test]
fn what_a_child_leaves_by_a_fork_without_exec_is_swept() {
    leak_checked(async {
        let server = server("").await;
        for _ in 0..20 {
            let forked = fork(&server, "fork-without-exec", "forked").await;
            let spawned = start("fork-without-exec", "spawned").await;
            for (process, mut link) in [forked, spawned] {
                link.set_read_timeout(Some(SOON)).unwrap();
                let left = read_pid(&mut link);
                assert_eq!(left.parent, process.pid());
                process.kill();
                assert_eq!(process.wait_gone().await.signal(), Some(libc::SIGKILL));
                assert!(left.now().is_none(), "it went with the child");
            }
        }
        ends_well(server).await;
    });
}

#[test]
fn a_child_that_is_killed_before_it_is_taken_in_is_as_good_as_none() {
    leak_checked(async {
        let server = server("").await;
        for round in 0..20 {
            let (other, mut link) = fork(&server, "echo", "other").await;
            link.read_exact(&mut [0]).unwrap();
            let stopped = Stopped::guardian_of(other.pid());
            let guardian = ProcessInfo::of(other.pid()).unwrap().parent;
            let known = [server.process().pid(), other.pid()];
            // It waits at its gate: the guardian does not hear it.
            let kill_at_the_gate = async {
                let find = || {
                    let mut all = triune_testing::processes_of_tree().into_iter();
                    all.find(|info| info.parent == guardian && !known.contains(&info.pid))
                };
                let victim = loop {
                    tokio::task::yield_now().await;
                    if let Some(victim) = find() {
                        break victim;
                    }
                };
                signal(victim.pid, libc::SIGKILL);
                assert!(wait_until(SOON, || victim.now().is_none_or(|info| info.state == 'Z')));
                drop(stopped);
                victim
            };
            let (forked, victim) = tokio::join!(server.fork(Spec::new("echo", "victim")), kill_at_the_gate);
            match forked {
                Ok(Some((process, _link))) => {
                    assert_eq!((process.pid(), process.wait_gone().await.signal()), (victim.pid, Some(9)));
                }
                Ok(None) => {}
                Err(error) => panic!("round {round}: {error:?}"),
            }
            other.kill();
            other.wait_gone().await;
        }
        let (process, link) = fork(&server, "echo", "next").await;
        drop(link);
        assert!(process.wait_gone().await.is_success());
        ends_well(server).await;
    });
}

#[test]
fn what_is_given_up_is_ended_and_many_leave_nothing() {
    leak_checked(async {
        let server = server("").await;
        for round in 0..300_u32 {
            let name = format!("echo-{round}");
            if round % 3 == 0 {
                // Given up at some point of its way.
                let forking = server.fork(Spec::new("echo", name));
                let patience = Duration::from_micros(u64::from(round % 60) * 10);
                drop(tokio::time::timeout(patience, forking).await);
            } else {
                let (process, mut link) = fork(&server, "echo", &name).await;
                link.read_exact(&mut [0]).unwrap();
                process.kill();
                assert_eq!(process.wait_gone().await.signal(), Some(libc::SIGKILL));
            }
        }
        ends_well(server).await;
    });
}

#[test]
fn a_stopped_or_busy_server_ends_with_its_owner() {
    leak_checked(async {
        let server = server("").await;
        server.process().signal(libc::SIGSTOP).unwrap();
        let pid = server.process().pid();
        assert!(wait_until(SOON, || ProcessInfo::of(pid).is_some_and(|now| now.state == 'T')));
        let forking = tokio::time::timeout(Duration::from_millis(20), server.fork(Spec::new("echo", "x")));
        assert!(forking.await.is_err(), "it is stopped");
    });
}

/// Not a test: the program of the next one.
#[test]
#[ignore = "runs as a program of its own"]
fn program_without_a_guardian() {
    set_containment(Containment::Cooperative).unwrap();
    let error = block_on(ForkServer::start(Spec::new(FORK_SERVER, "zygote"))).expect_err("there is none");
    let cause = std::error::Error::source(&error).expect("it has one").to_string();
    assert!(cause.contains("choose another kind of worker or another level"), "{cause}");
}

#[test]
fn without_a_guardian_there_is_no_fork_server() {
    let guard = LeakGuard::new();
    #[expect(clippy::disallowed_methods, reason = "a root of its own, at another level")]
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fork::program_without_a_guardian", "--ignored"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    guard.finish();
}
