//! The one owner of a child: it waits for the end, and brings it about when it is dropped.
//!
//! Nothing here blocks: where a dropped child has to be reaped by this process, a detached thread does it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::child::{Child, Watch};
use crate::exit::Exit;
use crate::watch::{Watches, wait_elsewhere};

/// How long what a dead child has written may take to be passed on.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The duty to end a child: when dropped, it is killed, and a thread reaps it, or the guardian.
///
/// Every child has exactly one, made right after it was started, so that there is no moment at which it can be lost.
#[derive(Debug)]
pub(crate) struct Orphan {
    child: Arc<Child>,
}

impl Orphan {
    pub(crate) fn new(child: Arc<Child>) -> Self {
        Self { child }
    }

    pub(crate) fn child(&self) -> &Arc<Child> {
        &self.child
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        if self.child.try_exit().is_some() {
            return;
        }
        self.child.kill();
        if !self.child.is_ours_to_reap() {
            return;
        }
        let child = Arc::clone(&self.child);
        let thread = std::thread::Builder::new().name("triune-reaper".to_owned());
        #[expect(clippy::disallowed_methods, reason = "no run is left that could reap")]
        if let Err(error) = thread.spawn(move || child.block_until_exit()) {
            // The child is dead; what stays is its entry in the process table, until this process ends.
            tracing::warn!(pid = self.child.pid, name = self.child.name, %error, "no thread to reap this child");
        }
    }
}

/// The one owner of a child: whoever drops it ends the child.
pub(crate) struct Owned {
    watches: Watches,
    orphan: Orphan,
}

impl Owned {
    /// Takes over a fresh child that this process reaps, and lets the current runtime watch it.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without I/O. The child is then killed and reaped.
    pub(crate) fn new(orphan: Orphan) -> io::Result<Self> {
        let watches = Watches::new(orphan.child(), None)?;
        Ok(Self { watches, orphan })
    }

    /// The same for a child of the guardian, whose channel is watched already.
    pub(crate) fn guarded(orphan: Orphan, channel: Watch) -> io::Result<Self> {
        let watches = Watches::new(orphan.child(), Some(channel))?;
        Ok(Self { watches, orphan })
    }

    pub(crate) fn child(&self) -> &Arc<Child> {
        self.orphan.child()
    }

    /// Waits for the end of the child.
    pub(crate) async fn wait(&self) -> Exit {
        self.wait_until(Child::try_exit).await
    }

    /// Waits until nothing is left of the child, nor beneath it, nor of what it wrote.
    pub(crate) async fn wait_gone(&self) -> Exit {
        let exit = self.wait_until(Child::try_gone).await;
        let drained = self.child().outputs.drained();
        if timeout(LAST_WORDS, drained).await.is_err() {
            let child = self.child();
            tracing::debug!(
                pid = child.pid,
                name = child.name,
                "somebody holds the output of this dead child"
            );
        }
        exit
    }

    async fn wait_until(&self, known: fn(&Child) -> Option<Exit>) -> Exit {
        match self.watches.wait(self.child(), known).await {
            Some(exit) => exit,
            // The runtime that started the child is gone, and this is another one.
            None => wait_elsewhere(self.child(), known).await,
        }
    }
}
