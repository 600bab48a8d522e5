//! Real children of this crate, from their start to their end. One binary, because they share their roles.

mod fork;
mod guardian;
mod hold;
mod identity;
mod many;
mod outlaws;
mod output;
mod parent_gone;
mod program;
mod signals;
mod start;
mod stopped_guardian;
mod support;
mod terminate;
mod wait_and_kill;
