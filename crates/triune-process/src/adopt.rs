//! What becomes of a child whose last handle is gone: killed at once, reaped by somebody who may wait.
//!
//! That somebody is a system task of the run, which the run awaits before it ends. Where there is no run any more, or where
//! it ends before it got to it, a detached thread reaps. Nothing here blocks.

use std::sync::Arc;
use std::time::Duration;

use triune_scope::Run;

use crate::child::Child;
use crate::exit::Exit;
use crate::process::{Owned, Watches};

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

/// Kills a child that nobody holds any more, and hands its reaping over.
pub(crate) fn adopt(owned: Owned) {
    if owned.child().try_exit().is_some() {
        return;
    }
    owned.child().kill();
    hand_over(owned);
}

fn hand_over(owned: Owned) {
    match Run::try_current() {
        // Shielded: the run cancels its system tasks when it ends, and this is what it should wait for. It is dead already.
        Some(run) => run.spawn_system("reap", async move {
            triune_scope::shield_unbounded(owned.wait_gone()).await;
        }),
        None => drop(owned),
    }
}

/// Waits for a child whose own runtime is gone, in the current one, until `known` knows how it ended.
pub(crate) async fn wait_elsewhere(child: &Child, known: fn(&Child) -> Option<Exit>) -> Exit {
    loop {
        match Watches::again(child) {
            Ok(watches) => {
                if let Some(exit) = watches.wait(child, known).await {
                    return exit;
                }
            }
            Err(error) => {
                // Out of descriptors, with no event left to wait for: look again, seldom.
                tracing::warn!(pid = child.pid, name = child.name, %error, "cannot watch this child; polling");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        if let Some(exit) = known(child) {
            return exit;
        }
    }
}
