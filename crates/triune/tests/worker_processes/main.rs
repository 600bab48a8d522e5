//! Workers as their users meet them: real processes, each test under the leak guard and on both runtime flavours.
//!
//! The cases of trio-parallel are marked with their numbers. Those that have no test:
//!
//! * 6 (a job is no async function): it does not compile, see `ui/job_async.rs`.
//! * 24 (two spellings of one flag are OR-ed): there is one spelling, [`uncancellable`](triune::worker::Run::uncancellable).
//! * 66 (a context is made by its scope only): the fields of a `Pool` are private and it has no constructor.
//! * 72 (each run prunes dead workers once): nothing is pruned, because the death of a worker is an event: its
//!   supervisor takes it out of the pool whether or not anybody runs a job. 42 and 71 show what is left of it.
//! * 83 (the default is configured on the main thread only): it belongs to a runtime, and any thread of it may do that.
//! * 84 (runtimes one after the other share workers): a pool ends with its runtime, and nothing outlives that.

mod cancel;
mod data;
mod death;
mod environment;
mod forked;
mod limits;
mod liveness;
mod map;
mod misbehaviour;
mod nursery;
mod policy;
mod run;
mod scope;
mod stranded;
mod stress;
mod support;

// What `#[triune::test]` emits: these tests make their runtimes under the guard, and so use a plain `#[test]`.
triune::__private::constructor!();
