//! Fork without exec, for the fork server alone, and what the child of one has to put right.
//!
//! A forked process has one thread, whatever its parent had: locks that other threads held stay locked for ever. So this
//! begins with the proof that there is one thread only ([`SoleThread`]), and nothing here works without it.
//!
//! The child is to be a sibling of its server, that is, a child of the guardian, which watches and reaps it. The C library's
//! `fork` cannot do that, so the call is made directly, and what `fork` would have put right is put right here: the
//! number of the thread, which the C library keeps, and the list of robust locks, which the system keeps. Handlers of
//! `pthread_atfork` do not run.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

/// This process has one thread, which is this one, and no code of anybody else runs in it until it forks.
#[derive(Debug)]
pub(crate) struct SoleThread {
    /// Where the C library keeps the number of this thread.
    number: *mut libc::pid_t,
    /// The head of its list of robust locks, and the length of that head.
    robust: (*mut libc::c_void, usize),
}

/// On which side of a fork this is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Child,
}

/// The names of the threads of this process besides this one.
pub(crate) fn other_threads() -> io::Result<Vec<String>> {
    // Its number as `/proc` has it, which may be that of an outer pid namespace.
    let own = fs::read_link("/proc/thread-self")?;
    let mut names = Vec::new();
    for entry in fs::read_dir("/proc/self/task")? {
        let entry = entry?;
        if Some(&*entry.file_name()) != own.file_name() {
            // One that ends while we look has no name any more, and counts: it may hold a lock until its end.
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            names.push(name.trim_end().to_owned());
        }
    }
    Ok(names)
}

impl SoleThread {
    /// Takes note of this thread, after [`other_threads`] has found no other.
    pub(crate) fn note() -> io::Result<Self> {
        if cfg!(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "its call is not known on this processor",
            ));
        }
        let mut number: *mut libc::pid_t = std::ptr::null_mut();
        // SAFETY: the option writes one pointer, and is given the address of one.
        let result = unsafe { libc::prctl(libc::PR_GET_TID_ADDRESS, &raw mut number, 0, 0, 0) };
        if result != 0 || number.is_null() {
            return Err(io::Error::other(
                "the kernel does not tell where the number of a thread is kept; it needs CONFIG_CHECKPOINT_RESTORE",
            ));
        }
        let (mut head, mut len) = (std::ptr::null_mut(), 0_usize);
        // SAFETY: the call writes a pointer and a length, and is given the addresses of such; 0 is this thread.
        let result = unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut len) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { number, robust: (head, len) })
    }
}

/// Makes a copy of this process, as a child of this one's parent. Returns on both sides.
pub(crate) fn fork_as_sibling(thread: &SoleThread) -> io::Result<Side> {
    // SAFETY: the proof is at hand.
    match unsafe { clone_sibling(thread.number) } {
        0 => {
            let (head, len) = thread.robust;
            // SAFETY: the head is the one that the C library has registered for this thread, in our copy of it.
            unsafe { libc::syscall(libc::SYS_set_robust_list, head, len) };
            Ok(Side::Child)
        }
        1.. => Ok(Side::Server),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The system call. The signal that tells our parent of the end of the copy is the one of our own end, SIGCHLD.
///
/// # Safety
/// This process has one thread, its processor is one that [`SoleThread::note`] knows, and `number` is where the C library keeps the number of it.
unsafe fn clone_sibling(number: *mut libc::pid_t) -> libc::c_long {
    let flags = libc::CLONE_PARENT | libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID;
    let (flags, none) = (libc::c_long::from(flags), std::ptr::null_mut());
    // The last two arguments are in an order that depends on the processor: thread-local storage, and the number.
    let (fourth, fifth) = if cfg!(target_arch = "x86_64") { (number, none) } else { (none, number) };
    // SAFETY: without CLONE_VM the child is a copy that shares no memory with us, so that each side returns once, as from
    // `fork`; no new stack is given, so it goes on with its copy of ours. This process has one thread, so no lock of the
    // C library or of anybody else is held by a thread that the copy lacks. The number is written where the C library
    // keeps that of this very thread, in the child's copy, and cleared there at its end, as `fork` has it.
    unsafe { libc::syscall(libc::SYS_clone, flags, none, none, fourth, fifth) }
}

/// Writes out what the C library has buffered, or each child would write it again.
pub(crate) fn flush_c_streams() {
    // SAFETY: a null pointer means all streams that are open for writing.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

/// Gives this process a group of its own.
pub(crate) fn lead_own_group() -> io::Result<()> {
    Ok(rustix::process::setpgid(None, None)?)
}

/// Makes these the standard output and error of this process.
pub(crate) fn replace_outputs(stdout: &OwnedFd, stderr: &OwnedFd) -> io::Result<()> {
    rustix::stdio::dup2_stdout(stdout.as_fd())?;
    Ok(rustix::stdio::dup2_stderr(stderr.as_fd())?)
}

/// Sets an environment variable of this process, or takes it away.
pub(crate) fn set_variable(_only: &SoleThread, key: &OsStr, value: Option<&OsStr>) {
    match value {
        // SAFETY: there is no other thread that could read the environment at the same time.
        Some(value) => unsafe { std::env::set_var(key, value) },
        // SAFETY: as above.
        None => unsafe { std::env::remove_var(key) },
    }
}

/// Where the system has put the arguments and the environment that this process was started with. `/proc/<pid>/cmdline` and
/// `environ` show what is there now.
#[derive(Clone, Debug)]
pub(crate) struct StartMemory {
    arguments: Range<usize>,
    environment: Range<usize>,
}

impl StartMemory {
    pub(crate) fn find() -> io::Result<Self> {
        let stat = fs::read_to_string("/proc/self/stat")?;
        // The second field is the name in parentheses and may hold anything; these are the fields 48 to 51.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let mut numbers = fields.split_ascii_whitespace().skip(45).map_while(|field| field.parse().ok());
        let mut range = || Some(numbers.next()?..numbers.next()?).filter(|range| range.start < range.end);
        match (range(), range()) {
            (Some(arguments), Some(environment)) => Ok(Self { arguments, environment }),
            _ => Err(io::Error::other("the system does not show where arguments and environment are")),
        }
    }

    /// Shows `text` in place of all arguments, as far as it fits.
    pub(crate) fn show_argument(&self, _only: &SoleThread, text: &[u8]) {
        let room = self.arguments.len() - 1;
        let shown = text.iter().copied().take(room).chain(std::iter::repeat(0));
        self.arguments.clone().zip(shown).for_each(|(at, byte)| write_byte(at, byte));
    }

    /// Replaces the end of the value of a variable by `text`, which must not be longer. False if there is no such variable.
    pub(crate) fn replace_end_of_variable(&self, _only: &SoleThread, key: &str, text: &[u8]) -> bool {
        let bytes: Vec<u8> = self.environment.clone().map(read_byte).collect();
        let mut start = 0;
        for entry in bytes.split(|byte| *byte == 0) {
            let value = entry.strip_prefix(key.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
            if value.is_some_and(|value| value.len() >= text.len()) {
                let at = self.environment.start + start + entry.len() - text.len();
                (at..).zip(text).for_each(|(at, byte)| write_byte(at, *byte));
                return true;
            }
            start += entry.len() + 1;
        }
        false
    }
}

/// `at` must be within the ranges of [`StartMemory`], which is the business of its methods.
fn read_byte(at: usize) -> u8 {
    let place = std::ptr::with_exposed_provenance::<u8>(at);
    // SAFETY: the system has mapped these ranges, for reading and writing, at the start of the process, above its stack, and
    // they stay for its life. The C library's pointers into them are only followed for copies that are made at once.
    unsafe { place.read_volatile() }
}

/// As [`read_byte`].
fn write_byte(at: usize, byte: u8) {
    let place = std::ptr::with_exposed_provenance_mut::<u8>(at);
    // SAFETY: as for reading. Nobody reads at the same time: the callers show that there is no other thread.
    unsafe { place.write_volatile(byte) };
}
