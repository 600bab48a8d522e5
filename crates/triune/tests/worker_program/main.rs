//! Workers that are another program: this one by another way, another build, and Python. Real processes, each test under the
//! leak guard and on both runtime flavours.
//!
//! Python is `python3` with `msgpack`. Without them the tests say so and pass on a developer's machine; where `CI` is set they fail.

mod cancel;
mod ends;
mod jobs;
mod levels;
mod limits;
mod no_worker;
mod policy;
#[path = "../example_programs/program.rs"]
mod program;
mod programs;
mod run;
#[path = "../worker_processes/support.rs"]
#[allow(dead_code, reason = "what the tests of other workers need of it is not needed here")]
mod support;
mod unserved;
mod wrapper;

// What `#[triune::test]` emits: these tests make their runtimes under the guard, and so use a plain `#[test]`.
triune::__private::constructor!();
