//! The guardian's loop: requests, ends, deadlines.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::message::{Answer, MAX_INLINE, ORDER_DESCRIPTORS, Order, Request};
use super::order::read_order;
use super::sweep::Strays;
use super::ward::Ward;
use crate::containment::Containment;
use crate::marker::{Marker, Membership};
use crate::start::{Plan, Streams};
use crate::{sys, tree};

/// How long a guardian without children waits for the next one. A program that starts one after the other, with pauses, is to have one
/// guardian for all of them, since its start costs as much as that of a child; one that needs no more is rid of it.
const LINGER: Duration = Duration::from_secs(5);

/// How many requests are served before anything else is looked at again: a start takes a while, and an end must not wait
/// behind many.
const AT_A_TIME: usize = 4;

/// Everything that the guardian has.
#[derive(Debug)]
pub(super) struct Guardian {
    /// The way to the root, and a handle on it, as long as it is there.
    root: Option<(OwnedFd, OwnedFd)>,
    signals: OwnedFd,
    pub(super) wards: BTreeMap<u64, Ward>,
    level: Containment,
    /// Tells what this guardian has started from what another one has.
    id: u64,
    pub(super) depth: usize,
    children: sys::ChildList,
    /// Since when there is nothing to do.
    idle: Instant,
    /// The time of the last look at everything.
    settled: Instant,
    /// Something has happened that may have left strays.
    look: bool,
    /// What the last look has found.
    strays: Strays,
    buffer: Vec<u8>,
}

/// What has something to say.
#[derive(Clone, Copy)]
enum Source {
    Signals,
    Root,
    RootHandle,
    Ward(u64),
    RequestsOf(u64),
}

impl Guardian {
    pub(super) fn new(root: OwnedFd, root_handle: OwnedFd, id: u64, level: Containment) -> io::Result<Self> {
        let signals = sys::hear_of_children_only()?;
        sys::become_subreaper()?;
        // A hello: the entry was reached, and requests will be answered.
        sys::send_message(root.as_fd(), &[1], &[])?;
        Ok(Self {
            root: Some((root, root_handle)),
            signals,
            wards: BTreeMap::new(),
            level,
            id,
            depth: sys::namespace_depth(),
            children: sys::ChildList::open(),
            idle: Instant::now(),
            settled: Instant::now(),
            look: false,
            strays: Strays::default(),
            buffer: vec![0; MAX_INLINE],
        })
    }

    /// Serves until nothing is left to guard.
    pub(super) fn run(mut self) -> io::Result<()> {
        loop {
            self.settle();
            if self.is_done() {
                if let Some((root, _)) = &self.root {
                    // A goodbye, for a root that cannot learn our status. One that is gone does not need it.
                    let _gone = sys::send_message(root.as_fd(), &[2], &[]);
                }
                return Ok(());
            }
            for source in self.wait()? {
                self.serve(source);
            }
        }
    }

    /// Waits until something happens, or the next deadline.
    fn wait(&self) -> io::Result<Vec<Source>> {
        let mut sources = vec![Source::Signals];
        let mut fds: Vec<BorrowedFd<'_>> = vec![self.signals.as_fd()];
        if let Some((socket, handle)) = &self.root {
            sources.extend([Source::Root, Source::RootHandle]);
            fds.extend([socket.as_fd(), handle.as_fd()]);
        }
        for (mark, ward) in &self.wards {
            if let Some(channel) = &ward.channel {
                sources.push(Source::Ward(*mark));
                fds.push(channel.as_fd());
            }
            if let Some(requests) = &ward.requests {
                sources.push(Source::RequestsOf(*mark));
                fds.push(requests.as_fd());
            }
        }
        // What was due when we last looked is done, or waits for something else by now.
        let wards = self.wards.values().filter_map(Ward::deadline).filter(|at| *at > self.settled);
        let deadlines = wards.chain(self.linger()).chain(self.strays.next_look(self.settled));
        let timeout = deadlines.min().map(|at| at.saturating_duration_since(Instant::now()));
        let ready = sys::block_until_any(&fds, timeout)?;
        Ok(sources.into_iter().zip(ready).filter_map(|(source, ready)| ready.then_some(source)).collect())
    }

    fn serve(&mut self, source: Source) {
        match source {
            // The ends themselves are taken in `settle`.
            Source::Signals => sys::drain_signals(&self.signals),
            Source::Root => {
                if !self.take_requests(None) {
                    self.root_is_gone();
                }
            }
            Source::RequestsOf(mark) => {
                if !self.take_requests(Some(mark))
                    && let Some(ward) = self.wards.get_mut(&mark)
                {
                    ward.requests = None;
                }
            }
            Source::RootHandle => {
                // What it asked for before it died is answered by nobody; it is not started.
                self.root_is_gone();
            }
            Source::Ward(mark) => {
                let now = Instant::now();
                if let Some(ward) = self.wards.get_mut(&mark)
                    && !ward.obey(now)
                {
                    ward.channel = None;
                    ward.orphan(now);
                }
            }
        }
    }

    /// Takes requests, from the child with this mark or from the root. False if it has closed its end.
    fn take_requests(&mut self, of: Option<u64>) -> bool {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut open = true;
        for _ in 0..AT_A_TIME {
            let socket = match of {
                None => self.root.as_ref().map(|(socket, _)| socket),
                Some(mark) => self.wards.get(&mark).and_then(|ward| ward.requests.as_ref()),
            };
            let Some(socket) = socket else { break };
            match sys::receive_message(socket.as_fd(), &mut buffer) {
                Ok(message) if message.len == 0 => {
                    open = false;
                    break;
                }
                Ok(message) if message.truncated => refuse(message.fds),
                Ok(message) => self.take(Request::decode(&buffer[..message.len]), message.fds),
                Err(error) => {
                    open = error.kind() == ErrorKind::WouldBlock;
                    break;
                }
            }
        }
        self.buffer = buffer;
        open
    }

    fn take(&mut self, request: Option<Request>, mut fds: Vec<OwnedFd>) {
        let order = match request {
            Some(Request::Spawn(order)) => Some(order),
            Some(Request::SpawnFromFile) => fds.pop().and_then(read_order),
            Some(Request::KillAll) => {
                let now = Instant::now();
                return self.wards.values_mut().for_each(|ward| ward.kill(now));
            }
            Some(Request::Admit(admission)) => return self.admit_forked(&admission, fds),
            None => None,
        };
        // Whoever sends something else gets no answer but the end of its channel.
        let Some(order) = order else { return };
        let forks = if order.forks { fds.pop() } else { None };
        let Ok([channel, stdin, stdout, stderr, folder]) = <[OwnedFd; ORDER_DESCRIPTORS]>::try_from(fds)
        else {
            return;
        };
        let streams = Streams { stdin, stdout, stderr, forks };
        if let Err((channel, error)) = self.spawn(order, channel, streams, &folder) {
            let answer = Answer::failed(&error);
            // If it is gone, nobody waits for the answer.
            let _owner_gone = sys::send_message(channel.as_fd(), &answer.encode(), &[]);
        }
    }

    fn spawn(
        &mut self,
        order: Order,
        channel: OwnedFd,
        streams: Streams,
        folder: &OwnedFd,
    ) -> Result<(), (OwnedFd, io::Error)> {
        // An owner that says something before it has an answer does not want the child any more.
        if !self.starts_for(order.owner) || sys::is_readable(channel.as_fd()) {
            return Err((channel, io::Error::from_raw_os_error(libc::ESHUTDOWN)));
        }
        let mark = tree::random();
        let Order { owner, parent, grace, role, name, args, env, forks: _ } = order;
        let (requests, theirs) = match sys::request_pair() {
            Ok((ours, theirs)) => match sys::inheritable_copy(theirs.as_fd()) {
                Ok(theirs) => (ours, theirs),
                Err(error) => return Err((channel, error)),
            },
            Err(error) => return Err((channel, error)),
        };
        let membership =
            Membership { owner: parent, requests: theirs.as_raw_fd(), level: self.level, guardian: self.id };
        let marker = Marker { role, parent: std::process::id(), nonce: mark };
        let plan =
            Plan { name: &name, marker, membership: Some(membership), env, args, folder: None, streams };
        let started = sys::enter_folder(folder.as_fd()).and_then(|()| plan.start());
        // A folder that somebody wants to remove or unmount must not be held by us.
        let _root_exists = std::env::set_current_dir("/");
        let child = match started {
            Ok(child) => child,
            Err(error) => return Err((channel, error)),
        };
        let pid = child.id();
        match self.admit(pid, owner, grace, channel) {
            Ok(ward) => drop(self.wards.insert(mark, ward.with_requests(requests))),
            Err((channel, error)) => {
                // Not ours to guard without a handle. It dies, and is reaped as a stray.
                let _ended = sys::signal_number(pid, libc::SIGKILL);
                return Err((channel, error));
            }
        }
        Ok(())
    }

    /// Whether children may still be started for an owner.
    pub(super) fn starts_for(&self, owner: u64) -> bool {
        let lives = owner == 0 || self.wards.get(&owner).is_some_and(|owner| !owner.has_ended());
        lives && self.root.is_some()
    }

    /// Opens the handle of a fresh child, and gives it to its owner.
    fn admit(
        &self,
        pid: u32,
        owner: u64,
        grace: Duration,
        channel: OwnedFd,
    ) -> Result<Ward, (OwnedFd, io::Error)> {
        // We have not reaped it, so the number is still its own.
        let handle = match sys::open_process(pid) {
            Ok(handle) => handle,
            Err(error) => return Err((channel, error)),
        };
        let listed = match self.depth {
            1 => pid,
            _ => sys::number_of_handle(handle.as_fd()).unwrap_or(pid),
        };
        let ward = Ward::new(pid, listed, owner, grace, channel);
        ward.tell(&Answer::Started { pid: listed }, &[handle.as_fd()]);
        Ok(ward)
    }

    fn root_is_gone(&mut self) {
        if self.root.take().is_none() {
            return;
        }
        let now = Instant::now();
        let longest = self.wards.values().map(Ward::grace).max().unwrap_or_default();
        for ward in self.wards.values_mut() {
            match ward.owner {
                0 => ward.orphan(now),
                // Its owner may still be cleaning up with its help. Nobody gets longer than the most patient one.
                _ => ward.expire(now, longest),
            }
        }
        self.look = true;
    }

    /// Reaps, enforces deadlines, sweeps, and tells the owners.
    fn settle(&mut self) {
        let now = Instant::now();
        self.settled = now;
        self.reap(now);
        for ward in self.wards.values_mut() {
            ward.enforce(now);
        }
        if !self.look && !self.wards.values().any(Ward::has_ended) {
            return;
        }
        let strays = self.strays.kill(&self.wards, &mut self.children, self.depth);
        // Level by level: an owner is swept when the last of its own is.
        while self.remove_swept(&strays, now) {}
        for ward in self.wards.values_mut() {
            ward.tell_end();
        }
        if self.wards.is_empty() {
            self.idle = now;
        }
        self.look = !strays.is_empty();
        self.strays = strays;
    }

    /// Lets go of those that have ended, with nothing left beneath them. False if there are none.
    fn remove_swept(&mut self, strays: &Strays, now: Instant) -> bool {
        let waited_for = self.wards.values().filter(|ward| ward.is_waited_for(now));
        let owners: BTreeSet<u64> = waited_for.map(|ward| ward.owner).collect();
        let is_swept = |mark: &u64, ward: &Ward| {
            let quiet = strays.are_gone_from(*mark) || ward.has_waited(now);
            ward.has_ended() && quiet && !owners.contains(mark)
        };
        let swept = self.wards.iter().filter(|(mark, ward)| is_swept(mark, ward)).map(|(mark, _)| *mark);
        let swept: Vec<u64> = swept.collect();
        for ward in swept.iter().filter_map(|mark| self.wards.remove(mark)).collect::<Vec<_>>() {
            if let Some(owner) = self.wards.get_mut(&ward.owner) {
                owner.has_lost_one(now);
            }
            ward.tell_swept();
        }
        !swept.is_empty()
    }

    fn reap(&mut self, now: Instant) {
        while let Some(pid) = sys::find_ended_child() {
            let found = self.wards.iter_mut().find(|(_, ward)| ward.pid == pid && !ward.has_ended());
            let Some((&mark, ward)) = found else {
                // A stray. What it leaves comes to us.
                sys::reap_number(pid);
                self.look = true;
                continue;
            };
            ward.reap(now);
            for owned in self.wards.values_mut().filter(|ward| ward.owner == mark) {
                owned.orphan(now);
            }
        }
    }

    /// When a guardian without children goes.
    fn linger(&self) -> Option<Instant> {
        (self.wards.is_empty() && self.root.is_some()).then(|| self.idle + LINGER)
    }

    fn is_done(&self) -> bool {
        self.wards.is_empty()
            && !self.look
            && (self.root.is_none() || self.linger().is_some_and(|until| until <= Instant::now()))
    }
}

/// Answers a request of which not everything has come: for want of descriptors, if it is one of ours.
fn refuse(fds: Vec<OwnedFd>) {
    if let Some(channel) = fds.first() {
        let error = io::Error::from_raw_os_error(libc::EMFILE);
        let answer = Answer::Failed { errno: libc::EMFILE, text: error.to_string() };
        // If it is gone, nobody waits for the answer.
        let _owner_gone = sys::send_message(channel.as_fd(), &answer.encode(), &[]);
    }
}
