//! What becomes of a child whose last handle is gone: killed at once, reaped by somebody who may wait.
//!
//! That somebody is a system task of the run, which the run awaits before it ends. Where there is no run any more, or where
//! it ends before it got to it, a detached thread reaps (`owned`). Nothing here blocks.

use triune_scope::Run;

use crate::owned::Owned;

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
