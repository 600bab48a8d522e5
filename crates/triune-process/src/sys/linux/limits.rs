//! Limits of this process: resources, cores, niceness, privileges.

use std::io;
use std::time::Duration;

use rustix::process::{Resource as Rlimited, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::ClockId;

use crate::limits::Resource;

/// Lowers a limit of this process. Where the system allows less already, that stays.
pub(crate) fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let limited = match resource {
        // Not the address space: allocators and runtimes reserve far more of it than they use.
        Resource::Memory => Rlimited::Data,
        Resource::CpuTime => Rlimited::Cpu,
        Resource::OpenFiles => Rlimited::Nofile,
        Resource::FileSize => Rlimited::Fsize,
        Resource::CoreSize => Rlimited::Core,
        Resource::Processes => Rlimited::Nproc,
        Resource::Stack => Rlimited::Stack,
    };
    let before = getrlimit(limited);
    // The system asks the process to end at the soft limit of processor time, and kills it at the hard one.
    let spare = u64::from(resource == Resource::CpuTime);
    let maximum = value.saturating_add(spare).min(before.maximum.unwrap_or(u64::MAX));
    let new = Rlimit { current: Some(value.min(maximum)), maximum: Some(maximum) };
    Ok(setrlimit(limited, new)?)
}

/// Limits the processor time of this process to what it has used plus `limit`, rounded up to seconds. May be said again.
pub(crate) fn limit_cpu_time_from_now(limit: Duration) -> io::Result<()> {
    let used = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
    let used = u64::try_from(used.tv_sec).unwrap_or_default().saturating_add(u64::from(used.tv_nsec > 0));
    let seconds = used.saturating_add(limit.as_secs());
    let Rlimit { maximum, .. } = getrlimit(Rlimited::Cpu);
    if maximum.is_some_and(|maximum| maximum < seconds) {
        return Err(io::Error::other(format!("{seconds} s are more than the hard limit")));
    }
    // Only the soft limit: the next job must be able to raise it again.
    Ok(setrlimit(Rlimited::Cpu, Rlimit { current: Some(seconds), maximum })?)
}

/// The private memory of this process that it may write, in bytes: what the limit of memory counts.
pub(crate) fn private_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Sets the niceness of this process, while it has one thread.
pub(crate) fn set_nice(niceness: i32) -> io::Result<()> {
    rustix::process::setpriority_process(None, niceness)?;
    // Values out of range are clamped by the system.
    match rustix::process::getpriority_process(None)? {
        now if now == niceness => Ok(()),
        now => Err(io::Error::other(format!("the system made it {now}; niceness goes from -20 to 19"))),
    }
}

/// Lets this thread, and all that it starts, run on these cores only. Gives those that the system granted.
pub(crate) fn set_cores(cores: &[usize]) -> io::Result<Vec<usize>> {
    let mut set = CpuSet::new();
    // A set has no place for others, which are not granted then either; the system refuses a set without any.
    cores.iter().filter(|core| **core < CpuSet::MAX_CPU).for_each(|core| set.set(*core));
    sched_setaffinity(None, &set)?;
    let granted = sched_getaffinity(None)?;
    Ok(cores.iter().copied().filter(|core| *core < CpuSet::MAX_CPU && granted.is_set(*core)).collect())
}

pub(crate) fn set_no_new_privileges() -> io::Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}
