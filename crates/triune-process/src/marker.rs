//! The mark by which a child knows itself: three environment variables and its first argument.
//!
//! The environment alone is not enough, since everything that a child starts inherits it. A process is our child only if
//! its *first argument* also says so, which foreign programs set to their own name. Whether the parent is still there
//! is a separate question: a child whose parent died in between must not run the program's `main` as if it were the root.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::sys;

pub(crate) const CHILD: &str = "TRIUNE_CHILD";
pub(crate) const NAME: &str = "TRIUNE_NAME";
pub(crate) const TREE: &str = "TRIUNE_TREE";
const VERSION: &str = "1";

/// What a parent tells its child about itself, as the value of `TRIUNE_CHILD`: `version:role:parent pid:nonce`.
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
    /// Started by `spawn` of a triune that speaks of roles in another way.
    Foreign,
}

impl Marker {
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

/// The first argument of the child called `name`.
pub(crate) fn first_argument(name: &str) -> OsString {
    OsString::from(format!("triune:{name}"))
}

/// Finds out what this process is.
pub(crate) fn identify() -> Identity {
    let (Some(marker), Ok(name)) = (std::env::var_os(CHILD), std::env::var(NAME)) else {
        return Identity::Root;
    };
    // A shell or a debugger below a child inherits the variables, and has a first argument of its own.
    if sys::first_argument().is_none_or(|first| first.as_bytes() != first_argument(&name).as_bytes()) {
        return Identity::Root;
    }
    match marker.to_str().and_then(Marker::decode) {
        Some(marker) if marker.parent == sys::parent_pid() => Identity::Child(marker, name),
        Some(_) => Identity::Orphan,
        None => Identity::Foreign,
    }
}

#[cfg(test)]
mod tests;
