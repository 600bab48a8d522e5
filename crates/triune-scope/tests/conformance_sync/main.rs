//! The primitives of `triune_scope::sync`, case by case. Ids name the cases of the conformance list: groups L, M, A
//! and V, with C21 to C23, D22.
//!
//! Each case runs on one thread, where children share a task, and on two, where each child is a task of its own.
//!
//! Not here:
//! * L11, L14, L17, M02 and other numbers that the list leaves out.
//! * L16 for channel-built locks: one of them, the others differ in nothing that Rust can see.
//! * L20, L21: a lock whose owner ended. Impossible: the guard goes with the task, and the lock with the guard. What is
//!   left of them is `a_task_that_ends_frees_its_lock`.
//! * L22: waiting or notifying without the lock, or with a lock of another kind, does not compile; another mutex panics.
//! * L25 to L27: the parking lot is private; its tests are beside it, in `src/sync/queue.rs`. Of L27, moving waiters to
//!   another lot happens only from a condition to its mutex, which L23 covers.
//! * Negative, fractional and NaN totals and durations (L06, D22) do not compile.

mod channels;
mod locks;
mod streams;
mod support;
mod times;
