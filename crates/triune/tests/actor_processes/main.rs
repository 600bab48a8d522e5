//! Actors as processes. One test program for all of it, because each of its tests starts this program many times.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod call;
mod context;
mod death;
mod nested;
mod peers;
mod stop;
mod stranded;
mod support;
