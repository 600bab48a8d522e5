//! How a runtime waits for the end of a child.
//!
//! Owns the descriptors that the runtime watches. What there is to learn when they tell of something, the child itself knows.

use std::io;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::child::{Child, Watch};
use crate::exit::Exit;

/// How long the guardian may be silent about a child that has ended, before it is asked whether it is well, and again before
/// it is not waited for any more. It takes microseconds; only one that somebody has stopped takes longer.
const LATE: Duration = Duration::from_secs(2);

/// How long to look out for the word of the guardian about a child that has ended, before sleeping until it comes. The guardian
/// is at work on it already, and one more wake-up takes longer than that work.
const SOON: Duration = Duration::from_micros(50);

/// How often to look where nothing tells us.
const SELDOM: Duration = Duration::from_millis(10);

/// What a runtime watches of one child.
pub(crate) struct Watches {
    handle: Watch,
    channel: Option<Watch>,
}

impl Watches {
    /// For the current runtime. `channel` is that of the guardian, if it is the one to tell.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without I/O.
    pub(crate) fn new(child: &Child, channel: Option<Watch>) -> io::Result<Self> {
        Ok(Self { handle: child.watch()?, channel })
    }

    /// For the current runtime, through descriptors of their own.
    fn again(child: &Child) -> io::Result<Self> {
        let (handle, channel) = child.watch_again()?;
        Ok(Self { handle, channel })
    }

    /// Waits until `known` knows how the child ended. `None` if the runtime that watches is gone.
    pub(crate) async fn wait(&self, child: &Child, known: fn(&Child) -> Option<Exit>) -> Option<Exit> {
        let mut look_out = None;
        loop {
            if let Some(exit) = known(child) {
                return Some(exit);
            }
            let over = child.is_over();
            if over && self.channel.is_some() && look_out.get_or_insert_with(Instant::now).elapsed() < SOON {
                // On one processor, it is the guardian's.
                std::thread::yield_now();
                tokio::task::yield_now().await;
                continue;
            }
            let channel = self.channel.as_ref().filter(|_| !child.is_deaf());
            match channel {
                // Somebody else had to reap it after a guardian that was killed: nothing tells us when.
                None if over && self.channel.is_some() => sleep(SELDOM).await,
                None => {
                    let mut ready = self.handle.readable().await.ok()?;
                    if known(child).is_none() {
                        ready.clear_ready();
                    }
                }
                Some(channel) if over => match timeout(LATE, readable(channel, child, known)).await {
                    Ok(alive) => alive?,
                    Err(_elapsed) => child.ask_or_presume(LATE),
                },
                Some(channel) => tokio::select! {
                    alive = readable(channel, child, known) => alive?,
                    ended = self.handle.readable() => drop(ended.ok()?),
                },
            }
        }
    }
}

/// Waits until the channel has something new. `None` if the runtime that watches is gone.
async fn readable(channel: &Watch, child: &Child, known: fn(&Child) -> Option<Exit>) -> Option<()> {
    let mut ready = channel.readable().await.ok()?;
    // It is read empty before it counts as empty, or news that came in between would be slept over.
    if known(child).is_none() && !child.is_deaf() {
        ready.clear_ready();
    }
    Some(())
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
