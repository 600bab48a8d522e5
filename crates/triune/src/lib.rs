//! Structured concurrency from a task to a process: one nursery for tasks, worker jobs and actors

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use triune_actor as actor;
pub use triune_macros::{endpoint, job, main, test};
pub use triune_process::init;
pub use triune_scope::*;
pub use triune_worker as worker;

pub mod prelude {
    //! What a program that uses triune imports in one go.
    pub use triune_actor::{Context, Dialog, In, NurseryActorExt as _, Out, Portal, Started};
    pub use triune_scope::{Child, Context as _, Error, FutureExt as _, Nursery, Result, nursery};
    pub use triune_worker::{NurseryWorkerExt as _, job};
}
