//! What the operating system has to offer, behind one small set of functions.
//!
//! One folder or file per system. Each offers the same names:
//!
//! * the program to start again, our own name, times and parent;
//! * a handle on a process that stays valid when its number is reused; signals through it and to groups; its end and its
//!   status, by handle or by number; a watch for a runtime;
//! * the signal dispositions and the descriptors of a fresh child, and limits on it;
//! * sockets that keep the borders of messages and carry descriptors, pipes, bells;
//! * to kill a process when the other end of a socket is closed, without anybody who waits for that;
//! * for the guardian: to be the reaper of all descendants, to hear of the end of any child, to list those that it did
//!   not start, to die with its parent; a namespace that dies with it, where there is one;
//! * how many processes of our group were killed because memory was short;
//! * for the fork server: a copy of this process that is a child of this one's parent.
//!
//! What a system cannot do, its file refuses, and the level of [`Containment`](crate::Containment) is lowered.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;

#[cfg(not(target_os = "linux"))]
compile_error!(
    "triune-process needs Linux 5.4 or later for now: other systems get a folder beside sys/linux"
);
