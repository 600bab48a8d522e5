//! Guardians that cannot be had, or not at the first attempt: what becomes of the level.
//!
//! A constructor of this binary strikes a guardian before it reaches its entry, as its environment says. Each case is a
//! program of its own, because a level stays in force.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "in a test, a panic is the report; and each case is a root of its own"
)]

use std::io::Read;
use std::path::PathBuf;
use std::process::Command;

use linkme::distributed_slice;
use triune_process::{Boot, Containment, ROLES, Role, Spec, containment, containment_report, spawn};
use triune_testing::{LeakGuard, ProcessInfo};

triune_process::constructor!();

/// Runs before the constructor that sends a child into its role.
#[used]
#[unsafe(link_section = ".init_array.00101")]
static BEFORE_THE_ENTRY: extern "C" fn() = before_the_entry;

extern "C" fn before_the_entry() {
    let first = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    if !first.starts_with(b"triune:guardian\0") {
        return;
    }
    if let Some(strikes) = std::env::var_os("TEST_STRIKES").map(PathBuf::from)
        && let Some(strike) = std::fs::read_dir(&strikes).ok().and_then(|mut left| left.next()?.ok())
    {
        std::fs::remove_file(strike.path()).ok();
        // SAFETY: `raise` takes an integer. It does not return.
        unsafe { libc::raise(libc::SIGKILL) };
    }
    if std::env::var_os("TEST_NO_NAMESPACES").is_some() {
        refuse_namespaces();
    }
    if std::env::var_os("TEST_NO_ENTRY").is_some() {
        std::process::exit(3);
    }
}

/// What a container or a distribution that distrusts namespaces does.
fn refuse_namespaces() {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    let rules = std::iter::once((libc::SYS_unshare, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture).unwrap();
    let program = BpfProgram::try_from(filter).unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

#[distributed_slice(ROLES)]
static LEVEL: Role = Role { name: "level", main: level };

/// Says the level that it knows of.
fn level(boot: Boot) -> u8 {
    use std::io::Write;
    boot.into_link().write_all(containment().name().as_bytes()).unwrap();
    0
}

/// Not a test: a root. Starts a child, and says which levels the two see, and why.
#[test]
#[ignore = "runs as a program of its own"]
fn a_root() {
    if std::env::var_os("TEST_ROOT").is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (child, mut link) = spawn(Spec::new("level", "child")).await.unwrap();
        let mut theirs = String::new();
        link.read_to_string(&mut theirs).unwrap();
        assert!(child.wait_gone().await.is_success());
        println!("child: {theirs}; {}.", containment_report());
    });
    triune_process::finish();
    let left: Vec<ProcessInfo> = triune_testing::processes_of_tree();
    assert!(left.is_empty(), "{left:?}");
}

/// What a root in this environment says.
fn root_with(level: Containment, environment: &[(&str, &str)]) -> String {
    let guard = LeakGuard::new();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_root", "--ignored", "--nocapture"]).env("TEST_ROOT", "1");
    command.env("TRIUNE_CONTAINMENT", level.name()).envs(environment.iter().copied());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    guard.finish();
    let line = said.lines().find(|line| line.starts_with("child: "));
    line.unwrap_or_else(|| panic!("{said}")).to_owned()
}

/// A root whose first so many guardians are killed while they boot.
fn root_with_strikes(count: usize) -> String {
    let folder = tempfile::tempdir().unwrap();
    (0..count).for_each(|strike| std::fs::write(folder.path().join(strike.to_string()), "").unwrap());
    root_with(Containment::Tree, &[("TEST_STRIKES", folder.path().to_str().unwrap())])
}

#[test]
fn a_guardian_that_is_killed_while_it_boots_is_started_again() {
    for strikes in [0, 1, 3] {
        assert_eq!(root_with_strikes(strikes), "child: tree; containment: tree.");
    }
}

#[test]
fn a_guardian_that_is_killed_whenever_it_boots_is_done_without() {
    assert_eq!(
        root_with_strikes(100),
        "child: cooperative; containment: cooperative (not tree: the guardian, which is this program once more, \
         never got ready (killed by SIGKILL))."
    );
}

#[test]
fn a_guardian_that_never_reaches_its_entry_is_done_without() {
    assert_eq!(
        root_with(Containment::Tree, &[("TEST_NO_ENTRY", "1")]),
        "child: cooperative; containment: cooperative (not tree: the guardian, which is this program once more, \
         never got ready (exit code 3))."
    );
}

#[test]
fn where_namespaces_are_refused_hard_becomes_tree_and_says_so() {
    assert_eq!(
        root_with(Containment::Hard, &[("TEST_NO_NAMESPACES", "1")]),
        "child: tree; containment: tree (not hard: the system refuses a pid namespace)."
    );
}
