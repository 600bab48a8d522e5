//! One child of the guardian.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::message::{Answer, Command, is_bound};
use crate::exit::Exit;
use crate::sys;

/// The longest time that what is beneath a dead child may take to die of SIGKILL before we stop waiting for it: only a
/// process that is stuck in the kernel takes longer.
const SWEEP_LIMIT: Duration = Duration::from_secs(5);

/// A child from its start until everything beneath it is gone.
#[derive(Debug)]
pub(super) struct Ward {
    pub(super) pid: u32,
    /// Its number in `/proc`.
    pub(super) listed: u32,
    /// The mark of the child that owns it; 0 for the root.
    pub(super) owner: u64,
    /// How long it may clean up when its owner is gone.
    grace: Duration,
    /// To its owner, as long as there is one.
    pub(super) channel: Option<OwnedFd>,
    /// Where it makes its own requests, as long as it can. Each child has a socket of its own: what one of them does to it
    /// does not concern the others.
    pub(super) requests: Option<OwnedFd>,
    life: Life,
}

#[derive(Debug)]
enum Life {
    /// It runs; killed at the given time.
    Runs { kill_at: Option<Instant> },
    /// It runs, and was sent SIGKILL.
    Killed { at: Instant },
    /// It is reaped. `since` is when the last thing ended that it waits for, itself included.
    Ended { exit: Exit, since: Instant, told: bool },
}

impl Ward {
    /// Before its owner is told that it runs, and so before that one can have asked anything of it.
    pub(super) fn new(pid: u32, listed: u32, owner: u64, grace: Duration, channel: OwnedFd) -> Self {
        if is_bound(grace) {
            // Where the system refuses, there is still this process.
            let _we_do_it = sys::kill_at_hangup(channel.as_fd(), pid);
        }
        let (channel, requests) = (Some(channel), None);
        Self { pid, listed, owner, grace, channel, requests, life: Life::Runs { kill_at: None } }
    }

    /// The same, with a way to make requests.
    pub(super) fn with_requests(self, requests: OwnedFd) -> Self {
        Self { requests: Some(requests), ..self }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.life, Life::Ended { .. })
    }

    /// When it is to be killed, if nothing changes.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.life {
            Life::Runs { kill_at } => kill_at,
            Life::Ended { since: at, .. } | Life::Killed { at } => Some(at + SWEEP_LIMIT),
        }
    }

    /// Its owner is gone: it may clean up for its grace.
    pub(super) fn orphan(&mut self, now: Instant) {
        self.expire(now, self.grace);
    }

    /// It has this much time left, or what it had before if that is less.
    pub(super) fn expire(&mut self, now: Instant, within: Duration) {
        if let Life::Runs { kill_at } = &mut self.life {
            // A grace beyond the clock is one without end.
            *kill_at = [*kill_at, now.checked_add(within)].into_iter().flatten().min();
        }
    }

    pub(super) fn grace(&self) -> Duration {
        self.grace
    }

    /// Kills it if its time is over.
    pub(super) fn enforce(&mut self, now: Instant) {
        if let Life::Runs { kill_at: Some(at) } = self.life
            && at <= now
        {
            self.kill(now);
        }
    }

    pub(super) fn kill(&mut self, now: Instant) {
        if let Life::Runs { .. } = self.life {
            self.signal(libc::SIGKILL);
            self.life = Life::Killed { at: now };
        }
    }

    /// Sends a signal to it and its group, once to each; it is not reaped, so the number is its own.
    fn signal(&self, signal: i32) {
        // An empty group and a process that has just ended are nothing to complain about.
        let _empty = sys::signal_group(self.pid, signal);
        // It may have left its group. If it does so between the two, no harm is done by a SIGKILL too many.
        if signal == libc::SIGKILL || sys::group_of(self.pid) != Some(self.pid) {
            let _ended = sys::signal_number(self.pid, signal);
        }
    }

    /// Reaps it. It has ended; what it left in its group is killed first, while the number is still its own.
    pub(super) fn reap(&mut self, now: Instant) {
        let _empty = sys::signal_group(self.pid, libc::SIGKILL);
        let exit = sys::reap_number(self.pid).unwrap_or(Exit::Unknown);
        self.life = Life::Ended { exit, since: now, told: false };
    }

    /// A child that it owned is gone, with all beneath that one.
    pub(super) fn has_lost_one(&mut self, now: Instant) {
        if let Life::Ended { since, .. } = &mut self.life {
            *since = now;
        }
    }

    /// Whether its owner has to wait for it: also when that has ended, it may clean up for its grace.
    pub(super) fn is_waited_for(&self, now: Instant) -> bool {
        !matches!(self.life, Life::Killed { at } if at + SWEEP_LIMIT <= now)
    }

    /// Whether we have waited long enough for the strays beneath it.
    pub(super) fn has_waited(&self, now: Instant) -> bool {
        matches!(self.life, Life::Ended { since, .. } if since + SWEEP_LIMIT <= now)
    }

    /// Tells the owner of the end, once.
    pub(super) fn tell_end(&mut self) {
        if let Life::Ended { exit, told, .. } = &mut self.life
            && !std::mem::replace(told, true)
        {
            let answer = Answer::Ended { exit: *exit, swept: false };
            self.tell(&answer, &[]);
        }
    }

    /// Tells the owner that nothing is left beneath it.
    pub(super) fn tell_swept(self) {
        match self.life {
            Life::Ended { exit, told: false, .. } => self.tell(&Answer::Ended { exit, swept: true }, &[]),
            _ => self.tell(&Answer::Swept, &[]),
        }
    }

    pub(super) fn tell(&self, answer: &Answer, handle: &[BorrowedFd<'_>]) {
        if let Some(channel) = &self.channel {
            // Only an owner that is gone does not get it; a channel has room for the few messages of its life.
            let _owner_gone = sys::send_message(channel.as_fd(), &answer.encode(), handle);
        }
    }

    /// Does what the owner says. False if the channel has ended.
    pub(super) fn obey(&mut self, now: Instant) -> bool {
        let mut buffer = [0; 16];
        loop {
            let Some(channel) = &self.channel else { return true };
            let message = match sys::receive_message(channel.as_fd(), &mut buffer) {
                Ok(message) => message,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return true,
                Err(_reset) => return false,
            };
            if message.len == 0 {
                return false;
            }
            match Command::decode(&buffer[..message.len]) {
                Some(Command::Kill) => self.kill(now),
                Some(Command::Signal(signal)) if !self.has_ended() => self.signal(signal),
                Some(Command::Ask) => self.tell(&Answer::NoNews, &[]),
                _ => {}
            }
        }
    }
}
