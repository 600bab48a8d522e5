//! The actor's side: what a process does that was started to be an actor.
//!
//! # Parts
//!
//! * this file: the role, from the entry to the exit code;
//! * [`serve`]: the loop that takes requests and the end of all of them;
//! * [`request`]: one request from its arguments to its one answer;
//! * [`meet`]: links to siblings;
//! * [`panic`]: panics of requests.
//!
//! # Invariants
//!
//! 1. Every request runs in a scope of its own, so that its cancel, its slow clean-up and its panic concern no other request.
//! 2. The link is moved by code that no cancel reaches, until the last request has answered.
//! 3. When the parent is gone, everything is cancelled, and after the grace the process ends, whatever its code is doing.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use linkme::distributed_slice;
use triune_process::{Boot, ROLES, Role, exit_code, exit_now};
use triune_scope::{CancelReason, CancelScope, Cause};

use crate::identity::{become_actor, parent_path};
use crate::settings::ROLE;

mod meet;
mod panic;
mod request;
mod serve;

#[distributed_slice(ROLES)]
static ACTOR: Role = Role { name: ROLE, main };

/// How long the clean-up may take when the parent is gone before it could say anything about it.
const ORPHAN_GRACE: Duration = Duration::from_millis(500);

/// The life of an actor. Returns its exit code.
fn main(boot: Boot) -> u8 {
    become_actor(boot.name().to_owned());
    panic::install_hook();
    let root = CancelScope::new();
    let grace = Arc::new(AtomicU64::new(millis(ORPHAN_GRACE)));
    let orphaned = orphaned(root.clone(), Arc::clone(&grace));
    if let Err(error) = boot.watch_parent(orphaned) {
        return fail(&format!("cannot watch the parent: {error}"));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot build a runtime: {error}")),
    };
    let code = runtime.block_on(serve::serve(boot.into_link(), root, &grace));
    // A thread job that does not end must not hold up the exit; nothing of triune's is left by now.
    runtime.shutdown_background();
    code
}

/// What the lifeline's thread does when the parent is gone.
fn orphaned(root: CancelScope, grace: Arc<AtomicU64>) -> impl FnOnce() + Send + 'static {
    move || {
        root.cancel(parent_gone("the parent process is gone"));
        let until = Instant::now() + Duration::from_millis(grace.load(Ordering::Relaxed));
        // The main thread ends the process earlier, if it can.
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
        exit_now(exit_code::PARENT_GONE)
    }
}

/// The parent is the other side of everything that goes on here.
fn parent_gone(how: impl Into<Cow<'static, str>>) -> CancelReason {
    CancelReason::new(Cause::Peer, how).with_by(parent_path())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::print_stderr, reason = "there is nobody else to tell: the link is not up")]
fn fail(why: &str) -> u8 {
    eprintln!(
        "triune: actor `{}` cannot begin: {why} (pid {})",
        crate::identity::current_path(),
        std::process::id()
    );
    exit_code::BOOT_FAILED
}
