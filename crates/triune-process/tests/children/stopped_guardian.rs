//! A guardian that does not get to do its work: stopped, or out of descriptors. Nobody waits for ever.

use std::future::Future;
use std::io::Read;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use linkme::distributed_slice;
use triune_process::{Boot, Exit, Ladder, ROLES, Role, Spec, StartErrorKind, spawn};
use triune_testing::{ProcessInfo, wait_gone, wait_until};

use crate::outlaws::read_processes;
use crate::support::{SOON, leak_checked, start, start_ready, start_with};

#[distributed_slice(ROLES)]
static TRACE: Role = Role { name: "trace", main: trace };

/// Leaves a file that says that it was here.
fn trace(boot: Boot) -> u8 {
    let path = std::env::var_os("TEST_TRACE").expect("the test says where");
    std::fs::write(path, boot.name()).expect("the folder exists");
    0
}

pub(crate) fn signal(pid: u32, number: i32) {
    // SAFETY: sends a signal to a process of this test, which takes two integers.
    assert_eq!(unsafe { libc::kill(pid.cast_signed(), number) }, 0);
}

/// A guardian that is stopped until this is dropped.
pub(crate) struct Stopped(u32);

impl Stopped {
    /// Stops the guardian of a child, and waits until it has stopped.
    pub(crate) fn guardian_of(child: u32) -> Self {
        let guardian = ProcessInfo::of(child).expect("it runs").parent;
        signal(guardian, libc::SIGSTOP);
        let stopped = Self(guardian);
        assert!(wait_until(SOON, || stopped.is_stopped()));
        stopped
    }

    pub(crate) fn is_stopped(&self) -> bool {
        ProcessInfo::of(self.0).is_some_and(|info| info.state == 'T')
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, libc::SIGCONT);
    }
}

#[test]
fn children_of_a_stopped_guardian_end_in_bounded_time() {
    leak_checked(async {
        let (killed, _link) = start_ready("busy", "killed").await;
        let (ended, link) = start_ready("echo", "ended").await;
        let (stubborn, _link) = start_ready("stubborn", "stubborn").await;
        let stopped = Stopped::guardian_of(killed.pid());
        let guardian = stopped.0;
        let begun = Instant::now();
        killed.kill();
        drop(link);
        let short = Ladder::new(Duration::from_millis(10), Duration::from_millis(10));
        let (killed, ended, terminated) =
            tokio::join!(killed.wait_gone(), ended.wait(), stubborn.terminate(&short, "test"));
        // Nobody tells how they have ended.
        assert_eq!([killed, ended, terminated], [Exit::Unknown; 3]);
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        drop(stopped);
        // It goes on as if nothing had been.
        let (echo, link) = start_ready("echo", "echo").await;
        assert_eq!(ProcessInfo::of(echo.pid()).unwrap().parent, guardian);
        drop(link);
        assert!(echo.wait_gone().await.is_success());
    });
}

#[test]
fn a_start_by_a_stopped_guardian_is_given_up_in_bounded_time() {
    leak_checked(async {
        let (keeper, _link) = start_ready("echo", "keeper").await;
        let stopped = Stopped::guardian_of(keeper.pid());
        // Nothing else can happen, so this clock jumps to the limit.
        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        let error = spawn(Spec::new("echo", "late")).await.unwrap_err();
        assert_eq!(begun.elapsed().as_secs(), 30);
        let StartErrorKind::Spawn(cause) = error.kind() else { panic!("{error:?}") };
        assert_eq!(cause.kind(), std::io::ErrorKind::TimedOut);
        tokio::time::resume();
        drop(stopped);
    });
}

#[test]
fn what_is_given_up_before_the_guardian_gets_to_it_is_not_started() {
    leak_checked(async {
        let folder = tempfile::tempdir().unwrap();
        let (keeper, _link) = start_ready("echo", "keeper").await;
        let stopped = Stopped::guardian_of(keeper.pid());
        for number in 0..20 {
            let path = folder.path().join(number.to_string());
            let mut start = pin!(spawn(Spec::new("trace", "unwanted").env("TEST_TRACE", path)));
            assert!(start.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        drop(stopped);
        // In order: when it has got to this one, it has got past those.
        let path = folder.path().join("wanted");
        let (wanted, _link) = start_with(Spec::new("trace", "wanted").env("TEST_TRACE", path)).await;
        assert!(wanted.wait_gone().await.is_success());
        let found: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(found, ["wanted"]);
    });
}

#[test]
fn a_guardian_that_is_well_is_waited_for_as_long_as_something_cleans_up() {
    leak_checked(async {
        // Its child is deaf and has longer than the guardian may be silent.
        let (owner, mut link) = start_with(Spec::new("owner", "owner").env("TEST_GRACE", "5000")).await;
        let beneath = read_processes(&mut link);
        let begun = Instant::now();
        owner.kill();
        owner.wait_gone().await;
        assert!(begun.elapsed() >= Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(beneath.iter().all(|process| process.now().is_none()), "{beneath:?}");
    });
}

/// Sets how many descriptors a process may have.
fn limit_descriptors(pid: u32, count: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: without a new limit, the call only writes the old one to a valid place.
    let got =
        unsafe { libc::prlimit(pid.cast_signed(), libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut limit) };
    assert_eq!(got, 0);
    limit.rlim_cur = count.min(limit.rlim_max);
    // SAFETY: the new limit is read from a valid place, and the old one is not asked for.
    let set = unsafe {
        libc::prlimit(pid.cast_signed(), libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut())
    };
    assert_eq!(set, 0);
}

#[test]
fn a_guardian_out_of_descriptors_says_so_and_goes_on() {
    leak_checked(async {
        let (keeper, link) = start_ready("echo", "keeper").await;
        let guardian = ProcessInfo::of(keeper.pid()).unwrap().parent;
        let open = || std::fs::read_dir(format!("/proc/{guardian}/fd")).unwrap().count() as u64;
        // From none at all to nearly enough: what is missing is noticed in different places.
        for spare in 0..9 {
            limit_descriptors(guardian, open() - 2 + spare);
            let begun = Instant::now();
            match spawn(Spec::new("exit", "0")).await {
                Ok((process, _link)) => assert!(process.wait_gone().await.is_success()),
                Err(error) => {
                    let StartErrorKind::Spawn(cause) = error.kind() else { panic!("{error:?}") };
                    let of_descriptors =
                        cause.raw_os_error() == Some(libc::EMFILE) || cause.to_string().contains("ulimit -n");
                    assert!(of_descriptors, "{spare}: {cause}");
                }
            }
            assert!(begun.elapsed() < SOON, "{spare}: {:?}", begun.elapsed());
        }
        limit_descriptors(guardian, 1024);
        let (process, mut end) = start("exit", "0").await;
        assert_eq!(end.read(&mut [0]).unwrap(), 0);
        assert!(process.wait_gone().await.is_success());
        drop(link);
        assert!(keeper.wait_gone().await.is_success());
        let guardian = ProcessInfo::of(guardian);
        wait_gone(&guardian.into_iter().collect::<Vec<_>>(), SOON).unwrap();
    });
}
