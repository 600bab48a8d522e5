//! The lifeline: no child outlives its owner, however busy it is, and whatever has become of the guardian. There are two kinds.
//!
//! A child that may clean up when its owner is gone has one of its own: a thread that does nothing but wait for the other end of
//! the link to vanish. After the grace it ends the process.
//!
//! A child that has no grace (a worker) runs no thread for it, and nothing else: its life is *bound* to that of its owner by the
//! system, which kills it when the owner's end of its channel to the guardian is closed (`sys::kill_at_hangup`). The guardian
//! arranges that at its end, before the owner hears that the child runs, so:
//!
//! * it holds for what was spawned, forked, or has become another program, and the child can neither keep nor break it: there is
//!   no descriptor of it in the child, nor in what the child starts;
//! * it needs the guardian no more, which somebody may have stopped. If the guardian is killed, its children die with it;
//! * an owner that is gone before has not asked anything of the child, which finds the end of its link where it expects its job;
//! * what the owner says over that channel kills, too: it does not say SIGTERM there, but sends it (`child.rs`).
//!
//! A copy of the *owner* (a `fork` without `exec`) keeps its ends open, here as with every link; then it is the guardian that ends the
//! child, as it does with all. Without a guardian, every child has a thread.
//!
//! # The thread
//!
//! It waits for two things at once: the link (which also tells that a living parent has let go of us) and the parent's
//! process (in case a copy of the parent's end has leaked into another process and keeps the link open). Beneath a
//! guardian it is the link alone: for the other case there is the guardian, which sees the parent's end as well.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::exit::{exit_code, exit_now};
use crate::sys;

/// What the thread does every so often until then.
pub(crate) struct Sign {
    pub(crate) every: Duration,
    pub(crate) give: Box<dyn FnMut() + Send>,
}

/// Calls `on_gone` on a thread of its own when the parent (if it is this one's in the system's eyes), or its end of
/// `link`, is gone.
pub(crate) fn watch(
    link: &UnixStream,
    parent: Option<u32>,
    mut sign: Option<Sign>,
    on_gone: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let link = link.try_clone()?;
    // Open first, compare then: if the parent still is our parent now, the handle is on it and not on a later process.
    let is_ours = move || parent.is_none_or(|parent| sys::parent_pid() == parent);
    let peer = parent.and_then(|parent| sys::open_process(parent).ok()).filter(|_| is_ours());
    #[expect(clippy::disallowed_methods, reason = "the watch must not depend on a busy event loop")]
    std::thread::Builder::new().name("triune-lifeline".to_owned()).spawn(move || {
        if peer.is_some() || is_ours() {
            let every = sign.as_ref().map(|sign| sign.every);
            // An error would mean that poll(2) itself fails; then nobody can tell any more, so count it as gone.
            while let Ok(false) = sys::block_until_gone(link.as_fd(), peer.as_ref().map(AsFd::as_fd), every) {
                if let Some(sign) = &mut sign {
                    (sign.give)();
                }
            }
        }
        on_gone();
    })?;
    Ok(())
}

/// Calls `on_gone`, waits for `grace`, and ends the process.
pub(crate) fn exit_after(grace: Duration, on_gone: impl FnOnce()) -> ! {
    let until = Instant::now() + grace;
    // A panic of the clean-up must not save the process.
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(on_gone)).is_ok() {
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
    }
    exit_now(exit_code::PARENT_GONE)
}
