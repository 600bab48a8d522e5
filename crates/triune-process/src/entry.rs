//! The entry: where a re-executed child leaves the program's own way and goes into its role.
//!
//! Owns the guard against programs that never pass here. It runs before anything else of the program, possibly before
//! `main`, so it assumes nothing: no runtime, no logger, no arguments. What follows in a child is in `enter`.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::enter::{enter, enter_as_program, fail_boot, say};
use crate::error::{StartError, StartErrorKind};
use crate::exit::{exit_code, exit_now};
use crate::marker::{self, Identity};

/// Whether this process has passed the entry, and may spawn.
static REACHED: AtomicBool = AtomicBool::new(false);

/// Sends a child of triune into its role. Call it first thing in `main`; `#[triune::main]` does so.
///
/// In a process that [`spawn`](crate::spawn) started, or that another program has started as its worker, it never returns: the process plays its role and exits. In every
/// other process it returns at once, and from then on this process may spawn. Calling it again does nothing.
///
/// What stands before the call runs in every child too, except in the guardian, in a fork server and in what that one
/// makes. It may be called inside of a `#[tokio::main]`, which then costs
/// each child that runtime's start.
///
/// ```
/// triune_process::init();
/// // The program's own way begins here, in the root only.
/// ```
pub fn init() {
    if REACHED.load(Ordering::Relaxed) {
        return;
    }
    match marker::identify() {
        Identity::Root => REACHED.store(true, Ordering::Relaxed),
        Identity::Child(marker, name) => {
            // A child may have children of its own.
            REACHED.store(true, Ordering::Relaxed);
            enter(&marker, name)
        }
        Identity::Program(mark) => {
            REACHED.store(true, Ordering::Relaxed);
            enter_as_program(&mark)
        }
        // Nobody listens any more. The program's own main must not run in its place.
        Identity::Orphan => exit_now(exit_code::PARENT_GONE),
        Identity::Foreign => {
            fail_boot("this process was started by another version of triune; rebuild the program")
        }
    }
}

/// Sends a guardian, a fork server and what becomes another program into their roles before `main`, whatever the program's own entry is.
///
/// A guardian blocks all signals and makes namespaces, a fork server forks: all of that needs a process of one thread, and
/// where the program calls [`init`](crate::init) inside of a `#[tokio::main]`, there would be some by then. What becomes another
/// program has no use for anything that this one does before. Every other
/// process looks at one variable and goes on: its role begins where the program wants it to.
extern "C" fn enter_early() {
    let early = [crate::fork::FORK_SERVER, crate::program::PROGRAM];
    if marker::is_of(|role| crate::guardian::is_guardian(role) || early.contains(&role)) {
        init_from_constructor();
    }
}

crate::constructor!(enter_early);

/// [`init`] for a constructor, that is, before `main`: nothing unwinds out of it.
///
/// Not for direct use: [`constructor!`](crate::constructor) calls it.
#[doc(hidden)]
pub extern "C" fn init_from_constructor() {
    // Unwinding into the loader would be undefined; `extern "C"` would turn it into an abort without exit code.
    if std::panic::catch_unwind(init).is_err() {
        exit_now(exit_code::PANIC);
    }
}

/// Runs [`init`](crate::init) before `main`, as `#[triune::test]` and the feature `auto-init` need it.
///
/// Not for direct use. Any number of them may be in one program.
#[doc(hidden)]
#[macro_export]
macro_rules! constructor {
    () => {
        $crate::constructor!($crate::init_from_constructor);
    };
    ($function:path) => {
        const _: () = {
            #[used]
            #[cfg_attr(
                any(target_os = "linux", target_os = "android", target_os = "freebsd"),
                unsafe(link_section = ".init_array")
            )]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
            #[cfg_attr(windows, unsafe(link_section = ".CRT$XCU"))]
            static TRIUNE_ENTRY: extern "C" fn() = $function;
        };
    };
}

/// Lets only a process that has passed the entry spawn.
///
/// A root that has not is refused: its children are the same program, and would not pass either. A *child* that has
/// not is running the program's own `main`, so it would do over what its parent did: it ends here.
pub(crate) fn guard(name: &str) -> Result<(), StartError> {
    if REACHED.load(Ordering::Relaxed) {
        return Ok(());
    }
    match marker::identify() {
        Identity::Root | Identity::Program(_) => {
            Err(StartError::new(name, StartErrorKind::EntryNotReached(None)))
        }
        Identity::Orphan => exit_now(exit_code::PARENT_GONE),
        Identity::Child(..) | Identity::Foreign => {
            say("this process is a child of triune that never reached its entry, and ends here");
            exit_now(exit_code::ENTRY_NOT_REACHED)
        }
    }
}
