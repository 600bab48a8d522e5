//! One child process of triune: re-executed entry, spawn, watch, terminate, reap.
//!
//! A child is this very executable, started again: [`init`] (called by `#[triune::main]`, by a constructor, or by
//! hand, first thing in `main`) sends it into the [`Role`] that its parent asked for, and never returns there.
//! [`spawn`] starts one and gives its [`Process`] handle and the parent's end of its *link*, a Unix stream socket.
//!
//! This crate owns the process: its start, its end and its exit status. It does not know what is said over the link.
//!
//! Invariants:
//! 1. **No child is lost.** From the moment the system knows it, a child has one owner, which kills and reaps it when
//!    dropped. A dropped future, handle or runtime leaves neither a process nor a zombie.
//! 2. **No fork bomb.** A program that never reaches its entry spawns nothing; a child that missed it exits.
//! 3. **A process number is used only while it is ours.** Signals go through the pidfd, and to the group only while the
//!    child is not reaped, under the lock that the reaping takes.
//! 4. **A child's end takes its process group with it**: what it left there is killed before the number is given back.
//! 5. **A child does not outlive its parent**, however busy it is: a thread of its own watches the link (see
//!    [`Boot::exit_with_parent`]).
//! 6. Nothing here blocks in `Drop`, and nothing runs between `fork` and `exec`: spawning stays on the
//!    `posix_spawn` path, whose cost does not grow with the memory of the parent.
//!
//! Everything that only Linux has is in `sys/linux.rs`; another system is another file beside it.

mod adopt;
mod boot;
mod child;
mod died;
mod entry;
mod error;
mod exit;
mod image;
mod lifeline;
mod limits;
mod marker;
mod process;
mod registry;
mod signal;
mod spawn;
mod spec;
mod sys;
mod terminate;
mod tree;

pub use boot::Boot;
pub use died::{ActorDied, Died, Phase, WorkerDied};
pub use entry::{ROLES, Role, init, init_from_constructor};
pub use error::{StartError, StartErrorKind};
pub use exit::{Exit, exit_code, exit_now, signal_name};
pub use image::build_id;
pub use limits::{
    Enforce, Enforcement, Limit, LimitStatus, Limits, LimitsError, LimitsReport, begin_cpu_time,
    limits_report,
};
pub use process::Process;
pub use registry::kill_all;
pub use signal::signals;
pub use spawn::spawn;
pub use spec::Spec;
pub use terminate::Ladder;
pub use tree::tree_cookie;

#[doc(hidden)]
pub mod __private {
    //! What the macros of this crate expand to; not for direct use.
    pub use linkme;
}
