//! This program and this process: what to start again, who we are, how we are called.

use std::ffi::{CString, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The running program. `/proc/self/exe` is the running inode, also after the file was replaced or removed, and needs
/// no search in `PATH` (which would leave the `posix_spawn` path of the standard library).
pub(crate) fn program() -> io::Result<PathBuf> {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() { Ok(own) } else { std::env::current_exe() }
}

/// Size and times of the running program's file.
pub(crate) fn image_metadata() -> io::Result<Metadata> {
    std::fs::metadata(program()?)
}

/// The first argument of this process. Read from `/proc`, since a constructor may run before the standard library has
/// seen its arguments.
pub(crate) fn first_argument() -> Option<OsString> {
    // Bounded: the argument that we look for is short, and a foreign one may be megabytes long.
    let mut start = Vec::new();
    File::open("/proc/self/cmdline").ok()?.take(64 * 1024).read_to_end(&mut start).ok()?;
    let end = start.iter().position(|byte| *byte == 0).unwrap_or(start.len());
    start.truncate(end);
    Some(OsString::from_vec(start))
}

/// The arguments of this process, the first one included. As above; empty if there is no `/proc`.
pub(crate) fn arguments() -> Vec<OsString> {
    let mut line = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    // Each ends with a zero byte, also an empty one.
    if line.pop().is_none() {
        return Vec::new();
    }
    line.split(|byte| *byte == 0).map(|argument| OsString::from_vec(argument.to_vec())).collect()
}

/// When a process started, in clock ticks since boot: with the pid it names a process for as long as the machine is up.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything; the start time is field 22.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The pid of the parent of this process; 0 if it is outside of our pid namespace.
pub(crate) fn parent_pid() -> u32 {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs())
}

/// The pid of the parent of this process, as `/proc` has it: also if it is outside of our pid namespace.
pub(crate) fn listed_parent_pid() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// Gives the main thread (and `comm` in `ps`) the child's name, as far as it fits.
pub(crate) fn set_process_name(name: &str) {
    let mut end = name.len().min(15);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    if let Ok(name) = CString::new(&name[..end]) {
        // Cosmetic: without it, `ps` shows the name of the program.
        let _cosmetic = rustix::thread::set_name(&name);
    }
}

/// Ends this process at once: no destructors, no exit handlers, whatever its other threads hold.
pub(crate) fn exit_now(code: u8) -> ! {
    // SAFETY: `_exit` takes an integer and does not return; it is safe from any thread at any time.
    unsafe { libc::_exit(i32::from(code)) }
}
