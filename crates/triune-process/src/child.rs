//! One child as the system sees it: its number, its handle, and whether it has been reaped.
//!
//! Owns the rule about numbers: a group is signalled only by whoever reaps the child, and only while it is not reaped.
//! Who that is depends on the level: the guardian, which is the child's parent and tells its owner how it ended
//! (`Reaper::Guardian`), or the owner itself (`Reaper::Owner`). No async: the waiting is in `watch.rs`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;

use crate::exit::Exit;
use crate::guardian::{Answer, Command};
use crate::output::Outputs;
use crate::{registry, sys};

/// Becomes readable when there is something to learn about the child.
pub(crate) type Watch = AsyncFd<Arc<OwnedFd>>;

/// How long the status of a child may take whose guardian was killed: whoever is its parent now has to reap it first.
const LOST: Duration = Duration::from_millis(200);

/// The shared part of all handles on one child. Has no opinion on when to do what.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: u32,
    pub(crate) role: &'static str,
    pub(crate) name: String,
    pidfd: Arc<OwnedFd>,
    reaper: Reaper,
    /// Its lock orders signals to the group against the reaping.
    state: Mutex<State>,
    pub(crate) outputs: Outputs,
}

/// Who reaps the child.
#[derive(Debug)]
pub(crate) enum Reaper {
    /// This process.
    Owner,
    /// The guardian, which speaks of it over this channel. What is sent there kills a child whose life is bound to ours.
    Guardian { channel: Arc<OwnedFd>, bound: bool },
}

#[derive(Debug, Default)]
struct State {
    exit: Option<Exit>,
    /// Nothing is left beneath it.
    gone: bool,
    /// When the guardian was found to be gone before it had told the end of a child that has ended.
    lost: Option<Instant>,
    /// The channel has ended.
    deaf: bool,
    /// When the guardian was asked whether it is well, if it has not said anything since.
    asked: Option<Instant>,
}

impl Child {
    pub(crate) fn new(
        pid: u32,
        pidfd: OwnedFd,
        role: &'static str,
        name: String,
        reaper: Reaper,
        outputs: Outputs,
    ) -> Self {
        Self { pid, role, name, pidfd: Arc::new(pidfd), reaper, state: Mutex::default(), outputs }
    }

    /// How the child ended, if it has. Reaps it, where that is up to this process.
    pub(crate) fn try_exit(&self) -> Option<Exit> {
        self.look().exit
    }

    /// How the child ended, if it has, and nothing is left beneath it.
    pub(crate) fn try_gone(&self) -> Option<Exit> {
        let state = self.look();
        state.exit.filter(|_| state.gone)
    }

    /// Learns what there is to learn.
    fn look(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        if !state.gone {
            let knew = state.exit.is_some();
            match &self.reaper {
                Reaper::Owner => self.look_by_ourselves(&mut state),
                Reaper::Guardian { channel, .. } => self.hear(&mut state, channel.as_fd()),
            }
            if let Some(exit) = state.exit
                && !knew
            {
                registry::remove(self.pid, self);
                tracing::debug!(pid = self.pid, name = self.name, %exit, "child has ended");
            }
        }
        state
    }

    /// Reaps the child if it has ended. What it left in its process group is killed first, while the number is still ours.
    fn look_by_ourselves(&self, state: &mut State) {
        let status = match sys::has_ended(self.pidfd.as_fd()) {
            Ok(false) => return,
            Ok(true) => {
                self.signal_group(libc::SIGKILL);
                sys::reap(self.pidfd.as_fd())
            }
            Err(error) => Err(error),
        };
        state.exit = status.unwrap_or_else(|error| {
            tracing::warn!(pid = self.pid, name = self.name, %error, "somebody else has reaped this child");
            Some(Exit::Unknown)
        });
        state.gone = state.exit.is_some();
    }

    /// Takes what the guardian has said.
    fn hear(&self, state: &mut State, channel: BorrowedFd<'_>) {
        let mut buffer = [0; 64];
        while !state.gone && !state.deaf {
            match sys::receive_message(channel, &mut buffer) {
                Ok(message) if message.len > 0 => {
                    state.asked = None;
                    match Answer::decode(&buffer[..message.len]) {
                        Some(Answer::Ended { exit, swept }) => (state.exit, state.gone) = (Some(exit), swept),
                        Some(Answer::Swept) => state.gone = true,
                        Some(Answer::NoNews) => {}
                        _ => {
                            tracing::debug!(
                                pid = self.pid,
                                "the guardian says something that makes no sense"
                            );
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => state.deaf = true,
            }
        }
        if state.deaf && !state.gone && sys::is_over(self.pidfd.as_fd()) {
            self.hear_nothing_more(state);
        }
    }

    /// The guardian was killed, and the child has died with it. Its status is known once somebody else has reaped it.
    fn hear_nothing_more(&self, state: &mut State) {
        if state.exit.is_none() {
            state.exit = sys::status_from_handle(self.pidfd.as_fd());
        }
        let lost = *state.lost.get_or_insert_with(Instant::now);
        if state.exit.is_none() && lost.elapsed() >= LOST {
            state.exit = Some(Exit::Unknown);
        }
        state.gone = state.exit.is_some();
    }

    /// The child has ended, and the guardian has not said for a while what there is to know about that: asks it whether it
    /// is well. If it does not even answer that within `patience` (somebody may have stopped it), the end is taken for known.
    pub(crate) fn ask_or_presume(&self, patience: Duration) {
        let mut state = self.lock();
        match (&self.reaper, state.asked) {
            (Reaper::Guardian { channel, .. }, None) => {
                state.asked = Some(Instant::now());
                // If it is gone, the end of the channel tells.
                let _gone = sys::send_message(channel.as_fd(), &Command::Ask.encode(), &[]);
                return;
            }
            // The caller's clock may be one of a test, which jumps.
            (_, Some(asked)) if asked.elapsed() < patience => return,
            _ => {}
        }
        let (pid, name) = (self.pid, &self.name);
        tracing::warn!(pid, name, "this child has ended, and the guardian does not say what is left of it");
        if state.exit.is_none() {
            registry::remove(self.pid, self);
        }
        state.exit.get_or_insert(Exit::Unknown);
        state.gone = true;
    }

    /// Whether the child itself has ended, whoever may know how.
    pub(crate) fn is_over(&self) -> bool {
        sys::is_over(self.pidfd.as_fd())
    }

    /// Whether nothing can be heard of the guardian any more.
    pub(crate) fn is_deaf(&self) -> bool {
        self.lock().deaf
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

    /// Whether this process has to reap it.
    pub(crate) fn is_ours_to_reap(&self) -> bool {
        matches!(self.reaper, Reaper::Owner)
    }

    /// Sends SIGKILL to the child, unless it is reaped; its group goes with it.
    pub(crate) fn kill(&self) {
        let state = self.lock();
        if state.exit.is_none() {
            if self.is_ours_to_reap() {
                self.signal_group(libc::SIGKILL);
            }
            // The child may have left its group, which only the handle can follow.
            if let Err(error) = sys::signal_process(self.pidfd.as_fd(), libc::SIGKILL) {
                tracing::warn!(pid = self.pid, name = self.name, %error, "cannot kill this child");
            }
        }
    }

    /// Lets the current runtime watch the child.
    pub(crate) fn watch(&self) -> io::Result<Watch> {
        sys::watch(Arc::clone(&self.pidfd))
    }

    /// The same through descriptors of their own, for another runtime: a reactor takes each number only once. The second
    /// one watches the guardian's channel.
    pub(crate) fn watch_again(&self) -> io::Result<(Watch, Option<Watch>)> {
        let channel = match &self.reaper {
            Reaper::Owner => None,
            Reaper::Guardian { channel, .. } => Some(sys::watch(Arc::new(channel.try_clone()?))?),
        };
        Ok((sys::watch(Arc::new(self.pidfd.try_clone()?))?, channel))
    }

    /// Sends a signal to the child alone; false if it has ended.
    pub(crate) fn signal(&self, signal: i32) -> io::Result<bool> {
        sys::signal_process(self.pidfd.as_fd(), signal)
    }

    /// Sends SIGTERM to the child and its group, unless it is reaped.
    pub(crate) fn request_end(&self) {
        let state = self.lock();
        if state.exit.is_none() {
            self.signal_group(libc::SIGTERM);
        }
    }

    /// The caller holds the lock of the state, and the child is not reaped by us: so the number of the group is ours.
    fn signal_group(&self, signal: i32) {
        let sent = match &self.reaper {
            Reaper::Owner => sys::signal_group(self.pid, signal).map(drop),
            Reaper::Guardian { bound: true, .. } => {
                sys::signal_group_of(self.pidfd.as_fd(), signal).map(drop)
            }
            Reaper::Guardian { channel, bound: false } => {
                sys::send_message(channel.as_fd(), &Command::Signal(signal).encode(), &[])
            }
        };
        if let Err(error) = sent {
            tracing::debug!(pid = self.pid, name = self.name, signal, %error, "cannot signal this group");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
