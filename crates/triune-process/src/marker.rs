//! The mark by which a child knows itself: three environment variables and its first argument.
//!
//! The environment alone is not enough, since everything that a child starts inherits it. A process is our child only if
//! its *first argument* also says so, which foreign programs set to their own name. Whether the parent is still there
//! is a separate question: a child whose parent died in between must not run the program's `main` as if it were the root.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::containment::Containment;
use crate::sys;

pub(crate) const CHILD: &str = "TRIUNE_CHILD";
pub(crate) const NAME: &str = "TRIUNE_NAME";
pub(crate) const TREE: &str = "TRIUNE_TREE";
pub(crate) const MEMBERSHIP: &str = "TRIUNE_GUARD";
/// For a fork server: the descriptor by which it gets its orders.
pub(crate) const FORKS: &str = "TRIUNE_FORKS";
/// For a program that is no copy of its parent: what to be, and where its link is (see `program`).
pub(crate) const LINK: &str = "TRIUNE_LINK";
const VERSION: &str = "1";

/// What a parent tells its child about itself, as the value of `TRIUNE_CHILD`: `version:role:parent pid:nonce`.
///
/// The parent is that of the system's tree. Beneath a guardian it is the guardian, and [`Membership`] names the owner.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) role: String,
    pub(crate) parent: u32,
    pub(crate) nonce: u64,
}

/// What this process is.
#[derive(Debug)]
pub(crate) enum Identity {
    /// Not started by `spawn`: the root of a tree, or a foreign process below one.
    Root,
    /// Started by `spawn`, by a parent that is alive.
    Child(Marker, String),
    /// Started by `spawn`, by a parent that has gone since.
    Orphan,
    /// Another program than its parent, to play a role.
    Program(LinkMark),
    /// Started by `spawn` of a triune that speaks of roles in another way.
    Foreign,
}

impl Marker {
    /// The length of the nonce, with which the text ends.
    pub(crate) const NONCE_LEN: usize = 16;

    pub(crate) fn encode(&self) -> String {
        format!("{VERSION}:{}:{}:{:016x}", self.role, self.parent, self.nonce)
    }

    pub(crate) fn decode(text: &str) -> Option<Self> {
        // From the right: a role may hold a colon, the numbers may not.
        let (rest, nonce) = text.rsplit_once(':')?;
        let (rest, parent) = rest.rsplit_once(':')?;
        let role = rest.strip_prefix(VERSION)?.strip_prefix(':')?;
        let (parent, nonce) = (parent.parse().ok()?, u64::from_str_radix(nonce, 16).ok()?);
        Some(Self { role: role.to_owned(), parent, nonce })
    }
}

/// A child's place beneath a guardian, as the value of `TRIUNE_GUARD`: `owner pid:descriptor:level:guardian`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    /// Who asked for the child: the process at the other end of its link.
    pub(crate) owner: u32,
    /// The descriptor by which to make requests.
    pub(crate) requests: i32,
    pub(crate) level: Containment,
    /// Tells the children of one guardian, and all that comes from them, from those of another.
    pub(crate) guardian: u64,
}

impl Membership {
    pub(crate) fn encode(&self) -> String {
        let Self { owner, requests, level, guardian } = self;
        format!("{owner}:{requests}:{level}:{guardian:016x}")
    }

    pub(crate) fn decode(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let membership = Self {
            owner: parts.next()?.parse().ok()?,
            requests: parts.next()?.parse().ok()?,
            level: parts.next()?.parse().ok()?,
            guardian: u64::from_str_radix(parts.next()?, 16).ok()?,
        };
        parts.next().is_none().then_some(membership)
    }

    /// Whether a value of the variable is that of somebody beneath the guardian with this identity.
    pub(crate) fn is_beneath(value: &[u8], guardian: u64) -> bool {
        let membership = std::str::from_utf8(value).ok().and_then(Self::decode);
        membership.is_some_and(|membership| membership.guardian == guardian)
    }

    /// That of this process, which is a child.
    pub(crate) fn own() -> Option<Self> {
        std::env::var(MEMBERSHIP).ok().as_deref().and_then(Self::decode)
    }
}

/// What a program is told that is to play a role, as the value of `TRIUNE_LINK`: `role:descriptor:inode`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LinkMark {
    pub(crate) role: String,
    pub(crate) descriptor: i32,
    /// That of the socket, which nobody else has at this descriptor: what the program starts inherits the variable.
    pub(crate) inode: u64,
}

impl LinkMark {
    pub(crate) fn encode(&self) -> String {
        let Self { role, descriptor, inode } = self;
        format!("{role}:{descriptor}:{inode}")
    }

    pub(crate) fn decode(text: &str) -> Option<Self> {
        let (rest, inode) = text.rsplit_once(':')?;
        let (role, descriptor) = rest.rsplit_once(':')?;
        Some(Self { role: role.to_owned(), descriptor: descriptor.parse().ok()?, inode: inode.parse().ok()? })
    }

    /// That of this process, if it is meant for it.
    fn own() -> Option<Self> {
        let mark = std::env::var(LINK).ok().as_deref().and_then(Self::decode)?;
        (sys::inode_of_socket(mark.descriptor) == Some(mark.inode)).then_some(mark)
    }
}

/// Whether the environment asks for a role of which `wanted` says yes. Cheap; whether it is meant for this process, only
/// [`identify`] tells.
pub(crate) fn is_of(wanted: impl FnOnce(&str) -> bool) -> bool {
    let marker = std::env::var_os(CHILD);
    marker
        .as_deref()
        .and_then(OsStr::to_str)
        .and_then(Marker::decode)
        .is_some_and(|marker| wanted(&marker.role))
}

/// The first argument of the child called `name`.
pub(crate) fn first_argument(name: &str) -> OsString {
    OsString::from(format!("triune:{name}"))
}

/// Finds out what this process is.
pub(crate) fn identify() -> Identity {
    child().or_else(|| LinkMark::own().map(Identity::Program)).unwrap_or(Identity::Root)
}

/// What this process is, if it is this program once more.
fn child() -> Option<Identity> {
    let (marker, name) = (std::env::var_os(CHILD)?, std::env::var(NAME).ok()?);
    // A shell or a debugger below a child inherits the variables, and has a first argument of its own.
    if sys::first_argument().is_none_or(|first| first.as_bytes() != first_argument(&name).as_bytes()) {
        return None;
    }
    Some(match marker.to_str().and_then(Marker::decode) {
        Some(marker) if marker.parent == sys::parent_pid() => Identity::Child(marker, name),
        Some(_) => Identity::Orphan,
        None => Identity::Foreign,
    })
}

#[cfg(test)]
mod tests;
