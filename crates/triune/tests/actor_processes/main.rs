//! Actors as processes. One test program for all of it, because each of its tests starts this program many times.

mod call;
mod context;
mod death;
mod nested;
mod stop;
mod support;
