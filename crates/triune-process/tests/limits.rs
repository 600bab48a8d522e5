//! Limits of a child: what it tries beyond them fails, and the report says which of them hold.
//!
//! A child here does what its parent says over the link, line by line, and answers with what came of it.

use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use linkme::distributed_slice;
use triune_process::{
    Boot, Enforce, Enforcement, Exit, Limit, Limits, LimitsReport, Process, ROLES, Role, Spec, exit_code,
    limits_report, spawn,
};
use triune_testing::LeakGuard;

triune_process::constructor!();

#[distributed_slice(ROLES)]
static TRY: Role = Role { name: "try", main: try_things };

fn try_things(boot: Boot) -> u8 {
    let link = boot.into_link();
    let report = limits_report().map(LimitsReport::encode).unwrap_or_default();
    writeln!(&link, "{report}").expect("the parent listens");
    for line in BufReader::new(&link).lines() {
        let Ok(line) = line else { return 1 };
        let (what, argument) = line.split_once(' ').expect("a verb and its argument");
        let answer = attempt(what, argument).unwrap_or_else(|error| format!("{:?}", error.kind()));
        writeln!(&link, "{answer}").expect("the parent listens");
    }
    0
}

#[distributed_slice(ROLES)]
static OWNER: Role = Role { name: "owner", main: owner };

/// Has a child of its own, without limits of its own, that tries what the parent of this one says.
fn owner(boot: Boot) -> u8 {
    let link = boot.into_link();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (child, theirs) = spawn(Spec::new("try", "beneath")).await.expect("it may start children");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _one_has_ended = std::io::copy(&mut &link, &mut &theirs);
                let _ended_already = theirs.shutdown(std::net::Shutdown::Write);
            });
            let _one_has_ended = std::io::copy(&mut &theirs, &mut &link);
        });
        u8::from(!child.wait_gone().await.is_success())
    })
}

#[expect(clippy::disallowed_methods, reason = "what it must not be able to do")]
fn attempt(what: &str, argument: &str) -> std::io::Result<String> {
    match what {
        "read" => std::fs::read(argument).map(|bytes| bytes.len().to_string()),
        "write" => std::fs::write(argument, "x").map(|()| "written".to_owned()),
        "allocate" => {
            // Touched, so that it counts wherever it comes from.
            let block = vec![1_u8; argument.parse().expect("a number")];
            Ok(std::hint::black_box(block).len().to_string())
        }
        "reserve" => {
            let mut block = Vec::<u8>::new();
            let reserved = block.try_reserve_exact(argument.parse().expect("a number"));
            Ok(reserved.map_or("refused", |()| "given").to_owned())
        }
        "open" => {
            let files: Vec<_> =
                (0..argument.parse().expect("a number")).map(|_| std::fs::File::open("/dev/null")).collect();
            Ok(files.iter().filter(|file| file.is_ok()).count().to_string())
        }
        "spin" => loop {
            std::hint::spin_loop();
        },
        "tcp" => TcpListener::bind(argument).map(|_| "bound".to_owned()),
        "udp" => UdpSocket::bind(argument).map(|_| "bound".to_owned()),
        "unix" => UnixListener::bind(argument).map(|_| "bound".to_owned()),
        "run" => std::process::Command::new(argument).status().map(|status| status.to_string()),
        "status" => {
            let status = std::fs::read_to_string("/proc/self/status")?;
            Ok(status
                .lines()
                .find_map(|line| line.strip_prefix(argument))
                .unwrap_or_default()
                .trim()
                .to_owned())
        }
        "nice" => {
            let stat = std::fs::read_to_string("/proc/self/stat")?;
            let fields = stat.rsplit_once(") ").expect("a name in parentheses").1;
            Ok(fields.split(' ').nth(16).expect("many fields").to_owned())
        }
        _ => panic!("no such verb: {what}"),
    }
}

/// A child that tries things, and its report.
struct Trial {
    process: Process,
    link: BufReader<UnixStream>,
    report: LimitsReport,
}

impl Trial {
    async fn start(limits: Limits) -> Self {
        Self::start_as("try", limits).await
    }

    async fn start_as(role: &'static str, limits: Limits) -> Self {
        let (process, link) = spawn(Spec::new(role, role).limits(limits)).await.expect("it starts");
        link.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket of ours");
        let mut trial = Self { process, link: BufReader::new(link), report: LimitsReport::default() };
        trial.report = LimitsReport::decode(&trial.answer()).expect("the child says what it is limited to");
        trial
    }

    /// `""` if it died instead.
    fn answer(&mut self) -> String {
        let mut line = String::new();
        // A child that died resets the link instead of ending it, if it has left something unread.
        let _died = self.link.read_line(&mut line);
        line.trim_end().to_owned()
    }

    fn does(&mut self, what: &str) -> String {
        writeln!(self.link.get_ref(), "{what}").expect("it listens");
        self.answer()
    }

    async fn end(self) -> Exit {
        drop(self.link);
        self.process.wait().await
    }
}

fn guarded<Fut: Future<Output = ()>>(test: impl FnOnce() -> Fut) {
    let guard = LeakGuard::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        test().await;
        triune_scope::Run::current().close().await;
    });
    drop(runtime);
    guard.finish();
}

const MIB: u64 = 1 << 20;

#[test]
fn what_a_limited_process_starts_is_limited_as_it_is() {
    guarded(async || {
        let limits =
            Limits::new().memory(64 * MIB).open_files(60).cores([0]).nice(7).no_network().no_programs();
        let mut trial = Trial::start_as("owner", limits.read_only("/usr").enforce(Enforce::BestEffort)).await;
        let holds = |limit| trial.report.get(limit) == Some(Enforcement::Enforced);
        let (paths, calls) = (holds(Limit::Paths), holds(Limit::Network));
        assert!(holds(Limit::Memory) && holds(Limit::Cores), "{}", trial.report);
        assert_eq!(trial.does(&format!("reserve {}", 128 * MIB)), "refused");
        assert!(trial.does("open 100").parse::<u32>().expect("a number") < 60);
        assert_eq!(trial.does("status Cpus_allowed_list:"), "0");
        assert_eq!(trial.does("status NoNewPrivs:"), "1");
        assert_eq!(trial.does("nice -"), "7");
        if calls {
            assert_eq!(trial.does("tcp 127.0.0.1:0"), "PermissionDenied");
            assert_eq!(trial.does("run /usr/bin/true"), "PermissionDenied");
        }
        if paths {
            assert_eq!(trial.does("read /etc/passwd"), "PermissionDenied");
        }
        assert_eq!(trial.end().await, Exit::Code(0));
    });
}

#[test]
fn memory_beyond_the_limit_is_not_given_and_an_allocation_of_it_aborts() {
    guarded(async || {
        let mut trial = Trial::start(Limits::new().memory(64 * MIB).core_size(0)).await;
        assert_eq!(trial.report.get(Limit::Memory), Some(Enforcement::Enforced));
        assert!(trial.report.is_enforced(), "{}", trial.report);
        assert_eq!(trial.does(&format!("allocate {}", 32 * MIB)), (32 * MIB).to_string());
        assert_eq!(trial.does(&format!("reserve {}", 128 * MIB)), "refused");
        assert_eq!(trial.does(&format!("allocate {}", 128 * MIB)), "", "it dies of it");
        assert_eq!(trial.end().await.signal(), Some(6));
    });
}

#[test]
fn less_memory_than_the_process_needs_by_itself_is_not_even_tried() {
    guarded(async || {
        let limits = Limits::new().memory(MIB / 2).enforce(Enforce::BestEffort);
        let trial = Trial::start(limits).await;
        let missing: Vec<String> = trial.report.missing().map(ToString::to_string).collect();
        assert!(missing[0].starts_with("memory: unsupported (the process needs "), "{missing:?}");
        assert_eq!(trial.end().await, Exit::Code(0));
    });
}

#[test]
fn a_loop_beyond_its_processor_time_is_ended_by_sigxcpu() {
    guarded(async || {
        let mut trial = Trial::start(Limits::new().cpu_time(Duration::from_millis(200)).core_size(0)).await;
        assert!(trial.report.is_enforced(), "{}", trial.report);
        assert_eq!(trial.does("spin -"), "");
        let exit = trial.end().await;
        assert_eq!(exit.signal().and_then(triune_process::signal_name), Some("SIGXCPU"));
    });
}

#[test]
fn files_beyond_the_limit_do_not_open() {
    guarded(async || {
        let mut trial = Trial::start(Limits::new().open_files(20)).await;
        assert!(trial.report.is_enforced(), "{}", trial.report);
        let opened: u32 = trial.does("open 30").parse().expect("a number");
        assert!((10..20).contains(&opened), "{opened}");
        assert_eq!(trial.does("open 1"), "1", "what was closed may be opened again");
        assert_eq!(trial.end().await, Exit::Code(0));
    });
}

#[test]
fn cores_niceness_and_privileges_are_those_that_were_asked_for() {
    guarded(async || {
        let limits = Limits::new().cores([0]).nice(7).no_new_privileges();
        let mut trial = Trial::start(limits).await;
        assert!(trial.report.is_enforced(), "{}", trial.report);
        assert_eq!(trial.does("status Cpus_allowed_list:"), "0");
        assert_eq!(trial.does("status NoNewPrivs:"), "1");
        assert_eq!(trial.does("nice -"), "7");
        assert_eq!(trial.end().await, Exit::Code(0));
    });
}

#[test]
fn cores_that_are_not_there_are_a_part_or_nothing_of_the_limit() {
    guarded(async || {
        for (cores, expected) in
            [(vec![0, 1000, 4000], Enforcement::Partial), (vec![4000], Enforcement::Unsupported)]
        {
            let trial = Trial::start(Limits::new().cores(cores).enforce(Enforce::BestEffort)).await;
            assert_eq!(trial.report.get(Limit::Cores), Some(expected), "{}", trial.report);
            assert_eq!(trial.end().await, Exit::Code(0));
        }
    });
}

#[test]
fn a_required_limit_that_does_not_hold_ends_the_child_before_its_role() {
    guarded(async || {
        let limits = Limits::new().cores([1000]);
        let (process, link) = spawn(Spec::new("try", "try").limits(limits)).await.expect("it starts");
        let mut said = String::new();
        BufReader::new(link).read_line(&mut said).expect("the link just ends");
        assert_eq!(said, "", "its role has not begun");
        assert_eq!(process.wait().await, Exit::Code(exit_code::BOOT_FAILED.into()));
    });
}

/// Whether this kernel can do it; the report must say the same.
fn has_landlock(report: &LimitsReport) -> bool {
    report.get(Limit::Paths) != Some(Enforcement::Unsupported)
}

#[test]
fn only_the_named_paths_are_within_reach() {
    guarded(async || {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["readable", "writable", "neither"] {
            std::fs::create_dir(path(name)).expect("a folder of ours");
            std::fs::write(path(name).join("file"), "words").expect("a folder of ours");
        }
        let single = path("neither").join("single");
        std::fs::write(&single, "one").expect("a folder of ours");
        let limits = Limits::new()
            .read_only(path("readable"))
            .read_only(&single)
            .read_write(path("writable"))
            .enforce(Enforce::BestEffort);
        let mut trial = Trial::start(limits).await;
        if has_landlock(&trial.report) {
            let mut try_file = |what: &str, name: &Path| trial.does(&format!("{what} {}", name.display()));
            assert_eq!(try_file("read", &path("readable/file")), "5");
            assert_eq!(try_file("write", &path("readable/file")), "PermissionDenied");
            assert_eq!(try_file("write", &path("writable/new")), "written");
            assert_eq!(try_file("read", &path("writable/file")), "5");
            assert_eq!(try_file("read", &path("neither/file")), "PermissionDenied");
            assert_eq!(try_file("read", &single), "3");
            assert_eq!(try_file("read", &path("readable/../neither/file")), "PermissionDenied");
            assert_eq!(try_file("read", Path::new("/etc/passwd")), "PermissionDenied");
            assert_ne!(try_file("read", Path::new("/proc/self/statm")), "PermissionDenied");
        }
        assert_eq!(trial.end().await, Exit::Code(0));
    });
}

#[test]
fn a_path_that_does_not_exist_is_named_in_the_report() {
    guarded(async || {
        let limits = Limits::new().read_only("/no/such/folder").enforce(Enforce::BestEffort);
        let trial = Trial::start(limits).await;
        let missing: Vec<String> = trial.report.missing().map(ToString::to_string).collect();
        assert!(missing[0].contains("/no/such/folder"), "{missing:?}");
        assert_eq!(trial.end().await, Exit::Code(0));
    });
}

#[test]
fn without_network_only_sockets_of_this_machine_open() {
    guarded(async || {
        let folder = tempfile::tempdir().expect("a folder");
        let mut trial = Trial::start(Limits::new().no_network()).await;
        assert_eq!(trial.report.get(Limit::Network), Some(Enforcement::Enforced));
        assert_eq!(trial.does("tcp 127.0.0.1:0"), "PermissionDenied");
        assert_eq!(trial.does("udp [::1]:0"), "PermissionDenied");
        assert_eq!(trial.does(&format!("unix {}", folder.path().join("socket").display())), "bound");
        assert_eq!(trial.does("status Seccomp:"), "2");
        assert_eq!(trial.end().await, Exit::Code(0));
    });
}

#[test]
fn without_programs_nothing_is_executed() {
    guarded(async || {
        let mut trial = Trial::start(Limits::new().no_programs()).await;
        assert_eq!(trial.report.get(Limit::Programs), Some(Enforcement::Enforced));
        assert_eq!(trial.does("run /bin/true"), "PermissionDenied");
        assert_eq!(trial.end().await, Exit::Code(0));
    });
}

#[test]
fn a_child_without_limits_has_no_report_and_none_of_its_parents() {
    guarded(async || {
        let mut trial = Trial::start(Limits::new()).await;
        assert_eq!(trial.report, LimitsReport::default());
        assert_eq!(trial.does("status NoNewPrivs:"), trial_free("NoNewPrivs:"));
        assert_eq!(trial.does("read /etc/passwd").parse::<u64>().map(|len| len > 0), Ok(true));
        assert_eq!(trial.end().await, Exit::Code(0));
    });
}

/// What this process itself has in its status.
fn trial_free(key: &str) -> String {
    attempt("status", key).expect("there is /proc")
}
