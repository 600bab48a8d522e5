//! Workers as their users meet them: real processes, each test under the leak guard and on both runtime flavours.

mod cancel;
mod data;
mod death;
mod limits;
mod map;
mod misbehaviour;
mod nursery;
mod policy;
mod run;
mod scope;
mod stress;
mod support;

// What `#[triune::test]` emits: these tests make their runtimes under the guard, and so use a plain `#[test]`.
triune::__private::constructor!();
