//! The end by the system's own hand when memory is short: in a control group that is too small, where one can be made.

use std::path::{Path, PathBuf};
use std::time::Duration;

use triune::actor::ActorDied;
use triune::prelude::*;
use triune::worker::{self, DeathCause};
use triune_testing::{LeakGuard, skip, wait_until};

use crate::program::escape;

/// What the group may have in bytes, and what is asked for in it.
const ALLOWED: usize = 48 << 20;
const WANTED: usize = 256 << 20;

/// A control group with little memory. Removed when dropped; nothing is left in it then.
struct Group(PathBuf);

/// The group that this process was in. It is there again when this is dropped, with all that it took into the other one.
struct Home<'a> {
    path: PathBuf,
    left_for: &'a Group,
}

impl Group {
    /// `None`: this machine gives none, and that was told.
    fn new(test: &str) -> Option<Self> {
        Self::with(test, ALLOWED)
    }

    fn with(test: &str, allowed: usize) -> Option<Self> {
        // The second hierarchy gives groups beneath our own only, and memory only where that was delegated.
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        let places = [
            (Path::new("/sys/fs/cgroup/memory").to_owned(), "memory.limit_in_bytes"),
            (Path::new("/sys/fs/cgroup").join(own), "memory.max"),
        ];
        let mut why = String::new();
        for (place, limit) in places {
            let group = Self(place.join(format!("triune-test-{}-{test}", std::process::id())));
            let made = std::fs::create_dir(&group.0)
                .and_then(|()| std::fs::write(group.0.join(limit), allowed.to_string()));
            match made {
                Ok(()) => {
                    // Else it would be put there instead. Not every system has it.
                    let _no_swap = std::fs::write(group.0.join("memory.swap.max"), "0").or_else(|_| {
                        std::fs::write(group.0.join("memory.memsw.limit_in_bytes"), allowed.to_string())
                    });
                    return Some(group);
                }
                Err(error) => why = format!("{}: {error}", group.0.display()),
            }
        }
        skip("the end by the system when memory is short", &format!("no control group can be made ({why})"));
        None
    }

    /// This process goes in, and takes with it what it starts from now on.
    fn enter(&self) -> Home<'_> {
        let parent = self.0.parent().unwrap();
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = |line: &str| match parent.ends_with("memory") {
            true => Some(parent.join(line.split_once(":memory:/")?.1)),
            false => Some(parent.to_owned()),
        };
        let home = groups.lines().find_map(own).filter(|home| home.exists());
        self.take_in(std::process::id());
        Home { path: home.unwrap_or_else(|| parent.to_owned()), left_for: self }
    }

    fn take_in(&self, pid: u32) {
        std::fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Home<'_> {
    fn drop(&mut self) {
        for pid in std::fs::read_to_string(self.left_for.0.join("cgroup.procs")).unwrap().lines() {
            // One that has just ended needs no home.
            let _ended = std::fs::write(self.path.join("cgroup.procs"), pid);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process leaves its group a moment after it is reaped.
        let gone =
            wait_until(Duration::from_secs(10), || !self.0.exists() || std::fs::remove_dir(&self.0).is_ok());
        assert!(gone || std::thread::panicking(), "{} is not empty", self.0.display());
    }
}

fn eat() -> u8 {
    escape();
    std::hint::black_box(vec![1_u8; WANTED])[WANTED / 2]
}

#[triune::endpoint]
async fn eat_here() -> u8 {
    eat()
}

#[triune::job]
fn eat_in_a_job() -> u8 {
    eat()
}

#[triune::job]
fn number() -> u32 {
    std::process::id()
}

#[triune::test]
async fn an_actor_that_the_system_kills_for_memory_is_a_typed_error_and_leaves_nothing() {
    let guard = LeakGuard::new();
    if let Some(group) = Group::new("actor") {
        let error = nursery(async |n| {
            let actor = n.actor("greedy").start().await?;
            group.take_in(actor.pid());
            actor.call(eat_here::with()).await?;
            Ok(())
        })
        .await
        .unwrap_err();
        guard.check().expect("gone when the nursery returns");
        let deaths: Vec<&ActorDied> = error.group().unwrap().downcast_all();
        assert_eq!(deaths.len(), 1, "{error:?}");
        assert_eq!(deaths[0].exit().unwrap().signal(), Some(9), "{error:?}");
        drop(group);
    }
    guard.settle().await;
}

#[triune::test]
async fn a_worker_that_the_system_kills_for_memory_loses_its_job_and_the_pool_goes_on() {
    let guard = LeakGuard::new();
    if let Some(group) = Group::new("worker") {
        let error = worker::scope(worker::Workers::new(), async |pool| {
            let pid = pool.run(number::with()).await?;
            group.take_in(pid);
            let error = pool.run(eat_in_a_job::with()).await.unwrap_err();
            assert_ne!(pool.run(number::with()).await?, pid);
            Ok(error)
        })
        .await
        .unwrap();
        // The group that it was started in counts what happens in groups beneath it, or not.
        let told = [DeathCause::Killed, DeathCause::OutOfMemory];
        assert!(error.death_cause().is_some_and(|cause| told.contains(&cause)), "{error:?}");
        drop(group);
    }
    guard.settle().await;
}

#[triune::job]
fn kill_this_worker() {
    let own = rustix::process::getpid();
    rustix::process::kill_process(own, rustix::process::Signal::KILL).expect("it is this process");
}

#[triune::test]
async fn what_the_system_kills_for_memory_is_told_from_what_somebody_else_kills() {
    let guard = LeakGuard::new();
    // More than this process has itself, so that it is not the one.
    if let Some(group) = Group::with("tree", 128 << 20) {
        let home = group.enter();
        let causes = worker::scope(worker::Workers::new(), async |pool| {
            let eaten = pool.run(eat_in_a_job::with()).await.unwrap_err();
            assert!(eaten.to_string().contains("it ran out of memory"), "{eaten}");
            let killed = pool.run(kill_this_worker::with()).await.unwrap_err();
            let eaten_again = pool.run(eat_in_a_job::with()).await.unwrap_err();
            Ok([eaten, killed, eaten_again].map(|error| error.death_cause()))
        })
        .await
        .unwrap();
        let expected = [DeathCause::OutOfMemory, DeathCause::Killed, DeathCause::OutOfMemory];
        assert_eq!(causes, expected.map(Some));
        drop(home);
        drop(group);
    }
    guard.settle().await;
}
