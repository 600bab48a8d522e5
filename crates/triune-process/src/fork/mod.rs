//! The fork server: a process of one thread that makes others by `fork`, so that they share what it has loaded.
//!
//! A child that is started again from its executable takes half a millisecond for that, and then has to load whatever it
//! needs. The copy of a process that has loaded it already shares every page of it until one of them writes to it. But a
//! `fork` copies one thread only: what other threads held locked stays locked for ever. So it is not the program that is
//! forked, which has threads, but a process that was started for this, does nothing else, and proves before its first
//! fork that it has one thread.
//!
//! ```text
//!    owner ──── orders ────► fork server          The guardian is the parent of all: a fork server makes siblings
//!     │  ▲                       : forks          (CLONE_PARENT), and the guardian takes them in.
//!     │  └──── channel ────┐     ▼
//!     └──── link ──────────┼── child ── asks to be taken in ──► guardian
//!                          └────────────────────────────────────┘
//! ```
//!
//! # Parts
//!
//! * `client`: [`ForkServer`], the owner's side;
//! * `server`: [`Forks`], the loop of the server;
//! * `child`: from the fork to the role.
//!
//! # Invariants
//!
//! 1. **One thread.** The server is entered before `main`, whatever the program's `main` does, and refuses to fork if
//!    what was loaded has left a thread behind. Nothing but this module runs in it once it serves.
//! 2. **A child is a child like any other**: its parent is the guardian, which has its handle, its channel and its mark
//!    before it runs anything of the program. It dies with the guardian, is killed when its owner wants it, and its end
//!    is told to its owner. It does not depend on its server: neither notices the end of the other.
//! 3. **A child has its own** standard streams, link, name, group, marks and limits, and nothing of its siblings or of the
//!    server but the memory and the descriptors that were loaded: a copy of somebody's link would hide its end.
//! 4. **Nothing is lost if the server dies.** An order that it did not take ends with its descriptors; a child that was not
//!    taken in yet ends at its gate.
//!
//! # What a fork duplicates
//!
//! Everything in memory, so also what should be unique: a random generator that was seeded before the fork gives the same
//! numbers in every child. The marks come from the guardian for that reason. What a library has buffered for output is
//! written before the first fork.
//!
//! A process shows the environment that it was *started* with, a forked one that of its server. By it strays are told
//! apart (`guardian/sweep.rs`), so a child writes its own mark over that of the server, in place.

mod child;
mod client;
mod server;

pub use client::ForkServer;
pub use server::{Forks, ForksError};

/// The name that the role of a fork server must have. It is entered before `main`.
pub const FORK_SERVER: &str = "fork-server";
