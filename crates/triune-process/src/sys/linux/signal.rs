//! Signals: what a fresh child makes of them, how the guardian hears of the ends of its children, and the one handler of
//! this crate, which notes what has come.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

/// The highest number of a signal.
pub(crate) const LAST_SIGNAL: i32 = 64;

/// What cannot be handled at all, and what tells of a fault of the instruction to which the handler would return.
pub(crate) const UNRECEIVABLE: [i32; 6] =
    [libc::SIGKILL, libc::SIGSTOP, libc::SIGILL, libc::SIGFPE, libc::SIGSEGV, libc::SIGBUS];

const SIGNALS: usize = LAST_SIGNAL as usize + 1;

/// Whether signals are noted, by their number.
static OPEN: [AtomicBool; SIGNALS] = [const { AtomicBool::new(false) }; SIGNALS];
/// Those that have come since they were taken.
static NOTED: [AtomicBool; SIGNALS] = [const { AtomicBool::new(false) }; SIGNALS];
/// The functions that handled them before, and the flags of these.
static BEFORE: [AtomicUsize; SIGNALS] = [const { AtomicUsize::new(0) }; SIGNALS];
static BEFORE_FLAGS: [AtomicI32; SIGNALS] = [const { AtomicI32::new(0) }; SIGNALS];
/// Somebody has installed a handler on top of ours, which may call ours: ours may not be taken away any more.
static BURIED: [AtomicBool; SIGNALS] = [const { AtomicBool::new(false) }; SIGNALS];
/// The descriptor of the bell, for the handler.
static BELL: AtomicI32 = AtomicI32::new(-1);

/// How a signal was handled.
pub(crate) struct Handling(libc::sigaction);

/// A copy of the bell that rings when a signal was noted. It is never silenced: each ring is an edge, for whoever watches.
pub(crate) fn signal_bell() -> io::Result<OwnedFd> {
    static RUNG: OnceLock<OwnedFd> = OnceLock::new();
    let rung = match RUNG.get() {
        Some(rung) => rung,
        None => {
            let bell = super::bell()?;
            let rung = RUNG.get_or_init(|| bell);
            BELL.store(rung.as_raw_fd(), Ordering::Release);
            rung
        }
    };
    rung.try_clone()
}

/// Rings the bell, if there is one. Safe in a handler: one system call, which leaves `errno` alone.
pub(crate) fn ring_signal_bell() {
    let bell = BELL.load(Ordering::Acquire);
    if bell >= 0 {
        // SAFETY: the descriptor belongs to a static, so it is open for as long as the process lives.
        super::ring(unsafe { BorrowedFd::borrow_raw(bell) });
    }
}

/// From now on, a signal is noted, and has no other effect. The caller has made the bell, and orders the calls.
pub(crate) fn note_signal(signal: i32) -> io::Result<Handling> {
    let at = index(signal)?;
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all-zero bytes are a valid `sigaction`.
    let action = unsafe {
        let action = action.assume_init_mut();
        action.sa_sigaction = handler();
        // System calls go on; the handler runs on the stack that a thread may have for such occasions.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        &*action
    };
    let mut before = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null pointer asks for the current handling only, which is written to a valid place.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), before.as_mut_ptr()) };
    // SAFETY: all-zero bytes are a valid `sigaction`, so it is initialised whatever the call has done.
    let before = unsafe { before.assume_init() };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    // A handler on top of ours may call ours, and ours must not call it in turn.
    if !BURIED[at].load(Ordering::SeqCst) {
        BEFORE[at].store(before.sa_sigaction, Ordering::Relaxed);
        BEFORE_FLAGS[at].store(before.sa_flags, Ordering::Relaxed);
    }
    NOTED[at].store(false, Ordering::Relaxed);
    OPEN[at].store(true, Ordering::SeqCst);
    // SAFETY: the handler does only what is safe in one: atomics, and `write` to a descriptor that is never closed.
    if unsafe { libc::sigaction(signal, action, std::ptr::null_mut()) } != 0 {
        let error = io::Error::last_os_error();
        OPEN[at].store(false, Ordering::SeqCst);
        return Err(error);
    }
    Ok(Handling(before))
}

/// Ends [`note_signal`]: the handling is as it was before, unless somebody has installed another one since, which stays.
/// Says whether a signal was noted that nobody has taken.
pub(crate) fn handle_signal_as_before(signal: i32, before: &Handling) -> bool {
    let Ok(at) = index(signal) else { return false };
    let mut current = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null pointer asks for the current handling only, which is written to a valid place.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), current.as_mut_ptr()) };
    // SAFETY: all-zero bytes are a valid `sigaction`, so it is initialised whatever the call has done.
    let current = unsafe { current.assume_init() };
    if asked == 0 && current.sa_sigaction == handler() {
        // SAFETY: the handling is one that the system has given to us.
        unsafe { libc::sigaction(signal, &raw const before.0, std::ptr::null_mut()) };
    } else {
        BURIED[at].store(true, Ordering::SeqCst);
    }
    OPEN[at].store(false, Ordering::SeqCst);
    take_noted_signal(signal)
}

/// Whether a signal has come since this was last asked.
pub(crate) fn take_noted_signal(signal: i32) -> bool {
    index(signal).is_ok_and(|at| NOTED[at].swap(false, Ordering::SeqCst))
}

fn index(signal: i32) -> io::Result<usize> {
    let at = usize::try_from(signal).ok().filter(|at| (1..SIGNALS).contains(at));
    at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

fn handler() -> libc::sighandler_t {
    let handler: Handler = note;
    handler as *const () as libc::sighandler_t
}

/// The handler. It may interrupt anything, in any thread: nothing but atomics and system calls that leave `errno` alone.
extern "C" fn note(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Ok(at) = index(signal) else { return };
    let noted = OPEN[at].load(Ordering::SeqCst);
    if noted {
        NOTED[at].store(true, Ordering::SeqCst);
        ring_signal_bell();
    } else if BURIED[at].load(Ordering::SeqCst) {
        handle_as_before(at, signal, info, context);
    }
    // Closed just before, or just now by somebody who has not seen the note: the handling from before is there again, and
    // gets the signal when this handler returns.
    let missed = if noted {
        !OPEN[at].load(Ordering::SeqCst) && NOTED[at].swap(false, Ordering::SeqCst)
    } else {
        !BURIED[at].load(Ordering::SeqCst)
    };
    if missed {
        // SAFETY: `raise` is safe in a handler, and takes an integer.
        unsafe { libc::raise(signal) };
    }
}

/// Nobody receives the signal any more, and a handler that was installed on top of ours calls us. A default is not for us to
/// apply: that one decides.
fn handle_as_before(at: usize, signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let before = BEFORE[at].load(Ordering::Relaxed);
    if [libc::SIG_DFL, libc::SIG_IGN, libc::SIG_ERR].contains(&before) {
        return;
    }
    if BEFORE_FLAGS[at].load(Ordering::Relaxed) & libc::SA_SIGINFO != 0 {
        // SAFETY: the system has given this address for a handler that takes three arguments, and these are what it would
        // have called it with.
        let before: Handler = unsafe { std::mem::transmute(before) };
        before(signal, info, context);
    } else {
        // SAFETY: the same, for one that takes one argument.
        let before: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(before) };
        before(signal);
    }
}

/// The signals of a fresh child: nothing blocked, SIGTERM as the system has it, SIGINT and SIGPIPE ignored.
///
/// The mask and ignored signals are inherited over `exec`, so the parent's thread decided about ours until here.
pub(crate) fn reset_signals() {
    set_disposition(libc::SIGPIPE, libc::SIG_IGN);
    set_disposition(libc::SIGINT, libc::SIG_IGN);
    set_disposition(libc::SIGTERM, libc::SIG_DFL);
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set that it is given; the pointer is valid for writes.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: the set was initialised just above, and a null pointer for the old mask is allowed.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
}

/// The signals of a program that is executed next: as those of a fresh child, but SIGPIPE ends it, which most programs expect.
pub(crate) fn signals_of_a_program() {
    reset_signals();
    set_disposition(libc::SIGPIPE, libc::SIG_DFL);
}

/// Whether this process ignores a signal, as a shell makes it do for `nohup` and for jobs in the background.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let mut current = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only writes the current one to a pointer that is valid for it.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), current.as_mut_ptr()) };
    // SAFETY: all-zero bytes are a valid `sigaction`, so it is initialised whatever the call has done.
    let current = unsafe { current.assume_init() };
    result == 0 && current.sa_sigaction == libc::SIG_IGN
}

fn set_disposition(signal: i32, disposition: libc::sighandler_t) {
    // SAFETY: the disposition is SIG_IGN or SIG_DFL, never a function, so nothing of ours runs in a signal handler.
    unsafe { libc::signal(signal, disposition) };
}

/// Blocks every signal that may be blocked, and gives a descriptor that tells of the end of a child.
///
/// The guardian lives by this: nothing but SIGKILL ends it, and nothing interrupts it. A child that it starts begins
/// with an empty mask again.
pub(crate) fn hear_of_children_only() -> io::Result<OwnedFd> {
    // An inherited SIG_IGN would make the system reap our children, and lose their status.
    set_disposition(libc::SIGCHLD, libc::SIG_DFL);
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` initialises the set that it is given; the pointer is valid for writes.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    // SAFETY: the set was initialised just above, and a null pointer for the old mask is allowed.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut()) };
    // SAFETY: `sigemptyset` initialises the set that it is given; the pointer is valid for writes.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set is initialised.
    unsafe { libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD) };
    // SAFETY: the set is initialised; the call makes a new descriptor or fails.
    let fd = unsafe { libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes all that is pending from the descriptor of [`hear_of_children_only`].
pub(crate) fn drain_signals(signals: &OwnedFd) {
    // There is at most one: signals of this kind do not queue.
    let mut buffer = [0_u8; 2 * size_of::<libc::signalfd_siginfo>()];
    // Non-blocking: an error means that there is nothing.
    let _taken = rustix::io::read(signals.as_fd(), &mut buffer);
}
