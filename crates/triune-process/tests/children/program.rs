//! Children that become another program: what it is given, what it is not, and what ends it.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;

use linkme::distributed_slice;
use triune_process::{
    Boot, Containment, Exit, Limits, PROGRAM, Process, Program, ROLES, Role, Spec, StartErrorKind,
};
use triune_testing::{LeakGuard, wait_gone};

use crate::support::{SOON, leak_checked, read_pid, start_with};

#[distributed_slice(ROLES)]
static BECOME: Role = Role { name: PROGRAM, main: become_program };

/// The role in which the program is to go, if it is one of triune's.
fn become_program(boot: Boot) -> u8 {
    let error = boot.execute("report");
    boot.into_link().write_all(format!("cannot: {error}").as_bytes()).expect("the parent listens");
    1
}

async fn start(program: Program) -> (Process, std::os::unix::net::UnixStream) {
    start_with(Spec::new(PROGRAM, "other").program(program)).await
}

fn read_all(link: &mut impl Read) -> String {
    let mut text = String::new();
    link.read_to_string(&mut text).expect("the program says something, and ends");
    text
}

/// A program that is run by a shell, which is the one that is executed.
fn shell(script: &str) -> Program {
    Program::new("sh").arg("-c").arg(script)
}

/// Says its arguments, descriptors, folder and signals.
const SURVEY: &str = "exec 1>&3; echo args $# \"$@\"; i=0; while [ $i -lt 200 ]; do \
    [ -e /proc/$$/fd/$i ] && fds=$fds,$i; i=$((i + 1)); done; echo fds$fds; pwd; echo A=$A B=$B; grep Sig /proc/self/status; \
                      echo nofile $(ulimit -n); cat <&0; echo TRIUNE_LINK $TRIUNE_LINK $(readlink /proc/$$/fd/3)";

async fn survey() {
    // What a library has left open without a mark.
    let leaked = rustix::io::fcntl_dupfd_cloexec(std::io::stdin().as_fd(), 50).unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    let program =
        shell(SURVEY).args(["zero", "; exit 1", "", "a b"]).current_dir("/usr").env("A", "1").env("B", "$A");
    let spec = Spec::new(PROGRAM, "other").program(program).limits(Limits::new().open_files(77));
    let (process, mut link) = start_with(spec).await;
    let said = read_all(&mut link);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..4], ["args 3 ; exit 1  a b", "fds,0,1,2,3", "/usr", "A=1 B=$A"], "{said}");
    let mask = |name: &str| {
        let line = lines.iter().find(|line| line.starts_with(name)).unwrap();
        u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap()
    };
    assert_eq!(mask("SigBlk"), 0, "{said}");
    // Those of real time are whatever the test has inherited.
    assert_eq!(mask("SigIgn") & 0x7fff_ffff, 1 << (libc::SIGINT - 1), "{said}");
    assert_eq!(lines[lines.len() - 2], "nofile 77", "{said}");
    let (mark, socket) =
        lines[lines.len() - 1].strip_prefix("TRIUNE_LINK report:3:").unwrap().split_once(' ').unwrap();
    assert_eq!(socket, format!("socket:[{mark}]"));
    assert!(process.wait().await.is_success());

    let program = shell("exit 0").current_dir("/no/such/folder");
    let error = triune_process::spawn(Spec::new(PROGRAM, "other").program(program)).await.unwrap_err();
    let StartErrorKind::Spawn(cause) = error.kind() else { panic!("{error:?}") };
    assert_eq!(cause.kind(), std::io::ErrorKind::NotFound);
    assert!(cause.to_string().contains("folder `/no/such/folder` cannot be entered"), "{cause}");
}

#[test]
fn a_program_gets_its_arguments_its_link_and_nothing_else_that_is_open() {
    leak_checked(survey());
}

/// Not a test: the same in a tree without a guardian.
#[test]
#[ignore = "runs as a program of its own"]
fn survey_without_a_guardian() {
    triune_process::set_containment(Containment::Cooperative).unwrap();
    leak_checked(survey());
}

#[test]
fn without_a_guardian_it_is_the_same() {
    let guard = LeakGuard::new();
    #[expect(clippy::disallowed_methods, reason = "a root of its own, at another level")]
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "program::survey_without_a_guardian", "--ignored"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    guard.finish();
}

#[test]
fn a_program_of_triune_goes_into_its_role_and_what_it_starts_does_not() {
    leak_checked(async {
        let own = std::env::current_exe().unwrap();
        let (process, mut link) = start(Program::new(own.as_os_str()).arg("--whatever")).await;
        let said = read_all(&mut link);
        let first = format!("first {}", own.display());
        let parent = format!("parent {}", std::process::id());
        for fact in ["role report", "name other", "stdin /dev/null", &first, &parent] {
            assert!(said.lines().any(|line| line == fact), "{fact} in {said}");
        }
        assert!(process.wait().await.is_success());

        // It inherits the variable, and finds no such socket: it runs its own `main`, which lists the tests.
        let script = "\"$0\" --exact --list program:: >&3 2>&1 3</dev/null";
        let (process, mut link) = start(shell(script).arg(own.as_os_str())).await;
        assert!(read_all(&mut link).contains("0 tests"));
        assert!(process.wait().await.is_success());
    });
}

#[test]
fn what_cannot_be_executed_or_said_is_an_error() {
    leak_checked(async {
        let (process, mut link) = start(Program::new("./no-such-program")).await;
        assert!(read_all(&mut link).starts_with("cannot: No such file"));
        assert_eq!(process.wait().await, Exit::Code(1));
        // What the system does not execute is not given to a shell.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        std::fs::write(&path, "exit 0").unwrap();
        for (mode, why) in [(0o700, "cannot: Exec format error"), (0o600, "cannot: Permission denied")] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            for program in [Program::new(path.as_os_str()), Program::new("script").env("PATH", folder.path())]
            {
                let (process, mut link) = start(program).await;
                let said = read_all(&mut link);
                assert!(said.starts_with(why), "{said}");
                assert_eq!(process.wait().await, Exit::Code(1));
            }
        }
        let spec = Spec::new(PROGRAM, "other").program(Program::new("sh").arg("\0"));
        let error = triune_process::spawn(spec).await.unwrap_err();
        assert!(matches!(error.kind(), StartErrorKind::Spawn(_)), "{error:?}");
    });
}

#[test]
fn a_kill_takes_the_program_and_what_has_escaped_from_it() {
    leak_checked(async {
        let script = "setsid sleep 1000 3>&- & printf \"$(printf '\\\\x%02x' $(($! & 255)) $(($! >> 8 & 255)) $(($! >> 16)) 0)\" >&3; \
                      exec sleep 1000";
        let (process, mut link) = start(Program::new("bash").arg("-c").arg(script)).await;
        let stray = read_pid(&mut link);
        process.kill();
        assert_eq!(process.wait_gone().await.signal(), Some(libc::SIGKILL));
        assert!(stray.now().is_none(), "{stray:?}");
    });
}

#[test]
fn a_program_dies_with_its_guardian_whatever_it_does() {
    leak_checked(async {
        let (process, _link) = start(Program::new("sleep").arg("1000")).await;
        let program = triune_testing::ProcessInfo::of(process.pid()).unwrap();
        let guardian = i32::try_from(program.parent).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(guardian, rustix::process::Signal::KILL).unwrap();
        process.wait_gone().await;
        wait_gone(&[program], SOON).unwrap();
    });
}
