//! One child process of triune: re-executed entry, spawn, watch, terminate, reap.
//!
//! A child is this very executable, started again: [`init`] (called by `#[triune::main]`, by a constructor, or by
//! hand, first thing in `main`) sends it into the [`Role`] that its parent asked for, and never returns there.
//! [`spawn`] starts one and gives its [`Process`] handle and the parent's end of its *link*, a Unix stream socket.
//!
//! A role may also become another program ([`Program`], [`Boot::execute`]), which stays a child like any other.
//!
//! This crate owns the process: its start, its end and its exit status. It does not know what is said over the link.
//!
//! # How a tree holds together
//!
//! All processes of a tree are started by its *guardian*, a small process that the root starts with the first of them; it
//! is their parent and reaper, and sweeps what they leave behind. Who *owns* a child is another matter: the process
//! that asked for it has its handle, its link and its channel to the guardian. [`Containment`] says what that holds,
//! on which system, and what is held without a guardian.
//!
//! Invariants:
//! 1. **No child is lost.** From the moment the system knows it, a child has one owner, which kills and reaps it (or has
//!    it reaped) when dropped. A dropped future, handle or runtime leaves neither a process nor a zombie.
//! 2. **No fork bomb.** A program that never reaches its entry spawns nothing; a child that missed it exits.
//! 3. **A process number is used only while it is ours.** Signals go through the pidfd, and to the group only while the
//!    child is not reaped, by the process that reaps it.
//! 4. **A child's end takes with it what it had started**: its process group before its number is given back, everything
//!    else beneath it before [`Process::wait_gone`] returns (at the levels with a guardian).
//! 5. **A child does not outlive its parent**, however busy it is: a thread of its own watches the link (see
//!    [`Boot::exit_with_parent`]), and the guardian kills it when its grace is over. One that has none is killed at once, by the
//!    system itself (see [`Boot::die_with_parent`]).
//! 6. Nothing here blocks in `Drop`, and nothing runs between `fork` and `exec`: spawning stays on the
//!    `posix_spawn` path, whose cost does not grow with the memory of the parent.
//!
//! Everything of one operating system is in one folder, `sys/linux`, behind the names that `sys` lists; another system
//! is another one beside it.

mod adopt;
mod boot;
mod child;
mod containment;
mod died;
mod enter;
mod entry;
mod error;
mod exit;
mod finish;
mod fork;
mod guardian;
mod hold;
mod hook;
mod image;
mod lifeline;
mod limits;
mod marker;
mod oom;
mod output;
mod owned;
mod process;
mod program;
mod registry;
mod role;
mod sealed;
mod signal;
mod slate;
mod spawn;
mod spec;
mod start;
mod stdio;
mod sys;
mod terminate;
mod tree;
mod watch;

pub use boot::Boot;
pub use containment::{
    Containment, ContainmentInForce, ContainmentReport, UnknownContainment, containment, containment_report,
    set_containment,
};
pub use died::{ActorDied, Died, Phase, WorkerDied};
pub use entry::{init, init_from_constructor};
pub use error::{StartError, StartErrorKind};
pub use exit::{Exit, exit_code, exit_now, signal_name};
pub use finish::finish;
pub use fork::{FORK_SERVER, ForkServer, Forks, ForksError};
pub use hold::{Hold, hold, is_held};
pub use image::build_id;
pub use limits::{
    Enforce, Enforcement, Limit, LimitStatus, Limits, LimitsError, LimitsReport, begin_cpu_time,
    limits_report,
};
pub use oom::OomKills;
pub use process::Process;
pub use program::{PROGRAM, Program};
pub use registry::kill_all;
pub use role::{ROLES, Role};
pub use sealed::Sealed;
pub use signal::{
    Signal, SignalReceiver, SignalReceiverError, SignalRecvError, open_signal_receiver, signals,
};
pub use slate::Slate;
pub use spawn::spawn;
pub use spec::Spec;
pub use stdio::{Output, Stdio};
pub use terminate::Ladder;
pub use tree::tree_cookie;

#[doc(hidden)]
pub mod __private {
    //! What the macros of this crate expand to; not for direct use.
    pub use crate::hold::grace;
    pub use linkme;
}

#[doc(hidden)]
pub mod __testing {
    //! What `triune-testing` needs to inject faults; free to change.
    pub use crate::hook::{LinkHook, hook_links};
}
