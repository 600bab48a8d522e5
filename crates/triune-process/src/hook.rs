//! A hook on the links of new children: how `triune-testing` puts a relay with faults between the two ends.
//!
//! Owns the one hook of this process. Nothing here is public API; a program that sets none pays a read lock per start.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, PoisonError, RwLock};

use crate::process::Process;

/// Takes the parent's end of the link of a child that was just started, and gives the end that its owner shall use.
pub type LinkHook = Arc<dyn Fn(&Process, UnixStream) -> io::Result<UnixStream> + Send + Sync>;

static HOOK: RwLock<Option<LinkHook>> = RwLock::new(None);

/// Sets the hook for all children that are started from now on; `None` takes it away.
pub fn hook_links(hook: Option<LinkHook>) {
    *HOOK.write().unwrap_or_else(PoisonError::into_inner) = hook;
}

/// The end of the link that the child's owner gets.
pub(crate) fn pass((process, link): (Process, UnixStream)) -> io::Result<(Process, UnixStream)> {
    let hook = HOOK.read().unwrap_or_else(PoisonError::into_inner).clone();
    let link = match hook {
        Some(hook) => hook(&process, link)?,
        None => link,
    };
    Ok((process, link))
}
