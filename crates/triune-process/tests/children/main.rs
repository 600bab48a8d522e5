//! Real children of this crate, from their start to their end. One binary, because they share their roles.

mod parent_gone;
mod start;
mod support;
mod terminate;
mod wait_and_kill;
