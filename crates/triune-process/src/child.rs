//! One child as the system sees it: its number, its pidfd, and whether it has been reaped.
//!
//! Owns the two rules about numbers: a group is signalled only while the child is not reaped, under the lock that the
//! reaping takes; and the child is reaped exactly once. No async: the waiting is in `process.rs`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::unix::AsyncFd;

use crate::exit::Exit;
use crate::{registry, sys};

/// Becomes readable when the child has ended.
pub(crate) type Watch = AsyncFd<Arc<OwnedFd>>;

/// The shared part of all handles on one child. Reaps and signals; has no opinion on when.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: u32,
    pub(crate) role: &'static str,
    pub(crate) name: String,
    pidfd: Arc<OwnedFd>,
    /// The exit status once the child is reaped. Its lock orders signals to the group against the reaping.
    exit: Mutex<Option<Exit>>,
}

impl Child {
    pub(crate) fn new(pid: u32, pidfd: OwnedFd, role: &'static str, name: String) -> Self {
        Self { pid, role, name, pidfd: Arc::new(pidfd), exit: Mutex::new(None) }
    }

    /// Reaps the child if it has ended. What it left in its process group is killed first, while the number is still ours.
    pub(crate) fn try_exit(&self) -> Option<Exit> {
        let mut exit = self.lock();
        if exit.is_some() {
            return *exit;
        }
        let status = match sys::has_ended(self.pidfd.as_fd()) {
            Ok(false) => return None,
            Ok(true) => {
                self.signal_group(libc::SIGKILL);
                sys::reap(self.pidfd.as_fd())
            }
            Err(error) => Err(error),
        };
        let status = status.unwrap_or_else(|error| {
            tracing::warn!(pid = self.pid, name = self.name, %error, "somebody else has reaped this child");
            Some(Exit::Unknown)
        });
        *exit = status;
        if let Some(status) = status {
            registry::remove(self.pid, self);
            tracing::debug!(pid = self.pid, name = self.name, exit = %status, "child has ended");
        }
        status
    }

    /// Blocks until the child has ended, and reaps it.
    pub(crate) fn block_until_exit(&self) -> Exit {
        loop {
            if let Some(exit) = self.try_exit() {
                return exit;
            }
            // An error means that it was reaped meanwhile; the next round says by whom.
            let _next_round_tells = sys::block_until_ended(self.pidfd.as_fd());
        }
    }

    /// Sends SIGKILL to the child and its group, unless it is reaped.
    pub(crate) fn kill(&self) {
        let exit = self.lock();
        if exit.is_none() {
            self.signal_group(libc::SIGKILL);
            // The child may have left its group, which only the pidfd can follow.
            if let Err(error) = sys::signal_process(self.pidfd.as_fd(), libc::SIGKILL) {
                tracing::warn!(pid = self.pid, name = self.name, %error, "cannot kill this child");
            }
        }
    }

    /// Lets the current runtime watch the child.
    pub(crate) fn watch(&self) -> io::Result<Watch> {
        sys::watch(Arc::clone(&self.pidfd))
    }

    /// The same through a descriptor of its own: a reactor takes each number only once.
    pub(crate) fn watch_again(&self) -> io::Result<Watch> {
        sys::watch(Arc::new(self.pidfd.try_clone()?))
    }

    /// Sends a signal to the child alone; false if it has ended.
    pub(crate) fn signal(&self, signal: i32) -> io::Result<bool> {
        sys::signal_process(self.pidfd.as_fd(), signal)
    }

    /// Sends SIGTERM to the child and its group, unless it is reaped.
    pub(crate) fn request_end(&self) {
        let exit = self.lock();
        if exit.is_none() {
            self.signal_group(libc::SIGTERM);
        }
    }

    /// The caller holds the lock of `exit`, and the child is not reaped: so the number of the group is ours.
    fn signal_group(&self, signal: i32) {
        if let Err(error) = sys::signal_group(self.pid, signal) {
            tracing::debug!(pid = self.pid, name = self.name, signal, %error, "cannot signal this group");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Exit>> {
        self.exit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
