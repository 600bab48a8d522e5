//! The guardian's process: from the entry to the loop.
//!
//! At the level `Hard` there are two: an *outer* one, which makes a pid namespace and starts the *inner* one in it as its
//! first process, and then only waits. The inner one is the guardian. It dies with the outer one, and the namespace
//! with it, so it does not matter which of root, outer and inner is killed, nor in which order.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use linkme::distributed_slice;

use super::serve::Guardian;
use crate::boot::Boot;
use crate::containment::Containment;
use crate::exit::exit_code;
use crate::marker::{Marker, Membership};
use crate::role::{ROLES, Role};
use crate::start::{Plan, Streams};
use crate::{sys, tree};

pub(crate) const ROLE: &str = "guardian";

/// The role's name of the first of two, at the level `Hard`.
pub(crate) const OUTER_ROLE: &str = "guardian-outer";

/// The outer guardian could not make a namespace.
pub(crate) const NO_NAMESPACE: u8 = 73;

#[distributed_slice(ROLES)]
static GUARDIAN: Role = Role { name: ROLE, main };
#[distributed_slice(ROLES)]
static OUTER: Role = Role { name: OUTER_ROLE, main: outer };

/// Whether a role is that of a guardian.
pub(crate) fn is_guardian(role: &str) -> bool {
    [ROLE, OUTER_ROLE].contains(&role)
}

fn main(boot: Boot) -> u8 {
    ended(guard(boot), "the guardian")
}

fn outer(boot: Boot) -> u8 {
    match sys::enter_pid_namespace() {
        Ok(()) => ended(outer_guard(boot), "the outer guardian"),
        Err(_said_by_the_code) => NO_NAMESPACE,
    }
}

fn ended(result: io::Result<u8>, who: &str) -> u8 {
    result.unwrap_or_else(|error| {
        crate::enter::say(&format!("{who} cannot go on: {error}"));
        exit_code::BOOT_FAILED
    })
}

fn guard(boot: Boot) -> io::Result<u8> {
    let (root_handle, level) = match sys::parent_pid() {
        // Our parent is outside of our namespace, and has put a handle on the root where standard output would be.
        0 => {
            sys::die_with_parent()?;
            // Armed first and compared then.
            if sys::listed_parent_pid() != Some(boot.parent_pid()) {
                return Ok(exit_code::PARENT_GONE);
            }
            (sys::take_output()?, Containment::Hard)
        }
        parent => {
            let handle = sys::open_process(parent)?;
            // Opened first and compared then: if the root still is our parent now, the handle is on it.
            if sys::parent_pid() != parent || parent != boot.parent_pid() {
                return Ok(exit_code::PARENT_GONE);
            }
            (handle, Containment::Tree)
        }
    };
    let id = boot.nonce;
    let socket = OwnedFd::from(boot.into_link());
    Guardian::new(socket, root_handle, id, level)?.run()?;
    Ok(0)
}

/// Starts the inner guardian, and ends when it does.
fn outer_guard(boot: Boot) -> io::Result<u8> {
    let parent = sys::parent_pid();
    let root_handle = sys::open_process(parent)?;
    if sys::parent_pid() != parent || parent != boot.parent_pid() {
        return Ok(exit_code::PARENT_GONE);
    }
    let nonce = boot.nonce;
    // The inner one sees its parent as number 0; by which number to check it, the membership says.
    let marker = Marker { role: ROLE.to_owned(), parent: 0, nonce };
    let stderr = io::stderr().as_fd().try_clone_to_owned()?;
    let streams = Streams { stdin: boot.into_link().into(), stdout: root_handle, stderr, forks: None };
    let env = tree::environment();
    let owner = std::process::id();
    let membership = Some(Membership { owner, requests: -1, level: Containment::Hard, guardian: nonce });
    let plan = Plan { name: ROLE, marker, membership, env, args: Vec::new(), folder: None, streams };
    // From now on nothing but SIGKILL ends this process, and the death of it ends the inner one.
    let _signals = sys::hear_of_children_only()?;
    let mut inner = plan.start()?;
    let status = inner.wait()?;
    Ok(if status.success() { 0 } else { exit_code::PARENT_GONE })
}
