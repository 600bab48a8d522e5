//! Jobs that misbehave: the error tells what happened, the pool goes on, and nothing of them is left.

use std::io::Write as _;
use std::os::fd::{AsRawFd as _, RawFd};
use std::process::{Command, Stdio};

use triune::worker::{self, DeathCause, RunError};
use triune_testing::ProcessInfo;

use super::support::{gone_soon, guarded_by_kind, process_number, workers};

#[triune::job]
fn misbehave(how: String) -> u32 {
    match how.as_str() {
        "segfault" => write_nowhere(),
        "segfault by name" => raise(rustix::process::Signal::SEGV),
        "bus error" => raise(rustix::process::Signal::BUS),
        "illegal instruction" => raise(rustix::process::Signal::ILL),
        "terminate" => raise(rustix::process::Signal::TERM),
        "kill" => raise(rustix::process::Signal::KILL),
        "abort" => std::process::abort(),
        "overflow" => deeper(0),
        "panic in a panic" => {
            let _bomb = Bomb;
            panic!("the first");
        }
        "exit 0" => std::process::exit(0),
        "exit 3" => std::process::exit(3),
        _ => unreachable!("no such way: {how}"),
    }
}

/// Signals this process until it takes the default action: the standard library's handler for a stack overflow lets the
/// first one pass.
fn raise(signal: rustix::process::Signal) -> ! {
    loop {
        rustix::process::kill_process(rustix::process::getpid(), signal).expect("it is this process");
    }
}

/// Writes where nothing is mapped.
fn write_nowhere() -> u32 {
    let nowhere = std::ptr::without_provenance_mut::<u64>(64);
    // SAFETY: it is not sound, and meant to be: the first page is mapped in no process, so the write has no other effect than
    // the fault that ends this one.
    unsafe { nowhere.write_volatile(1) };
    0
}

fn deeper(depth: u64) -> u32 {
    let frame = std::hint::black_box([depth; 1024]);
    if depth == u64::MAX { 0 } else { deeper(depth + 1) + u32::try_from(frame[3]).unwrap_or(0) }
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the second");
    }
}

#[test]
fn a_crash_is_told_as_what_it_was_and_the_pool_goes_on() {
    guarded_by_kind("crashes", async || {
        let limits = worker::Limits::new().core_size(0);
        worker::scope(workers().limits(limits), async |pool| {
            for (how, cause, exit) in [
                ("segfault", DeathCause::Signal, "killed by SIGSEGV"),
                ("segfault by name", DeathCause::Signal, "killed by SIGSEGV"),
                ("bus error", DeathCause::Signal, "killed by SIGBUS"),
                ("illegal instruction", DeathCause::Signal, "killed by SIGILL"),
                ("terminate", DeathCause::Signal, "killed by SIGTERM"),
                ("kill", DeathCause::Killed, "killed by SIGKILL"),
                ("abort", DeathCause::Signal, "killed by SIGABRT"),
                // SIGABRT after a word on standard error, if `main` was reached before: see the standard library.
                ("overflow", DeathCause::Signal, "killed by SIGSEGV"),
                ("panic in a panic", DeathCause::Panic, "killed by SIGABRT"),
                ("exit 0", DeathCause::Exit, "exit code 0"),
                ("exit 3", DeathCause::Exit, "exit code 3"),
            ] {
                let error = pool.run(misbehave::with(how.into())).await.expect_err(how);
                let RunError::Died { died, .. } = &error else { panic!("{how}: {error:?}") };
                assert_eq!(error.death_cause(), Some(cause), "{how}: {error:?}");
                assert_eq!(died.exit().map(|exit| exit.to_string()).as_deref(), Some(exit), "{how}");
                assert!(pool.run(process_number::with()).await? > 0, "the pool goes on after {how}");
            }
            Ok(())
        })
        .await
    });
}

/// Starts a process that outlives the job, and says its number.
#[triune::job]
fn leave_behind(own_session: bool) -> u32 {
    let script = "sleep 1000 & echo $!";
    #[expect(clippy::disallowed_methods, reason = "what a careless job does")]
    let mut shell = if own_session {
        let mut setsid = Command::new("setsid");
        setsid.arg("sh");
        setsid
    } else {
        Command::new("sh")
    };
    // The sleeper must not hold the pipe on which its number comes.
    let script = script.replace("1000", "1000 >/dev/null 2>&1");
    let output = shell.arg("-c").arg(script).stdin(Stdio::null()).output().expect("there is a shell");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a process number")
}

#[test]
fn a_process_that_a_job_leaves_behind_goes_with_its_worker() {
    guarded_by_kind("daemon", async || {
        let mut left = Vec::new();
        worker::scope(workers(), async |pool| {
            for own_session in [false, true] {
                let pid = pool.run(leave_behind::with(own_session)).await?;
                left.push(ProcessInfo::of(pid).expect("it sleeps while its worker lives"));
                assert!(pool.run(process_number::with()).await? > 0, "the pool goes on");
            }
            Ok(())
        })
        .await?;
        left.iter().for_each(gone_soon);
        Ok(())
    });
}

/// Cuts every socket of this process, as a job does that closes descriptors which it does not own.
#[triune::job]
fn cut_the_link() -> usize {
    let own = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty());
    let own = own.expect("it is this process");
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("there is /proc");
    let numbers: Vec<RawFd> = descriptors
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2 && *number != own.as_raw_fd())
        .collect();
    let copies = numbers.into_iter().filter_map(|number| {
        rustix::process::pidfd_getfd(&own, number, rustix::process::PidfdGetfdFlags::empty()).ok()
    });
    copies.filter(|copy| rustix::net::shutdown(copy, rustix::net::Shutdown::Both).is_ok()).count()
}

#[test]
fn a_job_that_closes_its_link_is_ended_and_the_error_says_so() {
    guarded_by_kind("link", async || {
        worker::scope(workers(), async |pool| {
            let error = pool.run(cut_the_link::with()).await.expect_err("its answer has no way");
            assert!(error.is_worker_death(), "{error:?}");
            let cause = error.death_cause().expect("it died");
            assert!(matches!(cause, DeathCause::Exit | DeathCause::LinkClosed), "{error:?}");
            assert!(pool.run(process_number::with()).await? > 0, "the pool goes on");
            Ok(())
        })
        .await
    });
}

/// Closes everything but the standard streams, whoever owns it.
#[triune::job]
fn close_everything() -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("there is /proc");
    let numbers: Vec<RawFd> =
        descriptors.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    let foreign = numbers.into_iter().filter(|number| *number > 2);
    // SAFETY: it is not sound, and meant to be: what is closed belongs to others, who find that out.
    foreign.map(|number| unsafe { rustix::io::close(number) }).count()
}

#[test]
fn a_job_that_closes_every_descriptor_loses_its_worker_and_nothing_else() {
    guarded_by_kind("closed descriptors", async || {
        worker::scope(workers().limits(worker::Limits::new().core_size(0)), async |pool| {
            for _ in 0..3 {
                let error = pool.run(close_everything::with()).await.expect_err("its answer has no way");
                let cause = error.death_cause().expect("it died");
                // The standard library ends a process that closes what somebody else has closed already.
                assert!(
                    matches!(cause, DeathCause::Exit | DeathCause::LinkClosed | DeathCause::Signal),
                    "{error:?}"
                );
                assert!(pool.run(process_number::with()).await? > 0, "the pool goes on");
            }
            Ok(())
        })
        .await
    });
}

/// Writes so many bytes to each of its outputs.
#[triune::job]
fn talk(bytes: usize) -> usize {
    let line = [b"x".repeat(99).as_slice(), b"\n"].concat();
    let mut written = 0;
    while written < bytes {
        std::io::stdout().write_all(&line).expect("somebody reads");
        std::io::stderr().write_all(&line).expect("somebody reads");
        written += line.len();
    }
    written
}

#[test]
fn a_job_that_talks_much_disturbs_neither_its_answer_nor_the_next_job() {
    guarded_by_kind("talk", async || {
        worker::scope(workers(), async |pool| {
            for _ in 0..2 {
                assert_eq!(pool.run(talk::with(300_000)).await?, 300_000);
            }
            assert_eq!(pool.statistics().idle, 1, "by the same worker");
            Ok(())
        })
        .await
    });
}
