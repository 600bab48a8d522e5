//! Real children of this crate, from their start to their end. One binary, because they share their roles.

mod identity;
mod parent_gone;
mod signals;
mod start;
mod support;
mod terminate;
mod wait_and_kill;
