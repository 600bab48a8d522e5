//! A pid namespace: when its first process dies, the kernel kills all others in it.

use std::fs;
use std::io;

use rustix::thread::UnshareFlags;

/// From now on, the next child of this process is the first process of a new pid namespace.
///
/// Needs privilege, or else a user namespace, in which this user keeps its number. This process must have one thread only.
pub(crate) fn enter_pid_namespace() -> io::Result<()> {
    if unshare(UnshareFlags::NEWPID).is_ok() {
        return Ok(());
    }
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWPID)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: neither flag touches memory or descriptors, which other threads could rely on; the process has one thread.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}
