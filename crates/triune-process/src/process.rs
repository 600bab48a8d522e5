//! The handle on one child process.
//!
//! Any number of tasks may wait through any number of clones; one of them reaps, all of them learn the same [`Exit`].
//! When the last handle goes before the child has ended, the child is killed and its reaping handed over (`adopt.rs`).

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::adopt::{self, Orphan};
use crate::child::{Child, Watch};
use crate::exit::Exit;

/// A child process. A cheap handle: clones mean the same child.
///
/// Dropping the last handle of a child that still runs kills it and its process group at once; it is reaped in the
/// background, and the run waits for that before it ends.
#[derive(Clone)]
#[must_use = "dropping the last handle kills the child; wait for it, or terminate it"]
pub struct Process {
    shared: Arc<Shared>,
}

struct Shared {
    /// Taken when dropped.
    owned: Option<Owned>,
}

/// The one owner of a child: whoever drops it ends the child.
pub(crate) struct Owned {
    watch: Watch,
    orphan: Orphan,
}

impl Owned {
    /// Takes over a fresh child, and lets the current runtime watch it.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without I/O. The child is then killed and reaped.
    pub(crate) fn new(orphan: Orphan) -> io::Result<Self> {
        let watch = orphan.child().watch()?;
        Ok(Self { watch, orphan })
    }

    pub(crate) fn child(&self) -> &Arc<Child> {
        self.orphan.child()
    }

    /// Waits for the end of the child and reaps it.
    pub(crate) async fn wait(&self) -> Exit {
        while let Ok(mut ready) = self.watch.readable().await {
            if let Some(exit) = self.child().try_exit() {
                return exit;
            }
            ready.clear_ready();
        }
        // The runtime that started the child is gone, and this is another one.
        adopt::wait_elsewhere(self.child()).await
    }
}

impl Process {
    pub(crate) fn new(owned: Owned) -> Self {
        Self { shared: Arc::new(Shared { owned: Some(owned) }) }
    }

    fn owned(&self) -> &Owned {
        self.shared.owned.as_ref().expect("it is taken when the last handle is dropped, and this is a handle")
    }

    fn child(&self) -> &Arc<Child> {
        self.owned().child()
    }

    /// Its process number. It is the child's own until the child has been waited for.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child().pid
    }

    /// The name that it was started under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.child().name
    }

    /// The role that it plays.
    #[must_use]
    pub fn role(&self) -> &'static str {
        self.child().role
    }

    /// Waits until the process has ended, reaps it, and says how it ended. Every waiter gets the same answer, also later.
    ///
    /// Waiting asks nothing of the child: [`terminate`](Self::terminate) and [`kill`](Self::kill) do.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing; another wait gets the answer.
    pub async fn wait(&self) -> Exit {
        match self.try_exit() {
            Some(exit) => exit,
            None => self.owned().wait().await,
        }
    }

    /// How the process ended, or `None` while it runs. Reaps it if it has just ended.
    #[must_use]
    pub fn try_exit(&self) -> Option<Exit> {
        self.child().try_exit()
    }

    /// Sends SIGKILL to the process and its group. Does nothing if it has ended. Does not wait: [`wait`](Self::wait) does.
    pub fn kill(&self) {
        self.child().kill();
    }

    /// Sends a signal to the process alone, not to its group; false if it has ended.
    ///
    /// # Errors
    /// If there is no such signal, or the child has changed its user and may not be signalled any more.
    pub fn signal(&self, signal: i32) -> io::Result<bool> {
        self.child().signal(signal)
    }

    /// Sends SIGTERM to the process and its group, unless it has ended.
    pub(crate) fn request_end(&self) {
        self.child().request_end();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(owned) = self.owned.take() {
            adopt::adopt(owned);
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Child { pid, role, name, .. } = &**self.child();
        f.debug_struct("Process")
            .field("pid", pid)
            .field("role", role)
            .field("name", name)
            .finish_non_exhaustive()
    }
}
