//! What owners and the guardian say to each other. Pure data.
//!
//! Both are the same program in the same build, so this is no protocol for others; it is checked all the same, because
//! a guardian that panics takes the tree with it.
//!
//! Each message is one packet: a kind, then numbers in little endian, then texts that each end with a zero byte (which
//! no argument and no variable of the environment can hold).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use crate::exit::Exit;

/// Longer requests travel in a file without a name.
pub(crate) const MAX_INLINE: usize = 64 * 1024;

/// The longest request: what the system allows for arguments and environment, and some.
pub(crate) const MAX_REQUEST: usize = 4 * 1024 * 1024;

/// What can be asked of the guardian, over the socket that all of the tree share.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Start a child. The descriptors: its channel, its standard input, output and error, its folder.
    Spawn(Order),
    /// The same, with the order in a file, which is the last descriptor.
    SpawnFromFile,
    /// Kill everything, now.
    KillAll,
    /// Take a child that a fork server has made. The descriptors: its channel, its handle, its gate.
    Admit(Admission),
}

/// How many descriptors come with an order. One more if it is for a fork server.
pub(crate) const ORDER_DESCRIPTORS: usize = 5;

/// How many descriptors come with an admission.
pub(crate) const ADMISSION_DESCRIPTORS: usize = 3;

/// The child of a fork server that asks to be taken in. It waits at its gate, where it is told its mark, and
/// given the socket for its own requests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    /// The mark of the child of the guardian that owns it; 0 for the root.
    pub(crate) owner: u64,
    /// Its process number, as it knows itself.
    pub(crate) pid: u32,
    /// How long it may clean up when its owner is gone.
    pub(crate) grace: Duration,
}

/// What child to start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// The mark of the child of the guardian that asks; 0 for the root.
    pub(crate) owner: u64,
    /// The process number of the one that asks, as it knows itself.
    pub(crate) parent: u32,
    /// How long the child may clean up when its owner is gone.
    pub(crate) grace: Duration,
    /// It is a fork server, and is given the socket behind its folder to take orders from.
    pub(crate) forks: bool,
    pub(crate) role: String,
    pub(crate) name: String,
    /// What follows its first argument.
    pub(crate) args: Vec<OsString>,
    /// The whole environment, as `KEY=value`; for a fork server, what differs from its own.
    pub(crate) env: Vec<OsString>,
}

/// What the guardian says to the owner of one child, over the channel of that child.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It runs; its handle comes along.
    Started { pid: u32 },
    /// It could not be started: an error number of the system, and words.
    Failed { errno: i32, text: String },
    /// It has ended and is reaped. `swept` if nothing is left beneath it either.
    Ended { exit: Exit, swept: bool },
    /// Nothing is left beneath it now.
    Swept,
    /// There is no news, and the guardian is well.
    NoNews,
}

/// What an owner says to the guardian about its child, over its channel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Kill it and its group: the owner does not want it any more.
    Kill,
    /// Send a signal to it and its group.
    Signal(i32),
    /// Say something, whatever there is to say.
    Ask,
}

impl Request {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Spawn(order) => {
                let mut bytes = vec![1];
                order.encode(&mut bytes);
                bytes
            }
            Self::SpawnFromFile => vec![2],
            Self::KillAll => vec![3],
            Self::Admit(Admission { owner, pid, grace }) => {
                [&[4], &owner.to_le_bytes()[..], &pid.to_le_bytes(), &millis(*grace)].concat()
            }
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (1, rest) => Order::decode(rest).map(Self::Spawn),
            (2, []) => Some(Self::SpawnFromFile),
            (3, []) => Some(Self::KillAll),
            (4, rest) => {
                let (owner, rest) = rest.split_first_chunk()?;
                let (pid, grace) = rest.split_first_chunk()?;
                Some(Self::Admit(Admission {
                    owner: u64::from_le_bytes(*owner),
                    pid: u32::from_le_bytes(*pid),
                    grace: Duration::from_millis(u64::from_le_bytes(grace.try_into().ok()?)),
                }))
            }
            _ => None,
        }
    }
}

/// Whether the life of a child is bound to that of its owner: it has no time to clean up without it, so the system itself kills it
/// (see `lifeline`).
pub(crate) fn is_bound(grace: Duration) -> bool {
    // As it travels.
    grace.as_millis() == 0
}

fn millis(time: Duration) -> [u8; 8] {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).to_le_bytes()
}

impl Order {
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.owner.to_le_bytes());
        bytes.extend(self.parent.to_le_bytes());
        bytes.extend(millis(self.grace));
        bytes.push(u8::from(self.forks));
        // More do not fit into a request.
        bytes.extend(u32::try_from(self.args.len()).unwrap_or(u32::MAX).to_le_bytes());
        let texts = [OsStr::new(&self.role), OsStr::new(&self.name)];
        let lists = self.args.iter().chain(&self.env).map(OsString::as_os_str);
        for text in texts.into_iter().chain(lists) {
            bytes.extend(text.as_bytes());
            bytes.push(0);
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (owner, bytes) = bytes.split_first_chunk()?;
        let (parent, bytes) = bytes.split_first_chunk()?;
        let (grace, bytes) = bytes.split_first_chunk()?;
        let (forks, bytes) = bytes.split_first()?;
        let (args, bytes) = bytes.split_first_chunk()?;
        let mut texts = bytes.strip_suffix(&[0])?.split(|byte| *byte == 0);
        let mut text = || Some(std::str::from_utf8(texts.next()?).ok()?.to_owned());
        let (role, name) = (text()?, text()?);
        let mut texts = texts.map(|text| OsString::from_vec(text.to_vec()));
        // Not reserved: the number may be made up.
        let args = (0..u32::from_le_bytes(*args)).map(|_| texts.next()).collect::<Option<_>>()?;
        Some(Self {
            owner: u64::from_le_bytes(*owner),
            parent: u32::from_le_bytes(*parent),
            grace: Duration::from_millis(u64::from_le_bytes(*grace)),
            forks: *forks != 0,
            role,
            name,
            args,
            env: texts.collect(),
        })
    }
}

impl Answer {
    pub(crate) fn failed(error: &std::io::Error) -> Self {
        Self::Failed { errno: error.raw_os_error().unwrap_or(0), text: error.to_string() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Started { pid } => [&[1], &pid.to_le_bytes()[..]].concat(),
            Self::Failed { errno, text } => [&[2], &errno.to_le_bytes()[..], text.as_bytes()].concat(),
            Self::Ended { exit, swept } => {
                let (kind, value) = match *exit {
                    Exit::Code(code) => (0, code),
                    Exit::Signal { signal, core_dumped } => (1 + u8::from(core_dumped), signal),
                    Exit::Unknown => (3, 0),
                };
                [&[3, kind, u8::from(*swept)], &value.to_le_bytes()[..]].concat()
            }
            Self::Swept => vec![4],
            Self::NoNews => vec![5],
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (1, rest) => Some(Self::Started { pid: u32::from_le_bytes(rest.try_into().ok()?) }),
            (2, rest) => {
                let (errno, text) = rest.split_first_chunk()?;
                let text = String::from_utf8_lossy(text).into_owned();
                Some(Self::Failed { errno: i32::from_le_bytes(*errno), text })
            }
            (3, [kind, swept, value @ ..]) => {
                let value = i32::from_le_bytes(value.try_into().ok()?);
                let exit = match kind {
                    0 => Exit::Code(value),
                    1 | 2 => Exit::Signal { signal: value, core_dumped: *kind == 2 },
                    3 => Exit::Unknown,
                    _ => return None,
                };
                Some(Self::Ended { exit, swept: *swept != 0 })
            }
            (4, []) => Some(Self::Swept),
            (5, []) => Some(Self::NoNews),
            _ => None,
        }
    }
}

impl Command {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Kill => vec![1],
            Self::Signal(signal) => [&[2], &signal.to_le_bytes()[..]].concat(),
            Self::Ask => vec![3],
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (1, []) => Some(Self::Kill),
            (2, signal) => Some(Self::Signal(i32::from_le_bytes(signal.try_into().ok()?))),
            (3, []) => Some(Self::Ask),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
