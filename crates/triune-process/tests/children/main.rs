//! Real children of this crate, from their start to their end. One binary, because they share their roles.
//!
//! The cases of Trio are marked with their numbers. P04 is the half of it that there is: the end of standard error is kept with
//! the death; there is no call that runs a program to its end. P05 (pipes that nobody could read, two directions for one stream)
//! has no test: what becomes of a stream is one value, and gives no pipe.

mod bound;
mod exec;
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
