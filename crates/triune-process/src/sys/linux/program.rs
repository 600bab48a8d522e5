//! This program and this process: what to start again, who we are, how we are called.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

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

/// Executes a program, which is the first of `arguments`, in place of this process. Returns only if that fails.
///
/// A name without a slash is looked for in the `PATH` of the new environment. Not by `execvp`, which gives a file that the
/// system does not execute to a shell.
pub(crate) fn execute(arguments: &[OsString], env: &[OsString]) -> io::Error {
    let Some(name) = arguments.first() else { return io::Error::from(io::ErrorKind::InvalidInput) };
    let path = env.iter().rev().find_map(|entry| entry.as_bytes().strip_prefix(b"PATH="));
    let mut candidates = vec![PathBuf::from(name)];
    if !name.as_bytes().contains(&b'/') {
        let folders = path.unwrap_or(b"/bin:/usr/bin").split(|byte| *byte == b':');
        candidates = folders.map(|folder| Path::new(OsStr::from_bytes(folder)).join(name)).collect();
    }
    let c_strings = |texts: &[OsString]| -> io::Result<Vec<CString>> {
        texts.iter().map(|text| Ok(CString::new(text.as_bytes())?)).collect()
    };
    let (arguments, env) = match c_strings(arguments).and_then(|arguments| Ok((arguments, c_strings(env)?))) {
        Ok(both) => both,
        Err(error) => return error,
    };
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, env) = (pointers(&arguments), pointers(&env));
    super::signals_of_a_program();
    let mut error = io::Error::from_raw_os_error(libc::ENOENT);
    for candidate in candidates {
        let Ok(candidate) = CString::new(candidate.into_os_string().into_vec()) else { continue };
        // SAFETY: the strings end with a zero byte and the lists with a null pointer; all of them live until the call returns.
        unsafe { libc::execve(candidate.as_ptr(), arguments.as_ptr(), env.as_ptr()) };
        let refused = io::Error::last_os_error();
        match refused.raw_os_error() {
            // It may be in another folder.
            Some(libc::ENOENT | libc::ENOTDIR) => {}
            Some(libc::EACCES) => error = refused,
            _ => return refused,
        }
    }
    error
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
